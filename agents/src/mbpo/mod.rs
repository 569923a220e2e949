//! Model-based policy optimisation: SAC on short rollouts in a learned model (Janner et al. 2019,
//! arXiv 1906.08253). The model is an ensemble or one network, as Zheng et al. 2023 (arXiv 2302.01244)
//! compare them; their value regularisers are the actor–critic's.
//!
//! t counts environment steps from the end of the uniformly random ones. At each t that `refit_every`
//! divides within its epoch (t = 0 included), the model is fitted to all real transitions. Then
//! `rollouts` rollouts of k steps go into the model's buffer. Each step is followed by `updates`
//! updates of SAC. A batch has ⌊`real_ratio` · `batch_size`⌋ real transitions and imagined ones for
//! the rest.
//!
//! Differs from the authors' code in:
//! 1. real transitions are learned from at once, not only after their episode has ended;
//! 2. SAC's steps come in a fixed order (critics, actor, temperature, targets); there one graph call does them all;
//! 3. Hopper's termination rule counts entries below −100 too, see `termination`;
//! 4. imagined transitions that are not finite or have blown up are dropped and counted;
//! 5. the number of episodes of an evaluation is configured, not one;
//! 6. first weights of actor and critics are PyTorch's; theirs are Glorot's (`init: glorot`);
//! 7. the temperature's loss has α in place of log α, see `actor_critic/temperature.rs`.
//!
//! [`Profile::Ports`] lists the further choices of the later ports.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `model/train_loss` | the loss over a fit's last epoch, mean over the members, without decay and bounds' terms |
//! | `model/holdout_loss` | mean over the elites of the held-out mean squared error of (reward, s' − s) after a fit; with `targets: standardised` in that fit's units |
//! | `model/fit_epochs` | epochs of a fit |
//! | `model/fit_steps` | gradient steps of a fit, each of all members |
//! | `model/train_rows` | transitions that a fit learned from |
//! | `model/rollout_length` | k |
//! | `model/buffer_size` | imagined transitions held after a fit's rollouts |
//! | `model/imagined` | transitions stored by a fit's rollouts |
//! | `model/imagined_ended` | share of them that ended an imagined episode |
//! | `model/dropped` | imagined transitions dropped in a fit's rollouts |
//! | `model/termination_loss` | logistic loss of the learned termination rule after a fit |
//! | `perf/fit_s` | seconds of a fit, the learned termination rule's included; counted from the resume if a run stopped within the fit |
//! | `perf/rollouts_s` | seconds of the rollouts after a fit |
//! | `perf/policy_s` | seconds of SAC's updates after one step |
//!
//! SAC's own metrics are listed in `actor_critic/sac.rs`; those of evaluations in `mbpo/diagnostics.rs`.

mod agent;
mod config;
mod diagnostics;
pub mod dynamics;
pub(crate) mod memory;
mod profile;
mod rollout;
mod schedule;
mod termination;
mod termination_model;
mod value_aware_error;

pub use agent::Mbpo;
pub use config::MbpoConfig;
pub use dynamics::{Dynamics, ModelConfig, Prediction};
pub use profile::Profile;
pub use rollout::{RolloutCounts, RolloutOptions, RolloutWorkers};
pub use schedule::{Length, RolloutLength};
pub use termination::{Interval, Limit, Rule, TerminationConfig};
pub use termination_model::{TerminationModel, TerminationModelConfig};
pub use value_aware_error::value_aware_error;
