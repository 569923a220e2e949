//! `liprl tradeoff`.

use std::process::ExitCode;

use liprl_analysis::{PictureFormat, find_runs};

use crate::Usage;
use crate::cli::TradeoffArgs;
use crate::disturb::Disturbed;
use crate::saved::Saved;
use crate::tradeoff::{Known, Measured, Tests, Tradeoff, csv, figures, json, table};

/// Evaluates every run under every disturbance, on the same episodes, and draws the costs against the policies' constants.
pub fn tradeoff(args: &TradeoffArgs) -> anyhow::Result<ExitCode> {
    PictureFormat::of(&args.out).map_err(|error| Usage(error.to_string()))?;
    let disturbances = args.disturb.iter().flat_map(|one| one.sizes.iter().map(|size| (one.kind, *size))).collect();
    let tests = Tests { disturbances, episodes: args.episodes, seed: args.seed };
    let folders = find_runs(&args.runs)?;
    let mut opened = folders.iter().map(|folder| Saved::open(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    // What cannot be done is said before anything is run.
    let task = opened[0].env.clone();
    for (folder, saved) in folders.iter().zip(&opened) {
        let folder = folder.display();
        if saved.env != task {
            return Err(Usage(format!("{folder} is not on the task of the others, {}", task.id)).into());
        }
        if !saved.policy.about().contains_key("lipschitz") {
            return Err(
                Usage(format!("{folder} is not a run of the agent `feedback`: its policy says no constant")).into()
            );
        }
        for &(kind, epsilon) in &tests.disturbances {
            Disturbed::new(&saved.policy, saved.task.env(), None, kind, epsilon)
                .map_err(|error| Usage(format!("{folder}: {error}")))?;
        }
    }
    let mut known = Known::of(&opened[0].task)?;
    let mut measured = Vec::new();
    for (folder, saved) in folders.iter().zip(&mut opened) {
        let mut one = Measured::of(folder, saved, &tests)?;
        if let Some(known) = &known {
            known.bound(saved, &mut one, &tests)?;
        }
        measured.push(one);
    }
    if let Some(known) = &mut known {
        let mut alphas: Vec<f64> = measured.iter().filter_map(|run| run.alpha).chain([known.slope]).collect();
        alphas.sort_by(f64::total_cmp);
        alphas.dedup();
        known.run_scaled(&mut opened[0].task, &tests, &alphas)?;
    }
    let tradeoff = Tradeoff::new(task.id, tests, measured, known);
    figures(&tradeoff).write(&args.out)?;
    fs_err::write(args.out.with_extension("csv"), csv(&tradeoff))?;
    fs_err::write(args.out.with_extension("json"), format!("{:#}\n", json(&tradeoff)))?;
    super::print(&format!("{}{}\n", table(&tradeoff), args.out.display()))
}
