//! Permutation tests of a difference, and Holm's correction for several of them.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::scores::{Estimator, Scores, ScoresError};

/// Most ways to divide the runs that are all tried; of more, so many are drawn.
const MOST: usize = 20_000;

/// Two-sided p value of a difference of estimates: the share of all ways to divide each task's runs
/// between the two methods, in groups of their sizes, whose difference is as large in absolute
/// value. Of more than 20,000 ways so many are drawn, and the runs' own counts as one more.
///
/// # Errors
/// If the two are of different tasks.
pub fn permutation_test(ours: &Scores, theirs: &Scores, estimator: Estimator, seed: u64) -> Result<f64, ScoresError> {
    ours.same_tasks(theirs)?;
    let pools: Vec<Vec<f64>> =
        ours.tasks().iter().zip(theirs.tasks()).map(|(a, b)| a.runs.iter().chain(&b.runs).copied().collect()).collect();
    let takes: Vec<usize> = ours.tasks().iter().map(|task| task.runs.len()).collect();
    let (mut a, mut b) = (ours.clone(), theirs.clone());
    let mut difference = |chosen: &[Vec<usize>]| {
        for (task, (pool, chosen)) in pools.iter().zip(chosen).enumerate() {
            let (ours, theirs) = (&mut a.tasks_mut()[task].runs, &mut b.tasks_mut()[task].runs);
            ours.clear();
            theirs.clear();
            let mut next = chosen.iter().peekable();
            for (index, value) in pool.iter().enumerate() {
                let is_ours = next.next_if(|chosen| **chosen == index).is_some();
                if is_ours { ours.push(*value) } else { theirs.push(*value) }
            }
        }
        (estimator.of(&a) - estimator.of(&b)).abs()
    };
    let mut chosen: Vec<Vec<usize>> = takes.iter().map(|take| (0..*take).collect()).collect();
    // The observed division comes first. Sums in another order differ by their last digits.
    let observed = difference(&chosen) * (1.0 - 1e-12);
    let ways = pools.iter().zip(&takes).try_fold(1_usize, |ways, (pool, take)| {
        ways.checked_mul(choices(pool.len(), *take)?).filter(|ways| *ways <= MOST)
    });
    if ways.is_some() {
        let (mut as_large, mut all) = (0, 0);
        loop {
            as_large += usize::from(difference(&chosen) >= observed);
            all += 1;
            let advanced = chosen.iter_mut().zip(&pools).any(|(chosen, pool)| advance(chosen, pool.len()));
            if !advanced {
                return Ok(as_large as f64 / all as f64);
            }
        }
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut as_large = 1;
    for _ in 0..MOST {
        for (chosen, pool) in chosen.iter_mut().zip(&pools) {
            draw(chosen, pool.len(), &mut rng);
        }
        as_large += usize::from(difference(&chosen) >= observed);
    }
    Ok(f64::from(as_large as u32) / (MOST + 1) as f64)
}

/// Number of ways to choose `take` of `n`; `None` if it is large.
fn choices(n: usize, take: usize) -> Option<usize> {
    (0..take.min(n - take)).try_fold(1_usize, |ways, at| Some(ways.checked_mul(n - at)? / (at + 1)))
}

/// Goes to the next choice in lexical order. After the last it begins anew, and gives false.
fn advance(chosen: &mut [usize], n: usize) -> bool {
    let take = chosen.len();
    match (0..take).rev().find(|at| chosen[*at] < n - take + at) {
        Some(at) => {
            let first = chosen[at] + 1;
            chosen[at..].iter_mut().enumerate().for_each(|(step, slot)| *slot = first + step);
            true
        }
        None => {
            chosen.iter_mut().enumerate().for_each(|(at, slot)| *slot = at);
            false
        }
    }
}

/// Draws a choice, all equally likely, in ascending order.
fn draw(chosen: &mut [usize], n: usize, rng: &mut ChaCha8Rng) {
    let (mut needed, mut slot) = (chosen.len(), 0);
    for index in 0..n {
        if rng.random_range(0..n - index) < needed {
            chosen[slot] = index;
            (slot, needed) = (slot + 1, needed - 1);
        }
    }
}

/// Holm's step-down correction: p values that hold for a whole family of tests, in their order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|a, b| p[*a].total_cmp(&p[*b]));
    let mut corrected = vec![0.0; p.len()];
    let mut least: f64 = 0.0;
    for (rank, index) in order.into_iter().enumerate() {
        least = least.max((p.len() - rank) as f64 * p[index]).min(1.0);
        corrected[index] = least;
    }
    corrected
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(runs: &[f64]) -> Scores {
        Scores::new([("task".to_owned(), runs.to_vec())]).unwrap()
    }

    fn p(ours: &[f64], theirs: &[f64], estimator: Estimator) -> f64 {
        permutation_test(&task(ours), &task(theirs), estimator, 0).unwrap()
    }

    #[test]
    fn all_divisions_are_counted() {
        // Of the 20 ways to choose three of six two have the largest difference, ±.
        assert_eq!(p(&[4.0, 5.0, 6.0], &[1.0, 2.0, 3.0], Estimator::Mean), 2.0 / 20.0);
        assert_eq!(p(&[1.0, 1.0], &[1.0, 1.0], Estimator::Mean), 1.0);
        // One of three against two: |3 − 1.5|, |2 − 2| and |1 − 2.5|.
        assert_eq!(p(&[3.0], &[1.0, 2.0], Estimator::Mean), 2.0 / 3.0);
        // SciPy 1.17.1, permutation_test of |difference| with all divisions: 55 and 54 of 126.
        let (a, b) = ([110.0, 98.5, 130.25, 101.0, 95.5], [90.0, 99.0, 85.75, 120.5]);
        assert_eq!(p(&a, &b, Estimator::Mean), 55.0 / 126.0);
        assert_eq!(p(&a, &b, Estimator::InterquartileMean), 54.0 / 126.0);
    }

    #[test]
    fn tasks_are_divided_by_themselves() {
        let two = |a: [f64; 2], b: [f64; 2]| Scores::new([("a".into(), a.into()), ("b".into(), b.into())]).unwrap();
        // 6 × 6 ways; the two tasks' means differ by 2 and by 20, and only the division itself and
        // its mirror image have all of both.
        let found =
            permutation_test(&two([3.0, 4.0], [30.0, 40.0]), &two([1.0, 2.0], [10.0, 20.0]), Estimator::Mean, 0);
        assert_eq!(found, Ok(2.0 / 36.0));
    }

    #[test]
    fn a_sample_of_many_divisions_is_close_to_all() {
        // All C(18, 9) = 48,620 ways by SciPy's permutation_test: 0.014192. Of 20,000 draws the share
        // has a standard error of 0.0008.
        let ours = [5.0, 7.0, 9.0, 11.0, 12.0, 13.0, 14.0, 16.0, 17.0];
        let theirs: Vec<f64> = (0..18).map(f64::from).filter(|x| !ours.contains(x)).collect();
        let found = p(&ours, &theirs, Estimator::Mean);
        assert!((found - 0.014_192).abs() < 4.0 * 0.000_84, "{found}");
    }

    #[test]
    fn holm_equals_a_calculation_by_hand() {
        // Sorted 0.01, 0.02, 0.03, 0.9 times 4, 3, 2, 1: 0.04, 0.06, 0.06, 0.9.
        assert_eq!(holm(&[0.03, 0.9, 0.01, 0.02]), [0.06, 0.9, 0.04, 0.06]);
        assert_eq!(holm(&[0.6, 0.5]), [1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
