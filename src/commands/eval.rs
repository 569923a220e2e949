//! `liprl eval`.

use std::{fmt::Write, path::Path, process::ExitCode};

use liprl_agents::AgentError;
use liprl_analysis::{Curve, Figure, PictureFormat};
use liprl_control::certify::Network;
use serde_json::{Value, json};

use crate::{
    Usage,
    cli::EvalArgs,
    disturb::{Disturbed, Kind},
    rollout::{self, Episode, Summary},
    saved::{Saved, networks},
};

/// The episodes under one disturbance; none for the undisturbed ones.
struct Row {
    disturbance: Option<(Kind, f64)>,
    episodes: Vec<Episode>,
    summary: Summary,
}

/// Runs a policy greedily and reports its returns, undisturbed and under each disturbance asked for.
pub fn eval(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let mut saved = Saved::open(&args.run)?;
    let asked = args.disturb.iter().flat_map(|disturb| disturb.sizes.iter().map(|size| (disturb.kind, *size)));
    // What cannot be done is said before anything is run.
    let critic =
        if args.disturb.iter().any(|disturb| disturb.kind == Kind::Critic) { critic(&args.run)? } else { None };
    let disturbed = asked
        .map(|(kind, size)| {
            let disturbed = Disturbed::new(&saved.policy, saved.task.env(), critic.clone(), kind, size)?;
            Ok(((kind, size), disturbed))
        })
        .collect::<Result<Vec<_>, AgentError>>()
        .map_err(|error| Usage(error.to_string()))?;
    if let Some(figure) = &args.figure {
        PictureFormat::of(figure).map_err(|error| Usage(error.to_string()))?;
    }
    let seeds = || (0..u64::from(args.episodes)).map(|index| args.seed.wrapping_add(index));
    let Saved { task, policy, .. } = &mut saved;
    let episodes =
        seeds().map(|seed| rollout::episode(task, policy, seed, |_, _| ())).collect::<Result<Vec<_>, _>>()?;
    let mut rows = vec![Row::new(None, episodes)];
    for (disturbance, mut disturbed) in disturbed {
        let episodes = seeds().map(|seed| {
            disturbed.begin(seed);
            rollout::episode(task, &mut disturbed, seed, |_, _| ())
        });
        rows.push(Row::new(Some(disturbance), episodes.collect::<Result<Vec<_>, _>>()?));
    }
    if let Some(figure) = &args.figure {
        chart(&saved, args.episodes, &rows).write(figure)?;
    }
    super::print(&if args.json { report(&saved, args, &rows) } else { table(&saved, args.episodes, &rows)? })
}

/// The first critic of a run; none of an agent without one. One that no slope is known of is an error.
fn critic(run: &Path) -> anyhow::Result<Option<Network>> {
    let found = networks(run)?.into_iter().find(|network| network.name == "critic_0");
    Ok(found.map(|found| found.network).transpose()?)
}

impl Row {
    fn new(disturbance: Option<(Kind, f64)>, episodes: Vec<Episode>) -> Self {
        Self { disturbance, summary: Summary::of(&episodes), episodes }
    }

    fn to_json(&self) -> Value {
        let episodes: Vec<Value> =
            self.episodes.iter().map(|e| json!({ "return": e.total, "length": e.length })).collect();
        json!({
            "return_mean": self.summary.return_mean,
            "return_std": self.summary.return_std,
            "length_mean": self.summary.length_mean,
            "episodes": episodes,
        })
    }
}

fn report(saved: &Saved, args: &EvalArgs, rows: &[Row]) -> String {
    let mut report = json!({ "env": saved.env, "policy": saved.origin, "step": saved.step, "seed": args.seed });
    let merge = |into: &mut Value, from: Value| {
        if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
            into.extend(from);
        }
    };
    merge(&mut report, rows[0].to_json());
    if rows.len() > 1 {
        let disturbed = rows.iter().filter_map(|row| {
            let (kind, epsilon) = row.disturbance?;
            let mut one = json!({ "kind": kind, "epsilon": epsilon });
            merge(&mut one, row.to_json());
            Some(one)
        });
        report["disturbances"] = disturbed.collect();
    }
    format!("{report:#}\n")
}

fn table(saved: &Saved, episodes: u32, rows: &[Row]) -> Result<String, std::fmt::Error> {
    let (id, origin, nominal) = (&saved.env.id, saved.origin.display(), rows[0].summary);
    let mut text = format!(
        "{id}: return {:.1} ± {:.1} over {episodes} episodes of {:.0} steps ({origin})\n",
        nominal.return_mean, nominal.return_std, nominal.length_mean
    );
    if rows.len() > 1 {
        writeln!(text, "{:12} {:>10} {:>12} {:>10} {:>8}", "disturbance", "epsilon", "return", "std", "steps")?;
    }
    for row in &rows[1..] {
        let (summary, Some((kind, epsilon))) = (row.summary, row.disturbance) else { continue };
        let Summary { return_mean, return_std, length_mean } = summary;
        writeln!(text, "{kind:12} {epsilon:>10} {return_mean:>12.2} {return_std:>10.2} {length_mean:>8.0}")?;
    }
    Ok(text)
}

/// Return against ε, a curve for each kind, all from the undisturbed return at 0.
fn chart(saved: &Saved, episodes: u32, rows: &[Row]) -> Figure {
    let mut series: Vec<(String, Vec<[f64; 4]>)> = Vec::new();
    let point = |epsilon: f64, summary: Summary| {
        let Summary { return_mean: mean, return_std: std, .. } = summary;
        [epsilon, mean, mean - std, mean + std]
    };
    for row in &rows[1..] {
        let Some((kind, epsilon)) = row.disturbance else { continue };
        let label = kind.to_string();
        if !series.iter().any(|one| one.0 == label) {
            series.push((label.clone(), vec![point(0.0, rows[0].summary)]));
        }
        if let Some((_, points)) = series.iter_mut().find(|one| one.0 == label) {
            points.push(point(epsilon, row.summary));
        }
    }
    for (_, points) in &mut series {
        points.sort_by(|a, b| a[0].total_cmp(&b[0]));
    }
    Figure {
        title: format!("{} under falsified observations", saved.env.id),
        caption: format!("mean ± standard deviation of {episodes} episodes; {}", name(&saved.origin)),
        x_label: "ε (Euclidean norm, observation units)".to_owned(),
        ..Figure::single("return", series.into_iter().map(|(label, points)| Curve::of_points(label, points)))
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
