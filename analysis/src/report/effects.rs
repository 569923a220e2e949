//! Main effect of each axis of a sweep, over the settings of all other axes.
//!
//! The axes are read from the variants' names (`scale=10,spectral_norm=true`). The effect of going
//! from one value of an axis to another is a mean over the settings of the other axes: of the
//! difference of interquartile means, in every setting with finished runs of both values. Nothing
//! is extrapolated: a combination that was left out, or that failed, takes its partner with it. The
//! two are compared on the tasks that both have.

use std::collections::{BTreeMap, BTreeSet};

use super::wording::{verdict, with_signed_ends};
use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::error::AnalysisError;
use crate::number::signed;
use crate::scores::{Estimator, Scores};
use crate::stats;

/// Effect of going from one value of an axis to another.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Effect {
    /// The axis, or several that only varied together.
    pub(super) axis: String,
    pub(super) from: String,
    pub(super) to: String,
    /// Mean difference over the settings of the other axes.
    pub(super) difference: ConfidenceInterval,
    /// Least and greatest difference over these settings.
    pub(super) range: (f64, f64),
    /// Number of these settings.
    pub(super) settings: usize,
    /// Number of these settings in which one value has finished runs on more tasks; the tasks that
    /// both have count.
    pub(super) on_fewer_tasks: usize,
    /// Fewest finished runs of any variant in them.
    pub(super) runs: usize,
}

impl Effect {
    /// Conclusion in words.
    pub(super) fn verdict(&self) -> &'static str {
        verdict(self.runs, self.difference.low > 0.0, self.difference.high < 0.0)
    }

    /// True if the effect has one sign in all settings of the other axes.
    pub(super) fn agrees(&self) -> bool {
        self.range.0 > 0.0 || self.range.1 < 0.0
    }

    /// The effect in a sentence.
    pub(super) fn sentence(&self) -> String {
        let others = match self.settings {
            1 => "in the one setting of the others that has both".to_owned(),
            n if self.agrees() => format!("of one sign in all {n} settings of the others"),
            n => format!("from {} to {} in {n} settings of the others", signed(self.range.0), signed(self.range.1)),
        };
        let (verdict, difference) = (self.verdict(), with_signed_ends(self.difference));
        let fewer = match self.on_fewer_tasks {
            0 => String::new(),
            n => format!(" In {n} of {} settings only the tasks that both values have count.", self.settings),
        };
        format!(
            "{} from {} to {}: {verdict}. Mean difference {difference}, {others}.{fewer}",
            self.axis, self.from, self.to
        )
    }
}

/// Variant → its value on an axis.
type AxisValues = BTreeMap<String, String>;
/// Name of an axis → the variants' values on it.
type Axes = BTreeMap<String, AxisValues>;

/// Effects of going from the baseline's value of each axis to another, largest first. Empty for
/// fewer than two axes, because the comparison of variants then says the same.
pub(super) fn effects(
    scores: &BTreeMap<String, Scores>,
    baseline: &str,
    bootstrap: &Bootstrap,
) -> Result<Vec<Effect>, AnalysisError> {
    let axes = merged(axes(scores.keys()));
    let mut found = Vec::new();
    if axes.len() < 2 {
        return Ok(found);
    }
    for (axis, of) in &axes {
        let values: BTreeSet<&String> = of.values().collect();
        let Some(from) = of.get(baseline).or_else(|| values.first().copied()) else { continue };
        for to in values.into_iter().filter(|value| *value != from) {
            let all: Vec<(&Scores, &Scores)> = pairs(&axes, axis, from, to)
                .into_iter()
                .filter_map(|(ours, theirs)| Some((scores.get(ours)?, scores.get(theirs)?)))
                .collect();
            let shared: Vec<(Scores, Scores)> =
                all.iter().filter_map(|(ours, theirs)| ours.on_shared(theirs)).collect();
            if shared.is_empty() {
                continue;
            }
            let unequal =
                |pair: &&(&Scores, &Scores)| pair.0.on_shared(pair.1).is_some() && !pair.0.names().eq(pair.1.names());
            let on_fewer_tasks = all.iter().filter(unequal).count();
            let pairs: Vec<(&Scores, &Scores)> = shared.iter().map(|(ours, theirs)| (ours, theirs)).collect();
            let iqm = |scores: &Scores| Estimator::InterquartileMean.of(scores);
            let each: Vec<f64> = pairs.iter().map(|(ours, theirs)| iqm(ours) - iqm(theirs)).collect();
            found.push(Effect {
                axis: axis.clone(),
                from: from.clone(),
                to: to.clone(),
                difference: bootstrap.mean_difference(&pairs, Estimator::InterquartileMean)?,
                range: stats::range(each),
                settings: pairs.len(),
                on_fewer_tasks,
                runs: pairs.iter().map(|(ours, theirs)| ours.runs().min(theirs.runs())).min().unwrap_or(0),
            });
        }
    }
    found.sort_by(|a, b| b.difference.value.abs().total_cmp(&a.difference.value.abs()));
    Ok(found)
}

/// Pairs of variants that differ in one axis alone: the one with `to`, then the one with `from`.
fn pairs<'a>(axes: &'a Axes, axis: &str, from: &str, to: &str) -> Vec<(&'a String, &'a String)> {
    let Some(of) = axes.get(axis) else { return Vec::new() };
    let has = |name: &String, wanted: &str| of.get(name).is_some_and(|value| value == wanted);
    let alike =
        |ours: &String, theirs: &String| axes.iter().all(|(other, of)| other == axis || of.get(ours) == of.get(theirs));
    let with_to = of.keys().filter(|name| has(name, to));
    with_to.filter_map(|ours| Some((ours, of.keys().find(|name| has(name, from) && alike(ours, name))?))).collect()
}

/// Axes on which every variant's name gives a value, and not all the same. A part without `=` is a
/// name from `variants:`, or the number of a random point.
fn axes<'a>(names: impl Iterator<Item = &'a String>) -> Axes {
    let names: Vec<&String> = names.collect();
    let mut axes = Axes::new();
    for name in &names {
        // A name that was cut ends in a hash, which hides its last values.
        if name.contains('~') {
            return Axes::new();
        }
        let mut parts = name.split(',').peekable();
        while let Some(part) = parts.next() {
            // A random point's number is always the last part, and a name from `variants:` the
            // first.
            let alone = if parts.peek().is_none() && is_point(part) { "point" } else { "variant" };
            let (axis, value) = part.split_once('=').unwrap_or((alone, part));
            axes.entry(axis.to_owned()).or_default().insert((*name).clone(), value.to_owned());
        }
    }
    axes.retain(|_, of| of.len() == names.len() && of.values().collect::<BTreeSet<_>>().len() > 1);
    axes
}

/// True for a name like that of a random point: `r` and three digits or more.
fn is_point(part: &str) -> bool {
    part.strip_prefix('r').is_some_and(|digits| digits.len() >= 3 && digits.chars().all(|c| c.is_ascii_digit()))
}

/// Merges axes that only vary together (`zip`), because their effects cannot be told apart.
fn merged(axes: Axes) -> Axes {
    let alike = |a: &AxisValues, b: &AxisValues| {
        let pairs: BTreeSet<(&String, Option<&String>)> = a.iter().map(|(name, x)| (x, b.get(name))).collect();
        let count = |of: &AxisValues| of.values().collect::<BTreeSet<_>>().len();
        pairs.len() == count(a) && pairs.len() == count(b)
    };
    let mut merged: Vec<(String, AxisValues, AxisValues)> = Vec::new();
    for (axis, of) in axes {
        match merged.iter_mut().find(|(_, first, _)| alike(first, &of)) {
            Some((name, _, values)) => {
                name.push_str(&format!(" with {axis}"));
                values.iter_mut().for_each(|(name, value)| value.push_str(&format!(" with {}", of[name])));
            }
            None => merged.push((axis, of.clone(), of)),
        }
    }
    merged.into_iter().map(|(axis, _, values)| (axis, values)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(of: &[(&str, &[f64])]) -> BTreeMap<String, Scores> {
        let one = |(name, runs): &(&str, &[f64])| {
            ((*name).to_owned(), Scores::new([(String::new(), runs.to_vec())]).unwrap())
        };
        of.iter().map(one).collect()
    }

    fn of(scores: &BTreeMap<String, Scores>, baseline: &str) -> Vec<Effect> {
        effects(scores, baseline, &Bootstrap { resamples: 2000, ..Bootstrap::default() }).unwrap()
    }

    #[test]
    fn effects_equal_hand_calculations_and_the_largest_comes_first() {
        // Runs without spread: the intervals are the effects. Rows a = 0, 1, 2; columns b = x, y.
        let of = of(
            &scores(&[
                ("a=0,b=x", &[10.0; 3]),
                ("a=0,b=y", &[11.0; 3]),
                ("a=1,b=x", &[20.0; 3]),
                ("a=1,b=y", &[25.0; 3]),
                ("a=2,b=x", &[7.0; 3]),
            ]),
            "a=0,b=x",
        );
        let found: Vec<_> =
            of.iter().map(|e| (e.axis.as_str(), e.to.as_str(), e.difference.value, e.range, e.settings)).collect();
        // a, 0 to 1: (10 + 14) / 2; 0 to 2: x alone has both. b: 1 and 5; a = 2 has no partner.
        assert_eq!(
            found,
            [("a", "1", 12.0, (10.0, 14.0), 2), ("a", "2", -3.0, (-3.0, -3.0), 1), ("b", "y", 3.0, (1.0, 5.0), 2)]
        );
        assert_eq!((of[0].verdict(), of[1].verdict()), ("higher", "lower"));
        assert_eq!((of[0].difference.low, of[0].difference.high), (12.0, 12.0));
        assert!(
            of[2]
                .sentence()
                .starts_with("b from x to y: higher. Mean difference +3.00 [+3.00, +3.00], of one sign in all 2")
        );
    }

    #[test]
    fn an_effect_of_both_signs_is_not_a_difference_and_says_so() {
        let wide: [f64; 4] = [9.0, 10.0, 10.0, 11.0];
        let up = wide.map(|x| x + 5.0);
        let of = of(&scores(&[("a=0,b=0", &wide), ("a=0,b=1", &up), ("a=1,b=0", &up), ("a=1,b=1", &wide)]), "a=0,b=0");
        assert!(of.iter().all(|effect| effect.verdict() == "no difference shown" && !effect.agrees()), "{of:?}");
        assert!(of[0].sentence().contains("from -5.00 to +5.00 in 2 settings of the others"), "{}", of[0].sentence());
    }

    #[test]
    fn named_variants_and_random_points_are_two_axes() {
        // Two points of each variant, one variant named like a point. The variant gives 10, the
        // second point 1, and both together 2 more.
        let of = of(
            &scores(&[
                ("plain,r000", &[0.0; 3]),
                ("plain,r001", &[1.0; 3]),
                ("r2000,r000", &[10.0; 3]),
                ("r2000,r001", &[13.0; 3]),
            ]),
            "plain,r000",
        );
        let found: Vec<_> =
            of.iter().map(|e| (e.axis.as_str(), e.to.as_str(), e.difference.value, e.range, e.settings)).collect();
        assert_eq!(found, [("variant", "r2000", 11.0, (10.0, 12.0), 2), ("point", "r001", 2.0, (1.0, 3.0), 2)]);
        let names = ["r100,lr=1", "plain,lr=1", "plain,lr=2"].map(String::from);
        assert_eq!(axes(names.iter()).into_keys().collect::<Vec<_>>(), ["lr", "variant"]);
    }

    #[test]
    fn zipped_axes_are_one_and_named_variants_are_an_axis() {
        let names = ["plain,lr=1,tau=2", "plain,lr=3,tau=4", "long,lr=1,tau=2", "long,lr=3,tau=4"].map(String::from);
        let found = merged(axes(names.iter()));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["lr with tau", "variant"]);
        assert_eq!(found["lr with tau"]["long,lr=3,tau=4"], "3 with 4");
        let cut = ["a=0,b=1".to_owned(), "a=1~12345678".to_owned()];
        assert!(axes(cut.iter()).is_empty());
        // One axis: what the comparison of variants says already.
        assert!(of(&scores(&[("a=0", &[1.0]), ("a=1", &[2.0])]), "a=0").is_empty());
    }
}
