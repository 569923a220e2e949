//! A plan merged with an earlier one and with the runs that were begun.

use std::path::Path;

use liprl_analysis::report::Score;
use liprl_logbook::{
    RunFolder, SWEEP_FORMAT_VERSION, SweepLock, SweepReport, SweepRun, SweepVariant, limits, read_text,
};

use super::claim::Claims;
use super::error::PlanError;
use super::folder::{CLAIMS, config_file};
use super::plan::{Plan, PlannedRun};
use crate::config::{Config, difference};

/// The config in a run's folder.
pub(super) fn stored_config(run: &Path) -> Result<Config, PlanError> {
    let folder = RunFolder::open(run)?;
    let mut config = Config::parse(&folder.config_path().display().to_string(), &folder.config()?, &[])?;
    // Of earlier versions, which kept paths as they were written.
    config.resolve_paths(&[run]).ok();
    Ok(config)
}

/// Merges the plan with an earlier one and with run folders that are there.
pub(super) fn merged(path: &Path, plan: &Plan) -> Result<SweepLock, PlanError> {
    let earlier = SweepLock::read(path)?;
    let (old_runs, old_variants) = earlier.map(|lock| (lock.runs, lock.variants)).unwrap_or_default();
    let mut differences = Vec::new();
    let mut runs = Vec::new();
    for planned in &plan.runs {
        let folder = planned.folder();
        let old = old_runs.iter().find(|old| old.folder == folder);
        let same = old.is_some_and(|old| old.id == planned.id);
        // A run keeps its id if a newer version only added settings with defaults.
        let listed = old.filter(|_| !same).map(|old| read_config(&config_file(path, &old.id))).transpose()?;
        let id = match (old, &listed) {
            (Some(old), Some(listed)) if old.steps == planned.config.steps && changed(planned, listed).is_none() => {
                &old.id
            }
            _ => &planned.id,
        }
        .clone();
        let begun = match old {
            _ if same => None,
            _ if path.join(&folder).exists() => Some(stored_config(&path.join(&folder))?),
            Some(old) if claimed(path, old) => listed,
            _ => None,
        };
        if let Some((setting, ours, theirs)) = begun.and_then(|begun| changed(planned, &begun)) {
            differences.push(format!("{}: `{setting}` was {theirs}, now {ours}", folder.display()));
        }
        runs.push(SweepRun {
            id,
            variant: planned.variant.clone(),
            seed: planned.config.seed,
            folder,
            steps: planned.config.steps,
            threads: planned.config.threads,
            active: true,
        });
    }
    if !differences.is_empty() {
        return Err(PlanError::Changed { folder: path.to_owned(), differences });
    }
    let gone = |old: &SweepRun| !runs.iter().any(|run| run.folder == old.folder);
    let aside: Vec<SweepRun> =
        old_runs.iter().filter(|old| gone(old)).map(|old| SweepRun { active: false, ..old.clone() }).collect();
    runs.extend(aside);
    let mut variants: Vec<SweepVariant> = plan
        .variants
        .iter()
        .map(|variant| SweepVariant { name: variant.name.clone(), settings: variant.settings.clone() })
        .collect();
    let gone = |old: &SweepVariant| !plan.variants.iter().any(|variant| variant.name == old.name);
    variants.extend(old_variants.into_iter().filter(gone));
    Ok(SweepLock {
        format_version: SWEEP_FORMAT_VERSION,
        experiment: plan.experiment.clone(),
        sweep_file: plan.file.clone(),
        report: SweepReport {
            question: plan.report.question.clone(),
            figure: plan.report.figure.clone(),
            metric: plan.report.metric.clone(),
            baseline: plan.report.baseline.clone(),
            score: Some(Score::from(plan.report.score).name().to_owned()),
            from: plan.report.from,
            reach: plan.report.reach,
            metrics: plan.report.metrics.clone(),
        },
        variants,
        runs,
        search: plan.search.clone(),
    })
}

fn read_config(file: &Path) -> Result<Config, PlanError> {
    Ok(Config::parse(&file.display().to_string(), &read_text(file, limits::CONFIG)?, &[])?)
}

/// True if a launcher is about to begin a run, or if its claim cannot be read.
fn claimed(sweep: &Path, run: &SweepRun) -> bool {
    let claims = Claims::open(&sweep.join(CLAIMS)).and_then(|claims| claims.holder(&run.id));
    claims.map_or(true, |holder| holder.is_some())
}

/// The first setting in which a planned run differs from a config on disk, except more steps.
fn changed(planned: &PlannedRun, there: &Config) -> Option<(String, String, String)> {
    if planned.config.steps < there.steps {
        return Some(("steps".to_owned(), planned.config.steps.to_string(), there.steps.to_string()));
    }
    difference(&planned.config, &Config { steps: planned.config.steps, ..there.clone() })
}
