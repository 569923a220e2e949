//! The documented metrics: docs/metrics.md, collected from the tables of the modules that log them.

use liprl_analysis::nearest;

/// The page.
pub(crate) const TABLES: &str = include_str!("../docs/metrics.md");

/// The problem of a name that no table has; `None` if one has it.
pub(crate) fn problem(metric: &str) -> Option<String> {
    let known: Vec<String> = documented().collect();
    if known.iter().any(|pattern| matches(pattern, metric)) {
        return None;
    }
    let near = nearest(metric, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(format!("the metric `{metric}` is not among those that `liprl metrics` lists{near}"))
}

/// The names in the first column of the tables; `…/b` behind `a/x` stands for `a/b`.
fn documented() -> impl Iterator<Item = String> {
    TABLES.lines().filter_map(|line| line.strip_prefix("| `")?.split_once(" | ")).flat_map(|(cell, _)| {
        let mut before = String::new();
        let names = cell.split('`').filter(|name| name.contains('/')).map(|name| {
            let parent = before.rsplit_once('/').map_or("", |(parent, _)| parent);
            let whole = name.strip_prefix("…/").map_or_else(|| name.to_owned(), |name| format!("{parent}/{name}"));
            before.clone_from(&whole);
            whole
        });
        names.collect::<Vec<_>>()
    })
}

/// True if a documented name stands for a metric: `<…>` for any part of it, `…` for any rest.
fn matches(pattern: &str, metric: &str) -> bool {
    let mut parts = metric.split('/');
    for wanted in pattern.split('/') {
        let Some(part) = parts.next() else { return false };
        let fits = match wanted.split_once('<') {
            _ if wanted == "…" => return true,
            Some((begin, _)) => part.starts_with(begin),
            None => part == wanted,
        };
        if !fits {
            return false;
        }
    }
    parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_with_units_are_documented() {
        for pattern in liprl_analysis::known_patterns() {
            let named = pattern.split('*').next().unwrap_or_default();
            // `product_bound/<network>` stands for any network.
            let fits = |name: &String| {
                let begin = name.split('<').next().unwrap_or_default();
                begin.starts_with(named) || (begin != name && named.starts_with(begin))
            };
            assert!(documented().any(|name| fits(&name)), "{pattern}");
        }
    }

    #[test]
    fn documented_names_are_known_and_slips_are_not() {
        for name in ["eval/return_mean", "train/violation_max", "model/error_step/4", "perf/steps_per_s"] {
            assert_eq!(problem(name), None);
        }
        assert!(problem("eval/retrun_mean").unwrap().ends_with("did you mean `eval/return_mean`?"));
        assert!(problem("model/error/visited/x").is_some() && problem("train").is_some());
        assert!(documented().any(|name| name == "lipschitz/oracle/policy_mse"));
    }
}
