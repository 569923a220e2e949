//! The training loop: steps, logging events, evaluations, checkpoints and the run folder's summary.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Instant;

use liprl_logbook::{
    Checkpoints, HParam, Keep, LogPosition, LogbookError, Logger, LoggerOptions, RunFolder, RunSummary, Status,
    peak_memory_bytes,
};
use serde_json::Value;

use super::TrainOptions;
use super::checkpoint::{self, Restored, SaveError};
use super::folder::{Resumption, Start};
use super::progress::ProgressDisplay;
use super::session::{Evaluation, Session};
use super::video;
use crate::config::{Config, flatten};
use crate::panics;
use crate::rollout::EvalSummary;
use crate::signals::Signals;

/// The end of a run that did not fail.
#[derive(Clone, Debug, PartialEq)]
pub enum TrainEnd {
    /// All steps were taken, or `stop_at_return` was reached.
    Done,
    /// A signal came; its exit code.
    Stopped(u8),
}

/// A run that failed.
#[derive(Debug, thiserror::Error)]
#[error("training stopped at step {step}: {reason}\n{advice}")]
pub(super) struct TrainFailure {
    step: u64,
    reason: String,
    advice: String,
}

/// Trains in a folder, from the beginning or from its newest valid checkpoint.
pub(crate) fn run(start: Start, options: &TrainOptions, signals: &Signals) -> anyhow::Result<TrainEnd> {
    let quiet = options.quiet;
    if options.stop_at_eof {
        signals.watch_stdin()?;
    }
    let mut run = match start {
        Start::New(folder, session) => Run::new(folder, *session, quiet)?,
        Start::Resume(resumption) => Run::resume(*resumption, quiet)?,
        Start::Finished(_) => return Ok(TrainEnd::Done),
    };
    run.write_summary(Status::Running)?;
    let outcome = panics::caught(|| run.go(signals)).unwrap_or_else(|panic| Err(panic.into()));
    run.progress.end();
    match outcome {
        Ok(end) => {
            run.end(if end == TrainEnd::Done { Status::Done } else { Status::Stopped })?;
            Ok(end)
        }
        Err(error) => {
            let mut failure = run.failure(&error);
            run.note(&failure.to_string());
            // A summary that cannot be written, on a full disk perhaps, must not hide the failure.
            if let Err(error) = run.end(Status::Failed { reason: failure.to_string() }) {
                failure.advice.push_str(&format!("\nThis could not be written to summary.json: {error:#}"));
            }
            Err(failure.into())
        }
    }
}

struct Run {
    folder: RunFolder,
    session: Session,
    logger: Logger,
    checkpoints: Checkpoints,
    progress: ProgressDisplay,
    started: Instant,
    /// Seconds of work in earlier processes.
    earlier_s: f64,
    /// Time, step and updates at the last logging event.
    mark: (Instant, u64, u64),
    /// Numbers that the agent learns.
    parameters: Option<u64>,
    /// True once the log says that the simulation is unstable.
    told_unstable: bool,
    /// True once a video has failed; no further one is tried.
    without_video: bool,
}

impl Run {
    fn new(folder: RunFolder, mut session: Session, quiet: bool) -> anyhow::Result<Self> {
        session.work_in(folder.path())?;
        let checkpoints = Checkpoints::open(&folder);
        // Logs of a run that was killed before its first checkpoint are dropped.
        let mut logger = Logger::resume(&folder, &LogPosition::default(), logs(&session.config));
        logger.text(0, "config", &format!("```yaml\n{}```", session.config.to_yaml()?));
        let group = variant(folder.path());
        logger.hparams(group.as_deref(), &hparams(&session.config, group.is_some()));
        Ok(Self::at(folder, session, logger, checkpoints, quiet))
    }

    fn resume(resumption: Resumption, quiet: bool) -> anyhow::Result<Self> {
        let Resumption { folder, config, checkpoints, recovered, warnings } = resumption;
        let run = match recovered {
            None => {
                let run = Self::new(folder, Session::new(config)?, quiet)?;
                run.say("there is no checkpoint yet: starting from the beginning");
                run
            }
            Some(recovered) => {
                let Restored { mut session, log, wall_s, broken_off } =
                    checkpoint::load(config, &recovered.checkpoint)?;
                session.work_in(folder.path())?;
                let logger = Logger::resume(&folder, &log, logs(&session.config));
                let mut run = Self::at(folder, session, logger, checkpoints, quiet);
                run.earlier_s = wall_s;
                recovered.warnings.iter().for_each(|warning| run.say(&format!("warning: {warning}")));
                run.say(&format!("resumed at step {}", run.session.counters.step));
                if let Some(reason) = broken_off {
                    run.say(&format!(
                        "warning: {reason}; so the run does not go on exactly as it would have: the episode is cut off as \
                         truncated, and a new one begins"
                    ));
                }
                run
            }
        };
        warnings.iter().for_each(|warning| run.say(&format!("warning: {warning}")));
        Ok(run)
    }

    fn at(folder: RunFolder, mut session: Session, logger: Logger, checkpoints: Checkpoints, quiet: bool) -> Self {
        let (now, step) = (Instant::now(), session.counters.step);
        let progress = ProgressDisplay::new(quiet, step, session.config.steps);
        let mark = (now, step, session.agent.updates());
        let parameters = parameters(&mut session);
        Self {
            folder,
            session,
            logger,
            checkpoints,
            progress,
            started: now,
            earlier_s: 0.0,
            mark,
            parameters,
            told_unstable: false,
            without_video: false,
        }
    }

    fn go(&mut self, signals: &Signals) -> anyhow::Result<TrainEnd> {
        let (steps, log, eval, checkpoint) = {
            let config = &self.session.config;
            (config.steps, config.log.every, config.eval.every, config.checkpoint.every)
        };
        while self.session.counters.step < steps || self.session.busy() {
            if !self.session.busy() {
                self.session.advance()?;
            }
            if let Some(code) = self.finish_learning(signals)? {
                return Ok(TrainEnd::Stopped(code));
            }
            let step = self.session.counters.step;
            self.progress.step(step, steps, self.session.counters.last_return);
            if step.is_multiple_of(log) {
                self.log_event();
            }
            let best = if step.is_multiple_of(eval) || step == steps { self.evaluate()? } else { false };
            self.tell_unstable();
            let reached = self.target_reached();
            let signal = signals.pending();
            if best || step.is_multiple_of(checkpoint) || step == steps || reached || signal.is_some() {
                self.save()?;
            }
            self.report_log_faults();
            if reached {
                self.say("the wanted return is reached");
                return Ok(TrainEnd::Done);
            }
            if let (Some(code), true) = (signal, step < steps) {
                self.say(&format!("stopped by a signal at step {step}, after a checkpoint; continue with --resume"));
                return Ok(TrainEnd::Stopped(code));
            }
        }
        Ok(TrainEnd::Done)
    }

    /// Finishes the updates due after a step. A signal does not wait for them: it makes a
    /// checkpoint in their middle and its exit code is returned.
    fn finish_learning(&mut self, signals: &Signals) -> anyhow::Result<Option<u8>> {
        while self.session.busy() {
            if let Some(code) = signals.pending() {
                self.save()?;
                self.report_log_faults();
                let step = self.session.counters.step;
                self.say(&format!(
                    "stopped by a signal in the learning after step {step}, after a checkpoint; continue with --resume"
                ));
                return Ok(Some(code));
            }
            self.session.go_on_learning()?;
        }
        Ok(None)
    }

    /// Says once that the simulator starts over now and then.
    fn tell_unstable(&mut self) {
        if !self.told_unstable && self.session.unstable() {
            self.told_unstable = true;
            self.say(
                "warning: the simulation is unstable: MuJoCo starts over when positions, velocities or accelerations \
                 become too large; nothing is learned from such steps, train/simulator_restarts counts them",
            );
        }
    }

    /// True if this step has an evaluation that reaches `stop_at_return`.
    fn target_reached(&self) -> bool {
        let now = &self.session.counters;
        match (self.session.config.stop_at_return, now.last_eval) {
            (Some(target), Some((step, summary))) => step == now.step && summary.return_mean >= target,
            _ => false,
        }
    }

    fn log_event(&mut self) {
        let (step, updates) = (self.session.counters.step, self.session.agent.updates());
        let (since, first_step, first_update) = self.mark;
        let seconds = since.elapsed().as_secs_f64().max(1e-9);
        self.mark = (Instant::now(), step, updates);
        let mut scalars = self.session.counters.metrics.drain();
        scalars.push(("train/episodes".into(), self.session.counters.episodes as f64));
        let restarts = self.session.counters.simulator_restarts;
        if restarts > 0 {
            scalars.push(("train/simulator_restarts".into(), restarts as f64));
        }
        scalars.push(("perf/steps_per_s".into(), (step - first_step) as f64 / seconds));
        scalars.push(("perf/updates_per_s".into(), updates.saturating_sub(first_update) as f64 / seconds));
        let scalars: Vec<(&str, f64)> = scalars.iter().map(|(name, value)| (&**name, *value)).collect();
        self.logger.scalars(step, self.wall_s(), &scalars);
    }

    /// Evaluates and logs; true for the best evaluation so far.
    fn evaluate(&mut self) -> anyhow::Result<bool> {
        let Evaluation { summary, best, diagnostics } = self.session.evaluate()?;
        let step = self.session.counters.step;
        let mut scalars: Vec<(&str, f64)> = match &summary {
            Some(summary) => vec![
                ("eval/return_mean", summary.return_mean),
                ("eval/return_std", summary.return_std),
                ("eval/length_mean", summary.length_mean),
            ],
            None => Vec::new(),
        };
        scalars.extend(diagnostics.iter().map(|(name, value)| (&**name, *value)));
        self.logger.scalars(step, self.wall_s(), &scalars);
        for (name, values) in self.session.agent.histograms()? {
            self.logger.histogram(step, &name, &values);
        }
        if !self.without_video && video::due(&self.session) {
            self.film();
        }
        self.logger.flush();
        let mark = if best { ", the best so far" } else { "" };
        let line = match summary {
            Some(EvalSummary { return_mean, return_std, length_mean }) => {
                format!("evaluation return {return_mean:.1} ± {return_std:.1} over {length_mean:.0} steps{mark}")
            }
            None => {
                let error = diagnostics.iter().find(|(name, _)| name == "lipschitz/demonstration_mse");
                let error = error.map_or(f64::NAN, |(_, error)| *error);
                format!("mean squared error {error:.3e} at the demonstrations, no evaluation without an environment")
            }
        };
        self.say(&format!("step {step}: {line}"));
        self.write_summary(Status::Running)?;
        Ok(best)
    }

    /// Films and logs the evaluation's first episode. A failure must not stop the run.
    fn film(&mut self) {
        match panics::caught(|| video::film(&mut self.session)) {
            Ok(Ok((clip, gif))) => self.logger.gif(self.session.counters.step, "eval/video", clip.size, gif),
            Ok(Err(error)) => self.give_up_videos(&error),
            Err(panic) => self.give_up_videos(&panic),
        }
    }

    fn give_up_videos(&mut self, problem: &dyn std::error::Error) {
        self.without_video = true;
        self.say(&format!("warning: no videos are made from here on: {problem}"));
    }

    fn save(&mut self) -> Result<(), SaveError> {
        let (step, wall_s) = (self.session.counters.step, self.wall_s());
        let log = self.logger.position();
        let mut writer = self.checkpoints.begin(step)?;
        checkpoint::save(&mut self.session, &mut writer, log, wall_s)?;
        let best = self.session.counters.best_eval.map(|(step, _)| step);
        let warnings = writer.commit(Keep { last: 2, best })?;
        warnings.iter().for_each(|warning| self.say(&format!("warning: {warning}")));
        Ok(())
    }

    fn report_log_faults(&mut self) {
        for warning in self.logger.take_warnings() {
            self.say(&format!("warning: {warning}"));
        }
    }

    /// Closes the logs and writes the summary.
    fn end(&mut self, status: Status) -> anyhow::Result<()> {
        self.logger.finish(&status);
        self.report_log_faults();
        self.write_summary(status)
    }

    fn write_summary(&self, status: Status) -> anyhow::Result<()> {
        let now = &self.session.counters;
        let seconds = self.wall_s();
        let earlier = self.folder.summary().ok().and_then(|summary| summary.peak_memory_bytes);
        self.folder.write_summary(&RunSummary {
            status,
            steps: now.step,
            final_return: now.last_eval.map(|(_, summary)| summary.return_mean),
            best_return: now.best_eval.map(|(_, summary)| summary.return_mean),
            best_step: now.best_eval.map(|(step, _)| step),
            seconds,
            steps_per_second: now.step as f64 / seconds.max(1e-9),
            peak_memory_bytes: peak_memory_bytes().max(earlier),
            parameters: self.parameters,
        })?;
        Ok(())
    }

    fn failure(&self, error: &anyhow::Error) -> TrainFailure {
        let mut advice = if disk_full(error) { "Make room on that disk. " } else { "" }.to_owned();
        // As it is on the disk: a save can fail before its checkpoint counts or after.
        match self.checkpoints.newest_whole() {
            Some(step) => advice.push_str(&format!(
                "The last good checkpoint is that of step {step} in {}; \
                 --resume goes on from it once the cause is gone.",
                self.folder.checkpoints_path().display()
            )),
            None => advice.push_str("There is no checkpoint yet."),
        }
        TrainFailure { step: self.session.counters.step, reason: format!("{error:#}"), advice }
    }

    fn wall_s(&self) -> f64 {
        self.earlier_s + self.started.elapsed().as_secs_f64()
    }

    /// Writes a line to the terminal and to run.log.
    fn say(&self, line: &str) {
        self.progress.say(line);
        self.note(line);
    }

    /// Writes a line to run.log alone. A failure must not stop the run.
    fn note(&self, line: &str) {
        let _ = self.folder.append_log(line);
    }
}

/// True if a file could not be written because its disk is full.
fn disk_full(error: &anyhow::Error) -> bool {
    let files = match error.downcast_ref::<SaveError>() {
        Some(SaveError::Files(files)) => Some(files),
        _ => error.downcast_ref::<LogbookError>(),
    };
    let Some(LogbookError::Io(error)) = files else { return false };
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
}

fn logs(config: &Config) -> LoggerOptions {
    LoggerOptions { tensorboard: config.log.tensorboard, metrics: true }
}

/// The count of numbers that the agent learns, by its histograms of weights.
fn parameters(session: &mut Session) -> Option<u64> {
    let shown = session.agent.histograms().ok()?;
    let learnt = shown.iter().filter(|(name, _)| name.starts_with("weights/"));
    Some(learnt.map(|(_, values)| values.len() as u64).sum())
}

/// The name that all seeds of a variant share, `<experiment>/<variant>`; `None` if the run is not
/// called `seed-<n>`.
fn variant(run: &Path) -> Option<String> {
    run.file_name()?.to_str()?.strip_prefix("seed-")?;
    let variant = run.parent()?;
    let experiment = variant.parent()?.file_name()?;
    Some(format!("{}/{}", experiment.to_str()?, variant.file_name()?.to_str()?))
}

/// The settings for TensorBoard; `without_seed` for runs that differ in nothing but their seeds.
fn hparams(config: &Config, without_seed: bool) -> Vec<(String, HParam)> {
    let table = flatten(config).into_iter().filter(|(path, _)| !(without_seed && path == "seed"));
    table
        .map(|(path, value)| match value {
            Value::Bool(flag) => (path, HParam::Bool(flag)),
            Value::Number(number) => (path, HParam::Number(number.as_f64().unwrap_or(f64::NAN))),
            Value::String(text) => (path, HParam::Text(text)),
            other => (path, HParam::Text(other.to_string())),
        })
        .collect()
}
