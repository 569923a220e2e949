//! Memory of a full-sized buffer, measured on the process: alone in its program, so that nothing else allocates.
#![allow(clippy::unwrap_used, reason = "a test may stop here")]

use liprl_agents::{Flags, Replay, ReplayConfig, Transition};

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() * 4096.0
}

#[test]
fn a_million_hopper_transitions_take_at_most_120_megabytes() {
    let before = resident_bytes();
    let config = ReplayConfig { capacity: 1_000_000, obs_dim: 11, act_dim: 3, priorities: None };
    let mut replay = Replay::new(config).unwrap();
    let transition = Transition {
        obs: &[1.0; 11],
        action: &[0.5; 3],
        reward: 1.0,
        next_obs: &[2.0; 11],
        terminated: false,
        truncated: false,
    };
    (0..config.capacity).for_each(|_| replay.push(&transition, Flags::NONE).unwrap());
    let megabytes = (resident_bytes() - before) / 1e6;
    // 26 numbers of 4 bytes and a byte of flags; anything less would mean the measurement sees nothing.
    assert!((104.0..=120.0).contains(&megabytes), "{megabytes} MB");
}
