//! `liprl tradeoff`.

use std::process::ExitCode;

use liprl_analysis::{PictureFormat, find_runs};
use liprl_control::smoothing::Smoothed;
use liprl_logbook::{check_output, write_output};

use crate::cli::TradeoffArgs;
use crate::load::LoadedPolicy;
use crate::perturb::{Perturbations, PerturbedPolicy};
use crate::terminal::print;
use crate::tradeoff::{LqrBaseline, RunCosts, TestPlan, Tradeoff, csv, figures, json, table};
use crate::usage::Usage;

/// Evaluates every run under every perturbation, on the same episodes, and draws the costs against
/// the policies' constants.
pub fn tradeoff(args: &TradeoffArgs) -> anyhow::Result<ExitCode> {
    PictureFormat::of(&args.out).map_err(|error| Usage(error.to_string()))?;
    check_output(&args.out)?;
    let perturbations = args.disturb.iter().flat_map(Perturbations::each).collect();
    let plan = TestPlan { perturbations, episodes: args.episodes, seed: args.seed };
    let folders = find_runs(&args.runs)?;
    let mut opened =
        folders.iter().map(|folder| LoadedPolicy::open(folder)?.runnable()).collect::<anyhow::Result<Vec<_>>>()?;
    // All checks come before the first episode.
    let task = opened[0].env.clone();
    for (folder, loaded) in folders.iter().zip(&opened) {
        let folder = folder.display();
        if loaded.env != task {
            return Err(Usage(format!("{folder} is not on the task of the others, {}", task.id)).into());
        }
        if !loaded.policy.about().contains_key("lipschitz") {
            let problem =
                format!("{folder} is not a run of the agent `feedback`: its policy has no Lipschitz constant");
            return Err(Usage(problem).into());
        }
        for &(kind, epsilon) in &plan.perturbations {
            PerturbedPolicy::new(&Smoothed::plain(loaded.policy.clone()), loaded.task.env(), None, kind, epsilon)
                .map_err(|error| Usage(format!("{folder}: {error}")))?;
        }
    }
    let mut baseline = LqrBaseline::of(&opened[0].task)?;
    let mut runs = Vec::new();
    for (folder, loaded) in folders.iter().zip(&mut opened) {
        let mut run = RunCosts::of(folder, loaded, &plan)?;
        if let Some(baseline) = &baseline {
            baseline.bound(loaded, &mut run, &plan)?;
        }
        runs.push(run);
    }
    if let Some(baseline) = &mut baseline {
        let mut alphas: Vec<f64> = runs.iter().filter_map(|run| run.alpha).chain([baseline.expert_constant]).collect();
        alphas.sort_by(f64::total_cmp);
        alphas.dedup();
        baseline.run_scaled(&mut opened[0].task, &plan, &alphas)?;
    }
    let tradeoff = Tradeoff::new(task.id, plan, runs, baseline);
    figures(&tradeoff).write(&args.out)?;
    write_output(args.out.with_extension("csv"), csv(&tradeoff).as_bytes())?;
    write_output(args.out.with_extension("json"), format!("{:#}\n", json(&tradeoff)).as_bytes())?;
    print(&format!("{}{}\n", table(&tradeoff), args.out.display()))
}
