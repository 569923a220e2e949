//! `cargo xtask <command>`: everything around the program that a researcher would otherwise do by
//! hand. It depends on no part of liprl, so it builds in seconds before libtorch and MuJoCo are
//! there.

mod bench;
mod cache;
mod demo;
mod expert;
mod lab;
mod parts;
mod process;
mod reproduce;
mod setup;
mod slurm;
mod suite;
mod tools;
mod torture;
mod venv;
mod wheel;
mod wheels;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  setup [--cuda] [--test]  fetch libtorch, MuJoCo and its task models; --cuda takes the GPU build of
                           libtorch, --test adds the Python packages the tests compare with
  demo                     setup, build, imitate an expert with and without the gradient penalty, show the results
  bench [--liayn CLONE]    time liprl and other libraries on the same work; the first time fetches those (7 GB);
                           CLONE is the authors' code of arXiv 2006.16785, fetched by hand
  bench --side-by-side     what two runs of a sweep do on two cores, against one alone; two minutes
  test                     setup --test, then formatting, lints and every test
  wheel [--test]           a binary wheel of the program and its Python functions, in target/wheels; --test uses it
                           in an empty environment outside the repository
  expert TASK [--steps N]  train an expert for ant or humanoid (hours; resumable) and record it to demos/
  reproduce liayn|mbrl|feedback|lipschitz|precision|options [--only NAME]
                           run the sweeps behind the page of results of that name, keep their logs and make its tables;
                           hours; started again it goes on
  reproduce --tables       make the tables of every page from the committed logs
  lab                      write a crate of `liprl new` outside the repository, build it and run its README's commands
  torture                  kill runs and damage files some 1,400 times; writes docs/results/reliability.md; 20 minutes
  slurm-test [--if-available]
                           test the Slurm launcher against a real Slurm of one node, which is installed if
                           you are root and have apt-get; --if-available only says so where there is none

Set LIBTORCH, MUJOCO_DYNAMIC_LINK_DIR, LIPRL_MUJOCO_ASSETS or LIPRL_PYTHON to use your own installation
of a part, and LIPRL_CACHE to keep downloads elsewhere than in ~/.cache/liprl.";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let root = root();
    let outcome = match words.as_slice() {
        [] | ["-h" | "--help" | "help", ..] => {
            println!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        ["setup", flags @ ..] if flags.iter().all(|flag| matches!(*flag, "--cuda" | "--test")) => setup::run(
            &root,
            setup::Options { cuda: flags.contains(&"--cuda"), test: flags.contains(&"--test"), peers: false },
        ),
        ["demo"] => demo::run(&root),
        ["bench"] => bench::run(&root, None),
        ["bench", "--liayn", clone] => bench::run(&root, Some(clone)),
        ["bench", "--side-by-side"] => bench::side_by_side::run(&root),
        ["test"] => suite::run(&root),
        ["wheel"] => wheel::build(&root).map(|_| ()),
        ["wheel", "--test"] => wheel::check(&root),
        ["expert", task] => expert::run(&root, task, None),
        ["expert", task, "--steps", steps] => expert::run(&root, task, Some(steps)),
        ["reproduce", "--tables"] => reproduce::tables(&root),
        ["reproduce", page] => reproduce::run(&root, page, None),
        ["reproduce", page, "--only", name] => reproduce::run(&root, page, Some(name)),
        ["lab"] => lab::check(&root),
        ["torture"] => torture::run(&root),
        ["slurm-test"] => slurm::run(&root, false),
        ["slurm-test", "--if-available"] => slurm::run(&root, true),
        _ => {
            eprintln!("error: `cargo xtask {}` is not a command\n\n{USAGE}", words.join(" "));
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The clone this was started in.
fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let xtask = manifest.unwrap_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")));
    xtask.parent().map(Path::to_path_buf).unwrap_or(xtask)
}
