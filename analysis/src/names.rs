//! Valid names that are similar to a wrong one, for error messages.

/// Number of names that [`suggestions`] gives.
const SUGGESTED: usize = 5;

/// The candidate most similar to `name`, if one is similar enough to suggest.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let (likeness, candidate) = by_likeness(name, candidates).into_iter().next()?;
    (likeness > 0.75).then_some(candidate)
}

/// The few candidates most similar to `name`, most similar first, as a list in words.
pub(crate) fn suggestions<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let nearest: Vec<&str> = by_likeness(name, candidates).into_iter().take(SUGGESTED).map(|(_, name)| name).collect();
    nearest.join(", ")
}

/// The candidates with their likeness to `name`, from 0 to about 1, most similar first.
fn by_likeness<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Vec<(f64, &'a str)> {
    let name = name.to_lowercase();
    let likeness = |candidate: &str| {
        let candidate = candidate.to_lowercase();
        // Jaro and Winkler do not see two letters of a short word that changed places.
        let edits = strsim::normalized_damerau_levenshtein(&name, &candidate) + 0.1;
        strsim::jaro_winkler(&name, &candidate).max(edits)
    };
    let mut found: Vec<(f64, &str)> = candidates.into_iter().map(|name| (likeness(name), name)).collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_strangers_are_not() {
        let kinds = ["sac", "td3", "gail", "mbpo", "feedback"];
        for (typed, meant) in [("sca", "sac"), ("SAC", "sac"), ("gial", "gail"), ("feedbak", "feedback")] {
            assert_eq!(nearest(typed, kinds), Some(meant));
        }
        assert_eq!(nearest("ppo", kinds), None);
        let metrics = ["perf/steps_per_s", "eval/length_mean", "eval/return_std", "eval/return_mean", "a", "b", "c"];
        let found = suggestions("eval/retrun_mean", metrics);
        assert!(found.starts_with("eval/return_mean, eval/") && found.split(", ").count() == 5, "{found}");
    }
}
