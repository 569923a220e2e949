//! Takes the logs of finished runs over into the repository: evaluations of the metrics that a page
//! uses, without the paths of the machine.

use std::path::Path;

use fs_err as fs;
use liprl_logbook::{CONFIG_FILE, METRICS_FILE, PROVENANCE_FILE};
use serde_json::{Map, Value};

use super::manifest::Source;
use crate::error::AnalysisError;
use crate::run::find_runs;

const SUMMARY_FILE: &str = "summary.json";
/// The JSON that `liprl eval` printed of the run's policy under perturbations.
const DISTURBED_FILE: &str = "disturbed.json";
/// Keys of every line.
const STEP: [&str; 2] = ["step", "wall_s"];

/// Copies the finished runs below `sweep` into the source's folder below `results`; `root` is cut off
/// paths in them. Returns how many runs were kept.
///
/// # Errors
/// If a file cannot be read or written.
pub fn keep(root: &Path, sweep: &Path, results: &Path, source: &Source) -> Result<usize, AnalysisError> {
    let mut kept = 0;
    for run in find_runs(&[sweep.to_path_buf()])? {
        let summary = fs::read_to_string(run.join(SUMMARY_FILE)).unwrap_or_default();
        if !summary.contains("\"status\": \"done\"") {
            continue;
        }
        let to = results.join(&source.logs).join(run.strip_prefix(sweep).unwrap_or(&run));
        fs::create_dir_all(&to)?;
        for name in [CONFIG_FILE, PROVENANCE_FILE, SUMMARY_FILE] {
            let text = fs::read_to_string(run.join(name))?;
            fs::write(to.join(name), without_root(&text, root))?;
        }
        let metrics = fs::read_to_string(run.join(METRICS_FILE))?;
        let mut text = thinned(&metrics, source)?;
        if let Ok(report) = fs::read_to_string(run.join(DISTURBED_FILE)) {
            text.push_str(&format!("{}\n", disturbed(&run, &report)?));
        }
        fs::write(to.join(METRICS_FILE), text)?;
        kept += 1;
    }
    Ok(kept)
}

/// The line of metrics of that file.
fn disturbed(run: &Path, report: &str) -> Result<Value, AnalysisError> {
    let wrong = || {
        let file = run.join(DISTURBED_FILE);
        AnalysisError::Request(format!("{} is not what `liprl eval --json` prints: delete it", file.display()))
    };
    let report: Value = serde_json::from_str(report).map_err(|_| wrong())?;
    let mut line = Map::new();
    line.insert("step".into(), report.get("step").cloned().ok_or_else(wrong)?);
    let mut put = |name: String, row: &Value| {
        line.insert(name, rounded(row.get("return_mean").cloned().ok_or_else(wrong)?));
        Ok::<_, AnalysisError>(())
    };
    put("disturb/none".into(), &report)?;
    for row in report.get("disturbances").and_then(Value::as_array).into_iter().flatten() {
        let kind = row.get("kind").and_then(Value::as_str).ok_or_else(wrong)?;
        let epsilon = row.get("epsilon").and_then(Value::as_f64).ok_or_else(wrong)?;
        put(format!("disturb/{kind}/{epsilon}"), row)?;
    }
    Ok(Value::Object(line))
}

fn without_root(text: &str, root: &Path) -> String {
    text.replace(&format!("{}/", root.display()), "").replace(&root.display().to_string(), ".")
}

/// The lines with a metric that is kept, with six digits.
fn thinned(metrics: &str, source: &Source) -> Result<String, AnalysisError> {
    let kept = |name: &str| {
        let patterns = source.keep.iter().map(String::as_str).chain(["eval/return_mean", "eval/return_std"]);
        patterns.into_iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(start) => name.starts_with(start),
            None => name == pattern,
        })
    };
    let mut text = String::new();
    for line in metrics.lines() {
        let Ok(line) = serde_json::from_str::<Map<String, Value>>(line) else { continue };
        let line: Map<String, Value> = line
            .into_iter()
            .filter(|(name, _)| kept(name) || STEP.contains(&name.as_str()))
            .map(|(name, value)| (name, rounded(value)))
            .collect();
        if line.keys().any(|name| !STEP.contains(&name.as_str())) {
            text.push_str(&format!("{}\n", Value::Object(line)));
        }
    }
    Ok(text)
}

/// A number with six significant digits; anything else as it is.
fn rounded(value: Value) -> Value {
    match value.as_f64().filter(|_| value.is_f64()) {
        Some(number) => format!("{number:.5e}").parse::<f64>().map_or(value, Value::from),
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn returns_under_perturbations_are_metrics() {
        let report = json!({"step": 20000, "return_mean": -150.1234567, "disturbances": [
            {"kind": "trajectory", "epsilon": 0.1, "return_mean": -300.0},
            {"kind": "pgd", "epsilon": 0.25, "return_mean": -200.5},
        ]});
        let line = disturbed(Path::new("run"), &report.to_string()).unwrap();
        let expected = json!({"step": 20000, "disturb/none": -150.123, "disturb/trajectory/0.1": -300.0,
            "disturb/pgd/0.25": -200.5});
        assert_eq!(line, expected);
        for broken in ["{", "{\"step\": 1}", "{\"step\": 1, \"return_mean\": 2, \"disturbances\": [{}]}"] {
            assert!(disturbed(Path::new("run"), broken).unwrap_err().to_string().contains("delete it"), "{broken}");
        }
    }
}
