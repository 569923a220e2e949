//! Tests of the whole program through its command line.

// Test code fails by panicking.
#![allow(clippy::expect_used, clippy::panic)]

mod bad_configs;
mod certify;
mod certify_net;
mod closed_loop;
mod coming_from;
mod commands;
mod configs;
mod damage;
mod datasets;
mod demos;
mod disk;
mod disturb;
mod experts;
mod export;
mod import;
mod inputs;
mod metrics;
mod mistakes;
mod python;
mod recorded;
mod report;
mod resume;
mod runs;
mod search;
mod signals;
mod support;
mod sweep;
mod sweep_plan;
mod sweep_safety;
mod sweeps;
mod trackers;
mod train;
mod unstable;
mod video;
