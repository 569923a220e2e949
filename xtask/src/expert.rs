//! `cargo xtask expert`: demonstrations of the tasks whose experts take hours, which are not shipped.

use std::path::Path;

use anyhow::Result;

use crate::process::{cargo, show};
use crate::setup;

/// Tasks by the names of their configs. The returns are about those that SAC's authors publish.
const EXPERTS: [Expert; 2] = [
    Expert { task: "ant", steps: "3e6", enough: "5000", hours: "3 to 5" },
    Expert { task: "humanoid", steps: "5e6", enough: "5000", hours: "6 to 12" },
];

/// The training of an expert.
struct Expert {
    task: &'static str,
    steps: &'static str,
    /// Return of an evaluation that ends the training early.
    enough: &'static str,
    /// Hours on one core of a current processor.
    hours: &'static str,
}

/// The tasks' names.
pub(crate) fn tasks() -> [&'static str; 2] {
    EXPERTS.map(|expert| expert.task)
}

/// Trains the expert of a task, or goes on with it, and records ten episodes to `demos/`. `steps`
/// replaces the length of the training.
pub(crate) fn run(root: &Path, task: &str, steps: Option<&str>) -> Result<()> {
    let Some(expert) = EXPERTS.iter().find(|expert| expert.task == task) else {
        anyhow::bail!("there is no expert `{task}` to train, but {}", tasks().join(" and "));
    };
    setup::run(root, setup::Options { cuda: false, test: false, peers: false })?;
    println!("training an expert for {task}: {} hours; started again, it goes on from its checkpoint", expert.hours);
    let out = format!("runs/experts/{task}");
    let program = ["run", "--release", "--quiet", "--"];
    let mut train = cargo(root, &program);
    train.args(["train", &format!("configs/sac/{task}.yaml"), "--out", &out, "--steps", steps.unwrap_or(expert.steps)]);
    train.args(["--set", &format!("stop_at_return={}", expert.enough)]);
    if root.join(&out).exists() {
        train.arg("--resume");
    }
    show(&mut train)?;
    let file = format!("demos/{task}.hdf5");
    show(cargo(root, &program).args(["record", &out, "--episodes", "10", "--seed", "1000", "--out", &file]))?;
    println!("configs/liayn/{task}.yaml and {task}_fast.yaml imitate it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expert_has_a_config_and_imitators_that_name_its_file() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        for task in tasks() {
            assert!(root.join(format!("configs/sac/{task}.yaml")).exists());
            for config in [format!("{task}.yaml"), format!("{task}_fast.yaml")] {
                let text = std::fs::read_to_string(root.join("configs/liayn").join(config)).unwrap();
                assert!(text.contains(&format!("demonstrations: demos/{task}.hdf5")));
                assert!(text.contains(&format!("cargo xtask expert {task}")));
            }
        }
        assert!(run(root, "hopper", None).unwrap_err().to_string().contains("ant and humanoid"));
    }
}
