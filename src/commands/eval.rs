//! `liprl eval`.

use std::path::Path;
use std::process::ExitCode;

use liprl_agents::AgentError;
use liprl_analysis::{Curve, Figure, PictureFormat};
use liprl_control::certify::Network;
use liprl_control::smoothing::Smoothed;
use liprl_logbook::check_output;
use serde_json::{Value, json};

use crate::agent::networks;
use crate::cli::EvalArgs;
use crate::load::LoadedPolicy;
use crate::perturb::{PerturbationKind, Perturbations, PerturbedPolicy, run_episodes};
use crate::rollout::{EpisodeStats, EvalSummary, seeds, watch_episode};
use crate::task::Task;
use crate::terminal::{self, print};
use crate::usage::Usage;
use crate::video::{Clip, VideoFile};

/// The episodes under one perturbation; `None` for the undisturbed ones.
struct EvalRow {
    perturbation: Option<(PerturbationKind, f64)>,
    episodes: Vec<EpisodeStats>,
    summary: EvalSummary,
}

/// Runs a policy greedily and reports its returns, undisturbed and under each perturbation of the
/// arguments.
pub fn eval(args: &EvalArgs) -> anyhow::Result<ExitCode> {
    let mut loaded = super::open_policy(&args.run)?.runnable()?;
    // All checks come before the first episode.
    let needs_critic = args.disturb.iter().any(|one| one.kind == PerturbationKind::Critic);
    let critic = if needs_critic { critic(&args.run)? } else { None };
    let mut smoothed = Smoothed::new(loaded.policy.clone(), args.smooth.unwrap_or(0.0), args.samples as usize);
    let perturbations: Vec<(PerturbationKind, f64)> = args.disturb.iter().flat_map(Perturbations::each).collect();
    let perturbed = perturbations
        .iter()
        .map(|&(kind, epsilon)| PerturbedPolicy::new(&smoothed, loaded.task.env(), critic.clone(), kind, epsilon));
    let mut perturbed = perturbed.collect::<Result<Vec<_>, AgentError>>().map_err(|error| Usage(error.to_string()))?;
    if let Some(figure) = &args.figure {
        PictureFormat::of(figure).map_err(|error| Usage(error.to_string()))?;
        check_output(figure)?;
    }
    let video = args.video.as_deref().map(VideoFile::check).transpose()?;
    let clip = video.map(|video| film(&mut loaded.task, &mut smoothed, args.seed, video)).transpose()?;
    let seeds = seeds(args.seed, args.episodes);
    let all = run_episodes(&mut loaded.task, &mut smoothed, &mut perturbed, seeds)?;
    let perturbations = std::iter::once(None).chain(perturbations.into_iter().map(Some));
    let rows: Vec<EvalRow> = perturbations.zip(all).map(|(one, episodes)| EvalRow::new(one, episodes)).collect();
    if let Some(figure) = &args.figure {
        chart(&loaded, args.episodes, &rows).write(figure)?;
    }
    let told = clip.iter().map(|(video, clip)| video.tell(clip) + "\n").collect::<String>();
    print(&if args.json { report(&loaded, args, &rows, clip.as_ref()) } else { table(&loaded, args, &rows) + &told })
}

/// Films the episode of this seed, which the evaluation begins with.
fn film(task: &mut Task, policy: &mut Smoothed, seed: u64, video: VideoFile) -> anyhow::Result<(VideoFile, Clip)> {
    let fps = task.env().render_fps();
    let (_, clip) = video.film(fps, |film| {
        watch_episode(task, policy, seed, |task, _| -> anyhow::Result<()> { Ok(film.watch(task)?) })
    })?;
    Ok((video, clip))
}

/// Loads the first critic of a run; `None` if the agent has none.
fn critic(run: &Path) -> anyhow::Result<Option<Network>> {
    let found = networks(run)?.into_iter().find(|network| network.name == "critic_0");
    Ok(found.map(|found| found.network).transpose()?)
}

impl EvalRow {
    fn new(perturbation: Option<(PerturbationKind, f64)>, episodes: Vec<EpisodeStats>) -> Self {
        Self { perturbation, summary: EvalSummary::of(&episodes), episodes }
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

    /// The row of the table; `None` for the undisturbed episodes.
    fn cells(&self) -> Option<[String; 5]> {
        let (kind, epsilon) = self.perturbation?;
        let EvalSummary { return_mean, return_std, length_mean } = self.summary;
        Some([
            kind.to_string(),
            epsilon.to_string(),
            format!("{return_mean:.2}"),
            format!("{return_std:.2}"),
            format!("{length_mean:.0}"),
        ])
    }
}

fn report(loaded: &LoadedPolicy, args: &EvalArgs, rows: &[EvalRow], clip: Option<&(VideoFile, Clip)>) -> String {
    let mut report = json!({ "env": loaded.env, "policy": loaded.origin, "step": loaded.step, "seed": args.seed });
    let merge = |into: &mut Value, from: Value| {
        if let (Some(into), Value::Object(from)) = (into.as_object_mut(), from) {
            into.extend(from);
        }
    };
    if let Some(sigma) = args.smooth {
        report["smoothing"] = json!({ "sigma": sigma, "samples": args.samples });
    }
    merge(&mut report, rows[0].to_json());
    if rows.len() > 1 {
        let disturbed = rows.iter().filter_map(|row| {
            let (kind, epsilon) = row.perturbation?;
            let mut one = json!({ "kind": kind, "epsilon": epsilon });
            merge(&mut one, row.to_json());
            Some(one)
        });
        report["disturbances"] = disturbed.collect();
    }
    if let Some((video, clip)) = clip {
        report["video"] =
            json!({ "file": video.path(), "frames": clip.frames, "fps": clip.fps, "seconds": clip.seconds() });
    }
    format!("{report:#}\n")
}

fn table(loaded: &LoadedPolicy, args: &EvalArgs, rows: &[EvalRow]) -> String {
    let (id, origin, nominal, episodes) = (&loaded.env.id, loaded.origin.display(), rows[0].summary, args.episodes);
    let mut text = format!(
        "{id}: return {:.1} ± {:.1} over {episodes} episodes of {:.0} steps ({origin})\n",
        nominal.return_mean, nominal.return_std, nominal.length_mean
    );
    if let Some(sigma) = args.smooth {
        text +=
            &format!("smoothed: the mean action of {} observations with noise of deviation {sigma}\n", args.samples);
    }
    if rows.len() > 1 {
        let header = ["disturbance", "epsilon", "return", "std", "steps"];
        text += &terminal::table(header, 1..5, rows.iter().filter_map(EvalRow::cells).collect());
    }
    text
}

/// Return against ε, a curve for each kind, all from the undisturbed return at 0.
fn chart(loaded: &LoadedPolicy, episodes: u32, rows: &[EvalRow]) -> Figure {
    let mut series: Vec<(String, Vec<[f64; 4]>)> = Vec::new();
    let point = |epsilon: f64, summary: EvalSummary| {
        let EvalSummary { return_mean: mean, return_std: std, .. } = summary;
        [epsilon, mean, mean - std, mean + std]
    };
    for row in &rows[1..] {
        let Some((kind, epsilon)) = row.perturbation else { continue };
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
        title: format!("{} under perturbed observations", loaded.env.id),
        caption: format!("mean ± standard deviation of {episodes} episodes; {}", name(&loaded.origin)),
        x_label: "ε (Euclidean norm, observation units)".to_owned(),
        ..Figure::single("return", series.into_iter().map(|(label, points)| Curve::of_points(label, points)))
    }
}

fn name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
