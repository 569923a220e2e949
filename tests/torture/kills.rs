//! Runs whose processes are killed again and again.

use std::path::Path;

use liprl_numerics::StreamRng;

use crate::Tally;
use crate::runs::{
    SMALL, SMALL_IMITATION, SMALL_MODEL_BASED, differences, small_agent, train_through, train_with_kills, write_config,
};

/// Kills at least so many processes of small runs and compares each run's end with that of one left
/// alone.
pub(crate) fn killed(folder: &Path, least: u32, rng: &mut StreamRng) -> Tally {
    let mut tally = Tally::new("kills (SIGKILL at random moments; resumed to the end, equal to the bit)");
    let sac = format!("{SMALL}{}", small_agent("sac"));
    let (mut kills, mut round) = (0, 0);
    while kills < least {
        for (name, config) in [("sac", &*sac), ("gail", SMALL_IMITATION), ("mbpo", SMALL_MODEL_BASED)] {
            if kills >= least {
                break;
            }
            let place = folder.join("kills").join(name);
            std::fs::create_dir_all(&place).expect("a folder");
            let config = write_config(&place, config);
            let (whole, run) = (place.join("whole"), place.join(format!("killed-{round}")));
            if round == 0 {
                train_through(&config, &whole, &["--quiet"]);
            }
            let (killed, _) = train_with_kills(&config, &run, rng);
            kills += killed;
            let different = differences(&whole, &run);
            for _ in 0..killed {
                tally.count(Ok(()));
            }
            if !different.is_empty() {
                tally.failures.push(format!("{}: {different:?}", run.display()));
            }
            std::fs::remove_dir_all(&run).expect("removed");
        }
        round += 1;
    }
    tally
}
