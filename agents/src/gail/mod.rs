//! Off-policy generative adversarial imitation learning with a Lipschitz-regularised reward
//! (arXiv 2006.16785).
//!
//! An actor–critic (`actor_critic`) learns from replay. Whenever a batch is drawn, `learned_reward`
//! replaces its rewards by those of the current discriminator, for all rows of all n-step windows
//! in one pass. After each update the discriminator learns. Its gradient penalty is the paper's
//! subject: without it the reward has peaks, which the critic inherits and the actor climbs.
//!
//! | file | content |
//! | --- | --- |
//! | `equations` | the discriminator's loss and penalty by autograd: begin here |
//! | `reward` | the rewards that a config can name; from logit to reward |
//! | `config`, `discriminator_config`, `reference` | settings; reference-implementation quirks |
//! | `encoder` | transitions as rows of the discriminator |
//! | `expert` | demonstrations, thinned out |
//! | `penalty` | the points of the gradient penalty |
//! | `classification` | the classification loss by hand |
//! | `discriminator` | the network and its gradient step by hand |
//! | `red` | random expert distillation, a reward without an adversary |
//! | `learned_reward` | the reward of a run: relabelling and shaping (`rewarding`), passes over the demonstrations (`learning`), the origin of rewards (`source`), gradient norms and the paper's quantities (`diagnostics`) |
//!
//! Differs from the authors' code by default in:
//!
//! 1. observations are standardised coordinate by coordinate;
//! 2. a window that ends in a termination never bootstraps beyond it;
//! 3. time limits do bootstrap;
//! 4. the absorbing state has its value in closed form, is never dropped from the demonstrations,
//!    and its indicators are not penalised;
//! 5. spectral normalisation does one round of power iteration a gradient step (there: one a
//!    forward pass);
//! 6. actions are in `[-1, 1]`, and so is noise on them (there in the environment's units);
//! 7. PURPLE's `per_call` leaves the rows beyond a window's cut out, and σ moves in the learner's
//!    reward calls alone (there all ten rows count, and other calls move σ too).
//!
//! All but 5 and 7 come back with `reference`; of 6 the critics' inputs stay as they are.

mod classification;
mod config;
mod discriminator;
mod discriminator_config;
mod encoder;
mod equations;
mod expert;
mod learned_reward;
pub(crate) mod memory;
mod penalty;
pub mod red;
mod reference;
pub mod reward;

pub use config::{Absorbing, GailConfig, PolicyConfig};
pub use discriminator_config::{
    ClassificationLoss, DiscriminatorConfig, DiscriminatorInput, GradientPenalty, Labels, Mixing, PenaltyKind, Units,
};
pub use expert::ExpertRows;
pub use learned_reward::LearnedReward;
pub use liprl_nets::lipschitz::Sides;
pub use reference::{Quirks, Reference};
pub use reward::{FitRows, LogitReward, RewardConfig, RewardKind, RewardSource, RowReward};
