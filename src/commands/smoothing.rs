//! `liprl certify --method smoothing`.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::CertifyArgs;
use crate::load::LoadedPolicy;
use crate::smoothing::{ActionRow, ReturnRow, SmoothingOptions, SmoothingStudy};
use crate::terminal::{print, rounded_up, six_digits, table};
use crate::usage::Usage;

/// Bounds what errors of the observations can do to a smoothed policy. An attack that breaks a bound
/// is an error.
pub(super) fn certify(args: &CertifyArgs, run: &Path) -> anyhow::Result<ExitCode> {
    let Some(sigma) = args.smooth else {
        return Err(Usage("--method smoothing takes the noise's deviation: add --smooth SIGMA".to_owned()).into());
    };
    if args.network != "policy" || !args.boxes.is_empty() {
        return Err(Usage(
            "--method smoothing is for the policy, everywhere: leave --network and --box out".to_owned(),
        )
        .into());
    }
    let mut loaded = super::open_policy(run)?.runnable()?;
    let ascending = |numbers: &[f64]| {
        let mut numbers = numbers.to_vec();
        numbers.sort_by(f64::total_cmp);
        numbers.dedup();
        numbers
    };
    let options = SmoothingOptions {
        sigma,
        samples: args.samples as usize,
        sizes: ascending(&args.epsilon),
        budgets: ascending(&args.budget),
        states: args.states as usize,
        episodes: args.episodes.unwrap_or(1000),
        least: args.least_return,
        confidence: args.confidence,
        seed: args.seed,
        time_limit: Duration::from_secs_f64(args.time_limit.unwrap_or(10.0)),
    };
    let study = SmoothingStudy::new(&mut loaded, options)?;
    let text = if args.json { format!("{:#}\n", to_json(&study, &loaded)) } else { to_text(&study, &loaded)? };
    let code = print(&text)?;
    study.check()?;
    Ok(code)
}

fn to_text(study: &SmoothingStudy, loaded: &LoadedPolicy) -> anyhow::Result<String> {
    let (mut text, options) = (String::new(), &study.options);
    let (origin, id, percent) = (loaded.origin.display(), &loaded.env.id, 100.0 * options.confidence);
    writeln!(text, "{origin} ({id}, step {}) on observations with noise of deviation {}", loaded.step, options.sigma)?;
    writeln!(text, "all bounds together hold with a probability of {percent} %\n")?;
    writeln!(text, "Actions, in [-1, 1], of the mean over {} noisy observations", options.samples)?;
    if let Some(lipschitz) = study.lipschitz {
        let (without, with) = (rounded_up(lipschitz), rounded_up(study.slope));
        writeln!(text, "Lipschitz constant proven: {without} without noise, {with} with it, a coordinate")?;
    }
    let cells = |row: &ActionRow| {
        [
            row.size.to_string(),
            rounded_up(row.everywhere),
            rounded_up(row.smoothed),
            rounded_up(row.estimated),
            six_digits(row.met),
        ]
    };
    let header = ["error", "everywhere", "at visited states", "by the draws", "met by PGD"];
    write!(text, "\n{}", table(header, 0..5, study.actions.iter().map(cells).collect()))?;
    writeln!(text, "\nReturns, each step on one noisy observation, under an attack that sees all and has a budget")?;
    writeln!(text, "Σ‖δ‖² ≤ B² for the episode; without it the mean is {}\n", six_digits(study.band.mean()))?;
    let cells = |row: &ReturnRow| {
        let bound = |bound: Option<f64>| bound.map_or("none".to_owned(), |bound| format!("{bound:.1}"));
        let mean = row.attacked.iter().sum::<f64>() / row.attacked.len() as f64;
        [
            row.budget.to_string(),
            bound(row.median),
            bound(row.tenth),
            bound(row.expected),
            format!("{:.1}", row.attacked[row.attacked.len() / 2]),
            format!("{mean:.1}"),
        ]
    };
    let header = ["budget", "half reach", "9 in 10 reach", "expected", "PGD median", "PGD mean"];
    text += &table(header, 0..6, study.returns.iter().map(cells).collect());
    if options.least.is_none() {
        writeln!(text, "\n`expected` takes a return that no episode falls below: --least-return")?;
    }
    Ok(text)
}

fn to_json(study: &SmoothingStudy, loaded: &LoadedPolicy) -> Value {
    let options = &study.options;
    let action = |row: &ActionRow| {
        json!({
            "epsilon": row.size,
            "everywhere": row.everywhere,
            "smoothed": row.smoothed,
            "estimated": row.estimated,
            "observed": row.met,
        })
    };
    let returns = |row: &ReturnRow| {
        json!({
            "budget": row.budget,
            "half_reach": row.median,
            "nine_in_ten_reach": row.tenth,
            "expected": row.expected,
            "attacked": row.attacked,
        })
    };
    json!({
        "env": loaded.env,
        "policy": loaded.origin,
        "step": loaded.step,
        "seed": options.seed,
        "sigma": options.sigma,
        "samples": options.samples,
        "episodes": options.episodes,
        "confidence": options.confidence,
        "least_return": options.least,
        "lipschitz": { "plain": study.lipschitz, "smoothed_coordinate": study.slope },
        "return_mean": study.band.mean(),
        "actions": study.actions.iter().map(action).collect::<Vec<_>>(),
        "returns": study.returns.iter().map(returns).collect::<Vec<_>>(),
    })
}
