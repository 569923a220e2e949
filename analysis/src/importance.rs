//! Importance of one setting of a search: the share of the variance of the points' ranks that the
//! setting explains alone.
//!
//! The share is the correlation ratio η² of the Kruskal–Wallis test: the variance between groups of
//! points over the variance of all ranks. Numbers are grouped by their quartiles, choices by
//! themselves. Without any effect its expectation is (groups − 1) / (points − 1).

use std::collections::BTreeMap;

use crate::bootstrap::{Bootstrap, ConfidenceInterval};
use crate::rank::ranks;
use crate::stats;

/// Values of a setting, one for each point.
#[derive(Clone, Debug, PartialEq)]
pub enum SettingValues {
    /// Numbers, which are grouped by quartiles.
    Numbers(Vec<f64>),
    /// Choices, each a group.
    Choices(Vec<String>),
}

/// Importance of a setting.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Importance {
    /// Share of the variance of ranks, from 0 to 1, with its bootstrap interval over points.
    pub share: ConfidenceInterval,
    /// Expected share if the setting had no effect.
    pub chance: f64,
}

/// Importance of a setting for results of the same points, of which −∞ is one that failed; `None`
/// if there are fewer than two groups or if all results are equal.
pub fn importance(results: &[f64], values: &SettingValues, bootstrap: &Bootstrap) -> Option<Importance> {
    let all: Vec<usize> = (0..results.len()).collect();
    let (_, groups) = explained(results, values, &all)?;
    let share = bootstrap.over(results.len(), |points| Some(explained(results, values, points)?.0))?;
    let chance = (groups - 1) as f64 / (results.len() - 1) as f64;
    Some(Importance { share, chance })
}

/// Share of the variance of ranks that groups explain, over some points, and the number of groups.
fn explained(results: &[f64], values: &SettingValues, points: &[usize]) -> Option<(f64, usize)> {
    let groups = grouped(values, points);
    let ranks = ranks(&points.iter().map(|point| results[*point]).collect::<Vec<_>>());
    let mean = stats::mean(&ranks);
    let whole: f64 = ranks.iter().map(|rank| (rank - mean).powi(2)).sum();
    let mut by_group: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for (group, rank) in groups.into_iter().zip(&ranks) {
        by_group.entry(group).or_default().push(*rank);
    }
    let between: f64 = by_group.values().map(|of| of.len() as f64 * (stats::mean(of) - mean).powi(2)).sum();
    (by_group.len() > 1 && whole > 0.0).then(|| (between / whole, by_group.len()))
}

/// The group of each point.
fn grouped(values: &SettingValues, points: &[usize]) -> Vec<usize> {
    match values {
        SettingValues::Choices(choices) => {
            let mut kinds: Vec<&String> = choices.iter().collect();
            kinds.sort_unstable();
            kinds.dedup();
            points.iter().map(|point| kinds.binary_search(&&choices[*point]).unwrap_or(0)).collect()
        }
        SettingValues::Numbers(numbers) => {
            let mut sorted: Vec<f64> = points.iter().map(|point| numbers[*point]).collect();
            sorted.sort_unstable_by(f64::total_cmp);
            let mut distinct = sorted.clone();
            distinct.dedup();
            // Few different numbers are groups by themselves.
            let cuts: Vec<f64> = if distinct.len() <= 4 {
                distinct
            } else {
                [0.25, 0.5, 0.75].map(|share| stats::quantile(&sorted, share)).to_vec()
            };
            points.iter().map(|point| cuts.partition_point(|cut| *cut < numbers[*point])).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choices(of: &str) -> SettingValues {
        SettingValues::Choices(of.chars().map(String::from).collect())
    }

    #[test]
    fn shares_equal_hand_calculations() {
        let found = |results: &[f64], values: &SettingValues| {
            importance(results, values, &Bootstrap { resamples: 200, ..Bootstrap::default() })
        };
        // Ranks 1 2 3 4 about 2.5 have squares of sum 5; the groups' means 1.5 and 3.5 explain 4.
        let all = found(&[-7.0, 0.5, 3.0, 900.0], &choices("aabb")).unwrap();
        assert_eq!((all.share.value, all.chance), (0.8, 1.0 / 3.0));
        // Means of 2.5 both.
        assert_eq!(found(&[-7.0, 0.5, 3.0, 900.0], &choices("abba")).unwrap().share.value, 0.0);
        // Two that failed share rank 1.5: squares 1 1 0.25 2.25 of sum 4.5, of which 4 × 1.
        let failed = found(&[f64::NEG_INFINITY, f64::NEG_INFINITY, 3.0, 900.0], &choices("aabb")).unwrap();
        assert!((failed.share.value - 4.0 / 4.5).abs() < 1e-12, "{failed:?}");
        // Quartiles of 1 … 8 are 2.75, 4.5 and 6.25: pairs with mean ranks 1.5, 3.5, 5.5 and 7.5,
        // which explain 2 × (9 + 1 + 1 + 9) = 40 of 42.
        let numbers = SettingValues::Numbers((1..=8).map(f64::from).collect());
        let results: Vec<f64> = (1..=8).map(|x| f64::from(x).exp()).collect();
        let found_numbers = found(&results, &numbers).unwrap();
        assert!((found_numbers.share.value - 40.0 / 42.0).abs() < 1e-12, "{found_numbers:?}");
        assert_eq!(found_numbers.chance, 3.0 / 7.0);
        // Two different numbers are two groups.
        let two = SettingValues::Numbers(vec![1.0, 1.0, 5.0, 5.0]);
        assert_eq!(found(&[1.0, 2.0, 3.0, 4.0], &two).unwrap().share.value, 0.8);
        assert!(found(&[1.0, 2.0], &choices("aa")).is_none() && found(&[1.0, 1.0], &choices("ab")).is_none());
        assert!(found(&[], &choices("")).is_none());
    }

    #[test]
    fn intervals_hold_the_share_and_tell_effects_from_none() {
        // One setting orders 40 points, the other has nothing to do with it.
        let results: Vec<f64> = (0..40).map(f64::from).collect();
        let bootstrap = Bootstrap { resamples: 1000, ..Bootstrap::default() };
        let strong = importance(&results, &SettingValues::Numbers(results.clone()), &bootstrap).unwrap();
        let none = choices(&"ab".repeat(20));
        let none = importance(&results, &none, &bootstrap).unwrap();
        for found in [strong, none] {
            assert!(found.share.low <= found.share.value && found.share.value <= found.share.high, "{found:?}");
        }
        assert!(strong.share.low > 0.8 && none.share.high < 0.3, "{strong:?} {none:?}");
    }
}
