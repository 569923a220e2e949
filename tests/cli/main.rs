//! The whole program, through its command line.

// Test code fails by panicking.
#![allow(clippy::expect_used, clippy::panic)]

mod bad_configs;
mod commands;
mod configs;
mod demos;
mod report;
mod resume;
mod runs;
mod support;
mod train;
