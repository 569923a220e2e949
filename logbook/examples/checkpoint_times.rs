//! Times checkpoints of a full replay buffer: `cargo run --release -p liprl-logbook --example
//! checkpoint_times -- EMPTY_FOLDER`.
//!
//! The buffer is that of a million Hopper steps: 16 chunks of 65,536 rows of 105 bytes (two
//! observations of 11 numbers, an action of 3, a reward, flags). Between two checkpoints, 50,000
//! steps apart, one or two chunks change.

use std::error::Error;
use std::io::Write;
use std::time::Instant;

use liprl_logbook::{Checkpoints, Keep, Provenance, RunFolder};

const CHUNKS: u64 = 16;
const CHUNK_BYTES: usize = 65_536 * 105;
const LEARNER_BYTES: usize = 4_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("give an empty folder to write to")?;
    let run = RunFolder::create(path, "", &Provenance::collect("example", ".", &[], 1, None))?;
    let mut checkpoints = Checkpoints::open(&run);
    let (learner, chunk) = (vec![1; LEARNER_BYTES], vec![7; CHUNK_BYTES]);
    let mut out = std::io::stdout();
    for (step, changed) in [(1, CHUNKS), (2, 1), (3, 2), (4, 1)] {
        let started = Instant::now();
        let mut writer = checkpoints.begin(step)?;
        writer.put("learner", &learner)?;
        for index in 0..CHUNKS {
            let version = if index < changed { step } else { 1 };
            writer.put_shared(&format!("replay-{index}"), version, || chunk.clone())?;
        }
        writer.commit(Keep { last: 2, best: None })?;
        writeln!(out, "checkpoint {step}, {changed} of {CHUNKS} chunks changed: {:.0?}", started.elapsed())?;
    }
    let started = Instant::now();
    let found = Checkpoints::open(&run).latest_valid()?.ok_or("no checkpoint was found")?;
    writeln!(out, "found and verified: {:.0?}", started.elapsed())?;
    let started = Instant::now();
    let mut bytes = 0;
    for name in found.checkpoint.names() {
        bytes += found.checkpoint.get(name)?.len();
    }
    writeln!(out, "read {} MB, verified: {:.0?}", bytes / 1_000_000, started.elapsed())?;
    Ok(())
}
