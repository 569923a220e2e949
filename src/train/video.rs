//! `eval.video_every`: the first episode of an evaluation as a GIF for TensorBoard.

use super::session::Session;
use crate::rollout::watch_episode;
use crate::task::Task;
use crate::video::{Clip, Film, GifLimits, VideoError};

/// The size of a video in the event file.
const LIMITS: GifLimits = GifLimits { bytes: 1_000_000, side: 200, fps: 15 };

/// True if the evaluation at this step is to be filmed.
pub(super) fn due(session: &Session) -> bool {
    let (config, step) = (&session.config, session.counters.step);
    let wanted = config.log.tensorboard && config.eval.video_every > 0;
    wanted && step.is_multiple_of(config.eval.every.saturating_mul(config.eval.video_every))
}

/// Films the first episode of the evaluation at this step: the same seed, in an environment of its
/// own, so that the run goes on as without it.
pub(super) fn film(session: &mut Session) -> Result<(Clip, Vec<u8>), VideoError> {
    let mut task = Task::new(&session.config.env)?;
    let seed = session.eval_seed();
    let mut film = Film::gif(task.env().render_fps(), LIMITS);
    watch_episode(&mut task, &mut *session.agent, seed, |task, _| film.watch(task))?;
    film.finish()
}
