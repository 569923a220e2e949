//! Scores of runs on tasks, and their aggregates.
//!
//! Every function here averages over two axes. A matrix with swapped axes would silently give
//! intervals of no width, so scores carry the names of their tasks, and a row is always one run.
//!
//! | estimate | definition (Agarwal et al. 2021, `rliable/metrics.py`) |
//! | --- | --- |
//! | mean | over tasks, of the mean over runs |
//! | median | over tasks, of the mean over runs: with one task the mean |
//! | interquartile mean | mean of all scores but the lowest and highest ⌊n/4⌋ |
//! | optimality gap | γ minus the mean of the scores cut off above γ |
//! | probability of improvement | P(X > Y) + P(X = Y)/2 for a random run of each (Mann–Whitney U/nm), mean over tasks |
//! | performance profile | share of all scores above τ |

use std::collections::BTreeSet;

use thiserror::Error;

use crate::stats;

/// Scores that cannot be aggregated or compared.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ScoresError {
    /// A row of another length than the list of tasks.
    #[error(
        "run {run} (row {run} of runs × tasks) has {found} scores for {tasks} tasks; a row is one run, a column one \
         task"
    )]
    Shape {
        /// The row, from 0.
        run: usize,
        /// Number of its scores.
        found: usize,
        /// Number of tasks.
        tasks: usize,
    },
    /// A task without a run, or an empty list of tasks.
    #[error("there are no scores{}", task.as_ref().map(|task| format!(" for task `{task}`")).unwrap_or_default())]
    Empty {
        /// The task.
        task: Option<String>,
    },
    /// A score that is NaN or infinite.
    #[error("a score for task `{task}` is not finite")]
    NotFinite {
        /// The task.
        task: String,
    },
    /// Two tasks of one name.
    #[error("task `{task}` is named twice")]
    Duplicate {
        /// The task.
        task: String,
    },
    /// Two methods that were not run on the same tasks.
    #[error("the scores compared are of different tasks: {ours} and {theirs}")]
    Tasks {
        /// One method's tasks.
        ours: String,
        /// The other's.
        theirs: String,
    },
}

/// Scores of one method: for each named task, one score a run. Tasks may differ in their number of
/// runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    tasks: Vec<TaskScores>,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TaskScores {
    name: String,
    pub(crate) runs: Vec<f64>,
}

impl Scores {
    /// Scores from the runs of each named task.
    ///
    /// # Errors
    /// If a task has no run, a score is not finite or a name comes twice.
    pub fn new(tasks: impl IntoIterator<Item = (String, Vec<f64>)>) -> Result<Self, ScoresError> {
        let tasks: Vec<TaskScores> = tasks.into_iter().map(|(name, runs)| TaskScores { name, runs }).collect();
        if tasks.is_empty() {
            return Err(ScoresError::Empty { task: None });
        }
        let mut names = BTreeSet::new();
        for TaskScores { name, runs } in &tasks {
            if runs.is_empty() {
                return Err(ScoresError::Empty { task: Some(name.clone()) });
            }
            if runs.iter().any(|score| !score.is_finite()) {
                return Err(ScoresError::NotFinite { task: name.clone() });
            }
            if !names.insert(name) {
                return Err(ScoresError::Duplicate { task: name.clone() });
            }
        }
        Ok(Self { tasks })
    }

    /// Scores from a matrix of runs × tasks: a row for each run, a column for each name.
    ///
    /// # Errors
    /// [`ScoresError::Shape`] for a row of another length, and those of [`Scores::new`].
    pub fn from_rows(tasks: &[&str], rows: &[Vec<f64>]) -> Result<Self, ScoresError> {
        for (run, row) in rows.iter().enumerate() {
            if row.len() != tasks.len() {
                return Err(ScoresError::Shape { run, found: row.len(), tasks: tasks.len() });
            }
        }
        let column = |index: usize| rows.iter().map(|row| row[index]).collect();
        Self::new(tasks.iter().enumerate().map(|(index, task)| ((*task).to_owned(), column(index))))
    }

    /// Names of the tasks, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tasks.iter().map(|task| task.name.as_str())
    }

    /// All scores, task after task.
    pub fn flat(&self) -> impl Iterator<Item = f64> {
        self.tasks.iter().flat_map(|task| task.runs.iter().copied())
    }

    /// Scores on the named tasks alone; `None` if there are none of them.
    pub(crate) fn on(&self, names: &BTreeSet<&str>) -> Option<Self> {
        let tasks: Vec<TaskScores> =
            self.tasks.iter().filter(|task| names.contains(task.name.as_str())).cloned().collect();
        (!tasks.is_empty()).then_some(Self { tasks })
    }

    /// Both scores on the tasks that both have, in one order; `None` if they share no task.
    pub(crate) fn on_shared(&self, other: &Self) -> Option<(Self, Self)> {
        let shared: BTreeSet<&str> = self.names().filter(|name| other.names().any(|theirs| theirs == *name)).collect();
        let (ours, mut theirs) = (self.on(&shared)?, other.on(&shared)?);
        theirs.tasks.sort_by_key(|task| ours.names().position(|name| name == task.name));
        Some((ours, theirs))
    }

    /// Fewest runs of any task.
    pub fn runs(&self) -> usize {
        self.tasks.iter().map(|task| task.runs.len()).min().unwrap_or(0)
    }

    pub(crate) fn tasks(&self) -> &[TaskScores] {
        &self.tasks
    }

    pub(crate) fn tasks_mut(&mut self) -> &mut [TaskScores] {
        &mut self.tasks
    }

    fn task_means(&self) -> Vec<f64> {
        self.tasks.iter().map(|task| stats::mean(&task.runs)).collect()
    }

    /// Rejects scores of other tasks, or of the same in another order.
    ///
    /// # Errors
    /// [`ScoresError::Tasks`].
    pub(crate) fn same_tasks(&self, other: &Self) -> Result<(), ScoresError> {
        let list = |scores: &Self| scores.names().collect::<Vec<_>>().join(", ");
        if self.names().eq(other.names()) {
            Ok(())
        } else {
            Err(ScoresError::Tasks { ours: list(self), theirs: list(other) })
        }
    }
}

/// Aggregate of scores in one number.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Estimator {
    /// Mean over tasks of the mean over runs.
    Mean,
    /// Median over tasks of the mean over runs.
    Median,
    /// Mean of the middle half of all scores.
    InterquartileMean,
    /// Mean distance of the scores below this value; a score above it counts 0.
    OptimalityGap(f64),
}

impl Estimator {
    /// Value for some scores.
    pub fn of(self, scores: &Scores) -> f64 {
        match self {
            Self::Mean => stats::mean(&scores.task_means()),
            Self::Median => stats::median(&mut scores.task_means()),
            Self::InterquartileMean => stats::interquartile_mean(&mut scores.flat().collect::<Vec<_>>()),
            Self::OptimalityGap(gamma) => {
                gamma - stats::mean(&scores.flat().map(|score| score.min(gamma)).collect::<Vec<_>>())
            }
        }
    }
}

/// Probability that a random run of `ours` scores higher than one of `theirs` on the same task,
/// averaged over tasks. Ties count half. Both must be of the same tasks in the same order.
pub fn probability_of_improvement(ours: &Scores, theirs: &Scores) -> f64 {
    let of_task = |(ours, theirs): (&TaskScores, &TaskScores)| {
        let wins = ours.runs.iter().map(|x| {
            let won = theirs.runs.iter().map(|y| match x.total_cmp(y) {
                std::cmp::Ordering::Greater => 1.0,
                _ if x == y => 0.5,
                _ => 0.0,
            });
            won.sum::<f64>()
        });
        wins.sum::<f64>() / (ours.runs.len() * theirs.runs.len()) as f64
    };
    stats::mean(&ours.tasks.iter().zip(&theirs.tasks).map(of_task).collect::<Vec<_>>())
}

/// Share of all scores above each threshold.
pub fn performance_profile(scores: &Scores, thresholds: &[f64]) -> Vec<f64> {
    let mut sorted: Vec<f64> = scores.flat().collect();
    sorted.sort_unstable_by(f64::total_cmp);
    let above = |tau: &f64| sorted.len() - sorted.partition_point(|score| score <= tau);
    thresholds.iter().map(|tau| above(tau) as f64 / sorted.len() as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_tasks() -> Scores {
        Scores::from_rows(&["a", "b"], &[vec![1.0, 10.0], vec![2.0, 20.0], vec![6.0, 30.0]]).unwrap()
    }

    #[test]
    fn estimates_equal_hand_calculations() {
        let scores = two_tasks();
        assert_eq!(Estimator::Mean.of(&scores), 11.5);
        assert_eq!(Estimator::Median.of(&scores), 11.5); // of 3 and 20
        // 1 2 6 10 20 30 without one at each end.
        assert_eq!(Estimator::InterquartileMean.of(&scores), 9.5);
        // (1 + 2 + 6 + 8 + 8 + 8) / 6 = 5.5
        assert_eq!(Estimator::OptimalityGap(8.0).of(&scores), 2.5);
        assert_eq!(performance_profile(&scores, &[0.0, 6.0, 30.0]), [1.0, 0.5, 0.0]);
    }

    #[test]
    fn improvement_counts_pairs_and_halves_ties() {
        let ours = Scores::new([("a".into(), vec![1.0, 3.0]), ("b".into(), vec![5.0])]).unwrap();
        let theirs = Scores::new([("a".into(), vec![1.0, 2.0]), ("b".into(), vec![0.0, 9.0])]).unwrap();
        // a: (0.5 + 0 + 1 + 1) / 4, b: 1/2
        assert_eq!(probability_of_improvement(&ours, &theirs), (0.625 + 0.5) / 2.0);
    }

    #[test]
    fn a_swapped_axis_is_refused() {
        // Three runs of two tasks, given as two rows of three.
        let error = Scores::from_rows(&["a", "b"], &[vec![1.0, 2.0, 6.0], vec![10.0, 20.0, 30.0]]).unwrap_err();
        assert_eq!(error, ScoresError::Shape { run: 0, found: 3, tasks: 2 });
        assert!(error.to_string().contains("a row is one run"), "{error}");
        let single = Scores::new([("a".into(), vec![1.0])]).unwrap();
        assert!(matches!(two_tasks().same_tasks(&single), Err(ScoresError::Tasks { .. })));
        assert!(matches!(Scores::new([("a".into(), vec![f64::NAN])]), Err(ScoresError::NotFinite { .. })));
        assert!(matches!(Scores::from_rows(&["a"], &[]), Err(ScoresError::Empty { .. })));
    }
}
