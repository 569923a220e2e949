//! Empty: cargo counts build dependencies, and the features they ask for, only if there is a build script.
fn main() {}
