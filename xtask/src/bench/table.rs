//! Measurements as Markdown tables.

use std::fmt::Write;
use std::path::Path;

use anyhow::Result;
use fs_err as fs;
use serde_json::Value;

/// liprl's name in its own samples.
const OURS: &str = "liprl";

/// One line of a benchmark: `{"library": "liprl", "what": "updates_per_s", "threads": 1, "median":
/// 190.5}`.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Sample {
    library: String,
    what: String,
    threads: u64,
    rate: f64,
}

impl Sample {
    /// Its rate, per second.
    pub(crate) fn rate(&self) -> f64 {
        self.rate
    }

    /// Parses a line; `None` for other lines, such as cargo's and libraries' warnings.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        Some(Self {
            library: value.get("library")?.as_str()?.to_owned(),
            what: value.get("what")?.as_str()?.to_owned(),
            threads: value.get("threads")?.as_u64()?,
            rate: value.get("median")?.as_f64()?,
        })
    }

    /// The median speed of a run over its logging events, without the first two, which precede
    /// learning.
    pub(crate) fn of_run(metrics: &str, threads: u64) -> Option<Self> {
        let events = metrics.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let rates: Vec<f64> = events.filter_map(|event| event.get("perf/steps_per_s")?.as_f64()).skip(2).collect();
        let what = "steps_per_s_end_to_end".to_owned();
        Some(Self { library: OURS.to_owned(), what, threads, rate: median(rates)? })
    }
}

/// A row for each kind of work and number of threads, a column for each library, and liprl's ratio
/// to each of the others.
pub(crate) fn races(samples: &[Sample]) -> String {
    let rows = distinct(samples.iter().map(|sample| (sample.what.clone(), sample.threads)));
    let mut libraries = distinct(samples.iter().map(|sample| sample.library.clone()));
    libraries.retain(|library| library != OURS);
    let mut text = format!("| work | threads | {OURS} |");
    for library in &libraries {
        let _ = write!(text, " {library} |");
    }
    let _ = writeln!(text, " {OURS} ÷ each |\n| --- |{}", " ---: |".repeat(libraries.len() + 3));
    for (what, threads) in rows {
        let rate = |library: &str| {
            let of_row =
                |sample: &&Sample| (&sample.library[..], &sample.what, sample.threads) == (library, &what, threads);
            median(samples.iter().filter(of_row).map(|sample| sample.rate).collect())
        };
        let ours = rate(OURS);
        let theirs: Vec<Option<f64>> = libraries.iter().map(|library| rate(library)).collect();
        let _ = write!(text, "| {what} | {threads} | {} |", shown(ours));
        for rate in &theirs {
            let _ = write!(text, " {} |", shown(*rate));
        }
        let ratios: Vec<String> = theirs.iter().filter_map(|rate| Some(format!("{:.2}", ours? / (*rate)?))).collect();
        let _ = writeln!(text, " {} |", ratios.join(", "));
    }
    text
}

/// The medians that criterion left under `folder`, with their 95% intervals, and the rate where one
/// is defined.
pub(crate) fn criterion(folder: &Path) -> Result<String> {
    let mut rows = Vec::new();
    collect(folder, &mut rows)?;
    rows.sort();
    Ok(format!("| work | median | 95% interval | per second |\n| --- | ---: | ---: | ---: |\n{}", rows.concat()))
}

fn collect(folder: &Path, rows: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.join("estimates.json").exists() && path.ends_with("new") {
            let read =
                |name: &str| -> Result<Value> { Ok(serde_json::from_str(&fs::read_to_string(path.join(name))?)?) };
            let (estimates, benchmark) = (read("estimates.json")?, read("benchmark.json")?);
            let at = |pointer: &str| estimates.pointer(pointer).and_then(Value::as_f64).unwrap_or(f64::NAN);
            let elements = benchmark.pointer("/throughput/Elements").and_then(Value::as_f64);
            rows.push(format!(
                "| {} | {} | {} to {} | {} |\n",
                benchmark["full_id"].as_str().unwrap_or("?"),
                duration(at("/median/point_estimate")),
                duration(at("/median/confidence_interval/lower_bound")),
                duration(at("/median/confidence_interval/upper_bound")),
                shown(elements.map(|elements| elements * 1e9 / at("/median/point_estimate"))),
            ));
        } else if path.is_dir() {
            collect(&path, rows)?;
        }
    }
    Ok(())
}

fn duration(nanoseconds: f64) -> String {
    match nanoseconds {
        ns if ns < 1e3 => format!("{ns:.1} ns"),
        ns if ns < 1e6 => format!("{:.1} µs", ns / 1e3),
        ns => format!("{:.2} ms", ns / 1e6),
    }
}

fn shown(rate: Option<f64>) -> String {
    match rate {
        None => "–".to_owned(),
        Some(rate) if rate < 10.0 => format!("{rate:.3}"),
        Some(rate) if rate < 1000.0 => format!("{rate:.1}"),
        Some(rate) => format!("{rate:.0}"),
    }
}

pub(crate) fn median(mut rates: Vec<f64>) -> Option<f64> {
    rates.sort_by(f64::total_cmp);
    let middle = rates.len() / 2;
    match rates.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(rates[middle]),
        _ => Some((rates[middle - 1] + rates[middle]) / 2.0),
    }
}

fn distinct<T: PartialEq>(items: impl Iterator<Item = T>) -> Vec<T> {
    items.fold(Vec::new(), |mut seen, item| {
        if !seen.contains(&item) {
            seen.push(item);
        }
        seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_race_is_the_median_of_its_rounds() {
        let line = |library, rate| {
            format!("{{\"library\": \"{library}\", \"what\": \"updates_per_s\", \"threads\": 1, \"median\": {rate}}}")
        };
        let rates = [("liprl", 200.0), ("SBX", 100.0), ("liprl", 300.0), ("SBX", 120.0), ("liprl", 210.0)];
        let samples: Vec<Sample> =
            rates.iter().filter_map(|(library, rate)| Sample::parse(&line(library, *rate))).collect();
        assert_eq!(samples.len(), 5);
        let expected = "| work | threads | liprl | SBX | liprl ÷ each |\n| --- | ---: | ---: | ---: | ---: |\n\
                        | updates_per_s | 1 | 210.0 | 110.0 | 1.91 |\n";
        assert_eq!(races(&samples), expected);
    }

    #[test]
    fn other_lines_are_no_samples() {
        for line in ["   Running benches/sac.rs", "{\"library\": \"x\"}", "[1, 2]", ""] {
            assert_eq!(Sample::parse(line), None, "{line}");
        }
    }

    #[test]
    fn a_run_counts_from_when_it_learns() {
        let metrics = "{\"step\": 500, \"perf/steps_per_s\": 9000.0}\n{\"step\": 1000, \"perf/steps_per_s\": 8000.0}\n\
            {\"step\": 1000, \"eval/return_mean\": 1.0}\n{\"step\": 1500, \"perf/steps_per_s\": 150.0}\n\
            {\"step\": 2000, \"perf/steps_per_s\": 170.0}\n";
        assert_eq!(Sample::of_run(metrics, 1).unwrap().rate, 160.0);
        assert_eq!(Sample::of_run("", 1), None);
    }

    #[test]
    fn criterion_results_are_found_where_it_leaves_them() {
        let folder = tempfile::tempdir().unwrap();
        for part in ["new", "base"] {
            let leaf = folder.path().join("replay_uniform").join(part);
            fs::create_dir_all(&leaf).unwrap();
            fs::write(
                leaf.join("benchmark.json"),
                "{\"full_id\": \"replay/uniform\", \"throughput\": {\"Elements\": 16}}",
            )
            .unwrap();
            let interval = "{\"lower_bound\": 29000.0, \"upper_bound\": 1200000.0}";
            let median = format!("{{\"median\": {{\"point_estimate\": 800.0, \"confidence_interval\": {interval}}}}}");
            fs::write(leaf.join("estimates.json"), median).unwrap();
        }
        let text = criterion(folder.path()).unwrap();
        assert!(text.ends_with("| replay/uniform | 800.0 ns | 29.0 µs to 1.20 ms | 20000000 |\n"), "{text}");
        assert_eq!(text.lines().count(), 3);
    }
}
