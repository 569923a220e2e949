//! Demonstrations by experts that a system's equations give.

use crate::runs::write_config;
use crate::support::{finish, liprl};

#[test]
fn experts_are_recorded_where_the_equations_are_known() {
    let folder = tempfile::tempdir().expect("a folder");
    let record = |task: &str, kind: &str, name: &str| {
        let config = write_config(folder.path(), &format!("env: {task}\nsteps: 100\nagent: {{kind: td3}}\n"));
        let out = folder.path().join(name);
        let (config, out) = (config.to_str().expect("UTF-8"), out.to_str().expect("UTF-8"));
        finish(liprl(["record", config, "--expert", kind, "--episodes", "2", "--seed", "3", "--out", out]))
    };
    let (code, words, stderr) = record("DoubleIntegrator-v0", "lqr", "lqr.hdf5");
    assert!(code == 0 && words.contains("2 episodes of DoubleIntegrator-v0, return -"), "{words}{stderr}");
    let (code, words, stderr) = record("{id: PendulumSwingUp-v0, max_episode_steps: 100}", "mpc", "mpc.hdf5");
    assert_eq!(code, 0, "{stderr}");
    let total: f64 =
        words.split("return ").nth(1).and_then(|t| t.split(' ').next()).expect("a return").parse().expect("a number");
    assert!(total > -400.0, "{words}");
    let path = folder.path().join("mpc.hdf5");
    let (code, listing, stderr) = finish(liprl(["demos", "inspect", path.to_str().expect("UTF-8")]));
    assert!(code == 0 && listing.contains("2 episodes, 200 steps"), "{listing}{stderr}");

    let (code, _, stderr) = record("MountainCarContinuous-v0", "lqr", "none.hdf5");
    assert!(code == 2 && stderr.contains("no equations that an expert could be made from"), "{code} {stderr}");
    let given = "{id: Linear-v0, a: [[1.5, 0], [0, 0.5]], b: [0, 1]}";
    let (code, _, stderr) = record(given, "lqr", "none.hdf5");
    assert!(code == 1 && stderr.contains("no stabilising solution"), "{code} {stderr}");
}
