//! D4RL's flat files: all episodes end to end, separated by `terminals` and `timeouts`.
//!
//! The marks are held against the rows. A row whose `next_observations` are not the `observations`
//! of the row after it ends an episode too: there was a reset without a mark. A terminal from which
//! the next row goes on is a contradiction, and its episode a bad one.
//!
//! Without `next_observations` the row after stands for them, and rows are left out as by
//! `d4rl.qlearning_dataset`: the last one of an episode that a timeout ends, and the file's last
//! one. What follows a terminal is not known then; it is repeated. Without `timeouts` the task's
//! limit of steps stands for them.

use std::ops::Range;

use super::{
    episode::Episode,
    file::{Source, booleans, numbers},
    read::Parts,
    table::has_array,
};

/// Relative difference of two observations that are the same but for rounding to f32 and back.
const ROUNDING: f64 = 1e-5;

/// The columns of a flat file.
struct Rows {
    observations: Vec<f64>,
    next_observations: Option<Vec<f64>>,
    actions: Vec<f64>,
    rewards: Vec<f64>,
    terminals: Vec<bool>,
    timeouts: Option<Vec<bool>>,
    /// Steps after which an episode is cut off, if there are no `timeouts`.
    limit: Option<usize>,
    /// Numbers in an observation and an action.
    dims: (usize, usize),
}

/// The end of an episode.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Terminal,
    /// By a timeout, or the limit.
    Cut,
    /// A reset without a mark.
    Unmarked,
    /// The file's last row.
    Last,
}

/// The episodes of a flat file, of a task with this limit of steps. Rows after the last end are an
/// episode cut off by the file's end.
pub(super) fn episodes(source: &Source, limit: Option<u32>) -> Result<Parts, String> {
    let rows = Rows::read(source, limit)?;
    let (mut parts, mut ends, mut start) = (Parts::default(), Vec::new(), 0);
    for row in 0..rows.rewards.len() {
        let Some(end) = rows.end(row, start) else { continue };
        let number = parts.episodes.len();
        let episode = rows.episode(start..row + 1, end).map_err(|problem| format!("episode {number}: {problem}"));
        // Of a row whose action is left out nothing remains.
        parts.episodes.extend(episode.transpose());
        ends.push((row, end));
        start = row + 1;
    }
    parts.notes = rows.notes(&ends);
    Ok(parts)
}

impl Rows {
    fn read(source: &Source, limit: Option<u32>) -> Result<Self, String> {
        let root = source.file.root();
        let rewards = numbers(source, &root, "rewards", "rewards", true)?;
        let n = rewards.len_of("rewards")?;
        if n == 0 {
            return Err("rewards: has no step".into());
        }
        let table = |name: &str| {
            let array = numbers(source, &root, name, name, false)?;
            match array.rows_of(name)? {
                (rows, dim) if rows == n && dim > 0 => Ok((array.data, dim)),
                (rows, _) => Err(format!("{name}: has {rows} rows for {n} rewards")),
            }
        };
        let marks = |name: &str| {
            let marks = booleans(source, &root, name, name)?;
            if marks.len() == n { Ok(marks) } else { Err(format!("{name}: has {} rows for {n} rewards", marks.len())) }
        };
        let (observations, o) = table("observations")?;
        let there = |name: &str| has_array(&root, name);
        let next = if there("next_observations")? { Some(table("next_observations")?) } else { None };
        let (actions, a) = table("actions")?;
        if let Some((_, next_o)) = next.as_ref().filter(|next| next.1 != o) {
            return Err(format!("next_observations: has {next_o} coordinates, observations have {o}"));
        }
        let timeouts = if there("timeouts")? { Some(marks("timeouts")?) } else { None };
        let limit = limit.filter(|_| timeouts.is_none()).map(|limit| limit as usize);
        let (next_observations, terminals, dims) = (next.map(|next| next.0), marks("terminals")?, (o, a));
        Ok(Self { observations, next_observations, actions, rewards: rewards.data, terminals, timeouts, limit, dims })
    }

    /// The end at this row, of an episode that began at `start`.
    fn end(&self, row: usize, start: usize) -> Option<End> {
        let last = row + 1 == self.rewards.len();
        let timeout = self.timeouts.as_ref().is_some_and(|timeouts| timeouts[row]);
        let cut = timeout || self.limit == Some(row + 1 - start);
        match &self.next_observations {
            // Nothing tells a terminal that is none from an end.
            None if last => Some(End::Last),
            None if cut => Some(End::Cut),
            None => self.terminals[row].then_some(End::Terminal),
            Some(next) => {
                let rests = || self.terminals[row] && same(self.observation(row), self.row_of(next, row));
                let (goes_on, terminal) = (!last && self.goes_on(next, row), self.terminals[row]);
                match (cut, goes_on) {
                    (true, _) => Some(End::Cut),
                    (false, true) => rests().then_some(End::Terminal),
                    (false, false) if terminal => Some(End::Terminal),
                    (false, false) => Some(if last { End::Last } else { End::Unmarked }),
                }
            }
        }
    }

    /// True if the row after this one begins where this one led to.
    fn goes_on(&self, next: &[f64], row: usize) -> bool {
        same(self.row_of(next, row), self.observation(row + 1))
    }

    fn row_of<'a>(&self, table: &'a [f64], row: usize) -> &'a [f64] {
        &table[row * self.dims.0..][..self.dims.0]
    }

    fn observation(&self, row: usize) -> &[f64] {
        self.row_of(&self.observations, row)
    }

    /// The episode of these rows; `None` if none of their steps is known to its end.
    fn episode(&self, rows: Range<usize>, end: End) -> Result<Option<Episode>, String> {
        let ((o, a), last) = (self.dims, rows.end - 1);
        if let Some(row) = rows.clone().find(|&row| self.terminals[row] && row < last) {
            return Err(format!(
                "terminals: is true at row {row}, step {}, but row {} goes on from its next_observations",
                row - rows.start,
                row + 1
            ));
        }
        let mut observations = self.observations[rows.start * o..rows.end * o].to_vec();
        let steps = match &self.next_observations {
            Some(next) => {
                observations.extend_from_slice(self.row_of(next, last));
                rows.clone()
            }
            None if end == End::Terminal => {
                observations.extend_from_slice(self.observation(last));
                rows.clone()
            }
            None => rows.start..last,
        };
        let Some(final_step) = steps.len().checked_sub(1) else { return Ok(None) };
        let terminations = self.terminals[steps.clone()].to_vec();
        let mut truncations = match &self.timeouts {
            Some(timeouts) => timeouts[steps.clone()].to_vec(),
            None => vec![false; steps.len()],
        };
        truncations[final_step] |= !terminations[final_step];
        let episode = Episode {
            seed: None,
            observations,
            actions: self.actions[steps.start * a..steps.end * a].to_vec(),
            rewards: self.rewards[steps].to_vec(),
            terminations,
            truncations,
            infos: Default::default(),
        };
        episode.check(o, a).map_err(|problem| format!("{problem}, counted from row {} of the file", rows.start))?;
        Ok(Some(episode))
    }

    /// Remarks on what stands for a missing column or mark.
    fn notes(&self, ends: &[(usize, End)]) -> Vec<String> {
        let count = |wanted: &[End]| ends.iter().filter(|(_, end)| wanted.contains(end)).count();
        let mut notes = Vec::new();
        if let Some((first, _)) = ends.iter().find(|(_, end)| *end == End::Unmarked) {
            notes.push(format!(
                "resets without a mark: {}, the first after row {first}, whose next_observations are not the \
                 observations of row {}; episodes are split there",
                count(&[End::Unmarked]),
                first + 1
            ));
        }
        if self.next_observations.is_none() {
            notes.push(format!(
                "there are no next_observations: the observations of the row after stand for them, and {} last steps, of \
                 episodes that are cut off and of the file, are left out",
                count(&[End::Cut, End::Last])
            ));
            let terminals = count(&[End::Terminal]);
            if terminals > 0 {
                notes.push(format!("the observation after a terminal is not known; {terminals} repeat the one before"));
            }
        }
        match (&self.timeouts, self.limit) {
            (Some(_), _) => {}
            (None, Some(limit)) => notes.push(format!(
                "there are no timeouts: episodes are cut after the {limit} steps of the task's limit, {} of them",
                count(&[End::Cut])
            )),
            (None, None) => notes.push(
                "there are no timeouts, and no task with a limit of steps to cut episodes by: they end at terminals \
                 alone"
                    .to_owned(),
            ),
        }
        notes
    }
}

fn same(a: &[f64], b: &[f64]) -> bool {
    let close = |(x, y): (&f64, &f64)| (x - y).abs() <= ROUNDING * (1.0 + x.abs().max(y.abs())) || x == y;
    a.iter().zip(b).all(close)
}
