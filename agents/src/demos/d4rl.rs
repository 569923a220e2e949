//! D4RL's flat files: all episodes end to end, separated by `terminals` and `timeouts`.

use hdf5_pure::File;

use super::{
    episode::Episode,
    file::{booleans, numbers},
};

/// The episodes of a flat file. Rows after the last end are an episode cut off by the file's end.
pub(super) fn episodes(file: &File) -> Result<Vec<Episode>, String> {
    let root = file.root();
    let rewards = numbers(file, &root, "rewards", "rewards", true)?;
    let n = rewards.len_of("rewards")?;
    let table = |name: &str| {
        let array = numbers(file, &root, name, name, false)?;
        match array.rows_of(name)? {
            (rows, dim) if rows == n && dim > 0 => Ok((array.data, dim)),
            (rows, _) => Err(format!("{name}: has {rows} rows for {n} rewards")),
        }
    };
    let marks = |name: &str| {
        let marks = booleans(file, &root, name, name)?;
        if marks.len() == n { Ok(marks) } else { Err(format!("{name}: has {} rows for {n} rewards", marks.len())) }
    };
    let (observations, o) = table("observations")?;
    let (next_observations, next_o) = table("next_observations")
        .map_err(|problem| format!("{problem} (without it the last observation of an episode is unknown)"))?;
    let (actions, a) = table("actions")?;
    let (terminals, timeouts) = (marks("terminals")?, marks("timeouts")?);
    if next_o != o {
        return Err(format!("next_observations: has {next_o} coordinates, observations have {o}"));
    }
    let mut episodes = Vec::new();
    let mut start = 0;
    for end in (0..n).filter(|&row| terminals[row] || timeouts[row] || row + 1 == n) {
        let mut observations = observations[start * o..(end + 1) * o].to_vec();
        observations.extend_from_slice(&next_observations[end * o..][..o]);
        let mut truncations = timeouts[start..=end].to_vec();
        truncations[end - start] |= !terminals[end];
        episodes.push(Episode {
            seed: None,
            observations,
            actions: actions[start * a..(end + 1) * a].to_vec(),
            rewards: rewards.data[start..=end].to_vec(),
            terminations: terminals[start..=end].to_vec(),
            truncations,
            infos: Default::default(),
        });
        start = end + 1;
    }
    Ok(episodes)
}
