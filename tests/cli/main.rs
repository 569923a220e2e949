//! The whole program, through its command line.

// Test code fails by panicking.
#![allow(clippy::expect_used, clippy::panic)]

mod bad_configs;
mod certify;
mod commands;
mod configs;
mod demos;
mod disk;
mod disturb;
mod experts;
mod report;
mod resume;
mod runs;
mod support;
mod sweep;
mod train;
