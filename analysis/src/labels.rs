//! Words on figures: names of variants, titles, captions, and the reference lines of one task.

use std::collections::BTreeSet;
use std::path::Path;

use crate::curve::Band;
use crate::panel::{Panel, ReferenceLine};

/// Caption of a figure: the meaning of line and band, smoothing and interpolation.
pub(crate) fn caption(panels: &[Panel], band: Band, smooth: usize) -> String {
    let curves = || panels.iter().flat_map(|panel| &panel.curves).map(|(_, curve)| curve);
    let mut parts =
        vec![if curves().all(|curve| curve.seeds == 1) { "one run each" } else { band.caption() }.to_owned()];
    if smooth > 1 {
        parts.push(format!("smoothed: mean of each run's last {smooth} points"));
    }
    if curves().any(|curve| curve.interpolated) {
        parts.push("runs without common steps interpolated".to_owned());
    }
    parts.join("; ")
}

/// Reference lines of one task: those for all tasks, and those with its name before a colon.
pub(crate) fn references(
    lines: &[ReferenceLine],
    task: Option<&str>,
    tasks: &BTreeSet<Option<&str>>,
) -> Vec<ReferenceLine> {
    let for_task = |line: &ReferenceLine| match line.label.split_once(':') {
        Some((name, label)) if tasks.contains(&Some(name)) => {
            (Some(name) == task).then(|| ReferenceLine { label: label.trim().to_owned(), y: line.y })
        }
        _ => Some(line.clone()),
    };
    lines.iter().filter_map(for_task).collect()
}

/// Name of the deepest folder that holds all variants: usually the experiment.
pub(crate) fn title(folders: &[&Path]) -> String {
    let holds_all = |folder: &&Path| folders.iter().all(|other| other.parent().is_some_and(|p| p.starts_with(folder)));
    let common = folders.first().and_then(|first| first.ancestors().find(holds_all));
    common.and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Names of variants: the shortest tails of their paths that tell apart those of one task.
pub(crate) fn labels(keys: &[(Option<&str>, &Path)]) -> Vec<String> {
    let parts: Vec<Vec<String>> = keys
        .iter()
        .map(|(_, folder)| folder.components().map(|part| part.as_os_str().to_string_lossy().into_owned()).collect())
        .collect();
    let longest = parts.iter().map(Vec::len).max().unwrap_or(1);
    let tail = |depth: usize| -> Vec<String> {
        parts.iter().map(|part| part[part.len().saturating_sub(depth)..].join("/")).collect()
    };
    let distinct = |labels: &[String]| {
        labels.iter().zip(keys).map(|(label, key)| (key.0, label)).collect::<BTreeSet<_>>().len() == labels.len()
    };
    (1..=longest).map(tail).find(|labels| distinct(labels)).unwrap_or_else(|| tail(longest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_the_shortest_that_differ() {
        let of =
            |first: &'static str, second: &'static str| labels(&[(None, Path::new(first)), (None, Path::new(second))]);
        assert_eq!(of("r/a/sac", "r/a/td3"), ["sac", "td3"]);
        assert_eq!(of("r/a/sac", "r/b/sac"), ["a/sac", "b/sac"]);
        let of_two_tasks = [(Some("Ant-v5"), Path::new("r/a/sac")), (Some("Hopper-v5"), Path::new("r/b/sac"))];
        assert_eq!(labels(&of_two_tasks), ["sac", "sac"]);
        assert_eq!(title(&[Path::new("r/a/sac"), Path::new("r/b/sac")]), "r");
        assert_eq!(title(&[Path::new("r/a/sac")]), "a");
    }
}
