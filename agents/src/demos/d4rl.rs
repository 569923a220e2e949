//! D4RL's flat files: all episodes end to end, separated by `terminals` and `timeouts`.
//!
//! The marks are held against the rows. A row whose `next_observations` are not the `observations`
//! of the row after it ends an episode too: there was a reset without a mark. A terminal from which
//! the next row goes on is a contradiction, and its episode a bad one.

use std::ops::Range;

use super::{
    episode::Episode,
    file::{Source, booleans, numbers},
    read::Parts,
};

/// Relative difference of two observations that are the same but for rounding to f32 and back.
const ROUNDING: f64 = 1e-5;

/// The columns of a flat file.
struct Rows {
    observations: Vec<f64>,
    next_observations: Vec<f64>,
    actions: Vec<f64>,
    rewards: Vec<f64>,
    terminals: Vec<bool>,
    timeouts: Vec<bool>,
    /// Numbers in an observation and an action.
    dims: (usize, usize),
}

/// The episodes of a flat file. Rows after the last end are an episode cut off by the file's end.
pub(super) fn episodes(source: &Source) -> Result<Parts, String> {
    let rows = Rows::read(source)?;
    let n = rows.rewards.len();
    let (mut parts, mut unmarked, mut start) = (Parts::default(), Vec::new(), 0);
    for end in (0..n).filter(|&row| row + 1 == n || rows.ends_at(row)) {
        if !(rows.terminals[end] || rows.timeouts[end] || end + 1 == n) {
            unmarked.push(end);
        }
        let number = parts.episodes.len();
        parts.episodes.push(rows.episode(start..end + 1).map_err(|problem| format!("episode {number}: {problem}")));
        start = end + 1;
    }
    if let Some(first) = unmarked.first() {
        parts.notes.push(format!(
            "resets without a mark: {}, the first after row {first}, whose next_observations are not the \
             observations of row {}; episodes are split there",
            unmarked.len(),
            first + 1
        ));
    }
    Ok(parts)
}

impl Rows {
    fn read(source: &Source) -> Result<Self, String> {
        let root = source.file.root();
        let rewards = numbers(source, &root, "rewards", "rewards", true)?;
        let n = rewards.len_of("rewards")?;
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
        let (next_observations, next_o) = table("next_observations")
            .map_err(|problem| format!("{problem} (without it the last observation of an episode is unknown)"))?;
        let (actions, a) = table("actions")?;
        if next_o != o {
            return Err(format!("next_observations: has {next_o} coordinates, observations have {o}"));
        }
        let (terminals, timeouts) = (marks("terminals")?, marks("timeouts")?);
        Ok(Self { observations, next_observations, actions, rewards: rewards.data, terminals, timeouts, dims: (o, a) })
    }

    fn ends_at(&self, row: usize) -> bool {
        self.timeouts[row] || !self.goes_on(row) || (self.terminals[row] && self.rests(row))
    }

    /// True if the row after this one begins where this one led to.
    fn goes_on(&self, row: usize) -> bool {
        let o = self.dims.0;
        same(&self.next_observations[row * o..][..o], &self.observations[(row + 1) * o..][..o])
    }

    /// True if nothing moves in this step. Then a reset cannot be told from going on.
    fn rests(&self, row: usize) -> bool {
        let o = self.dims.0;
        same(&self.observations[row * o..][..o], &self.next_observations[row * o..][..o])
    }

    fn episode(&self, rows: Range<usize>) -> Result<Episode, String> {
        let ((o, a), end) = (self.dims, rows.end - 1);
        if let Some(row) = rows.clone().find(|&row| self.terminals[row] && row < end) {
            return Err(format!(
                "terminals: is true at row {row}, step {}, but row {} goes on from its next_observations",
                row - rows.start,
                row + 1
            ));
        }
        let mut observations = self.observations[rows.start * o..rows.end * o].to_vec();
        observations.extend_from_slice(&self.next_observations[end * o..][..o]);
        let mut truncations = self.timeouts[rows.clone()].to_vec();
        truncations[end - rows.start] |= !self.terminals[end];
        let episode = Episode {
            seed: None,
            observations,
            actions: self.actions[rows.start * a..rows.end * a].to_vec(),
            rewards: self.rewards[rows.clone()].to_vec(),
            terminations: self.terminals[rows.clone()].to_vec(),
            truncations,
            infos: Default::default(),
        };
        episode.check(o, a).map_err(|problem| format!("{problem}, counted from row {} of the file", rows.start))?;
        Ok(episode)
    }
}

fn same(a: &[f64], b: &[f64]) -> bool {
    let close = |(x, y): (&f64, &f64)| (x - y).abs() <= ROUNDING * (1.0 + x.abs().max(y.abs())) || x == y;
    a.iter().zip(b).all(close)
}
