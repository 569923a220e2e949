//! Off-policy generative adversarial imitation learning with a Lipschitz-regularised reward (arXiv 2006.16785).
//!
//! An actor–critic (`actor_critic`) learns from replay. Whenever a batch is drawn, `learned_reward` replaces its rewards by those of the discriminator of
//! the moment, for all rows of all n-step windows in one pass, and after each update lets the discriminator learn. Its gradient penalty is what the
//! paper is about: without one the reward has peaks that the critic inherits and the actor climbs.
//!
//! | file | what |
//! | --- | --- |
//! | `config`, `discriminator_config`, `reference` | settings; ways of the authors' code |
//! | `encoder` | transitions as rows the discriminator takes |
//! | `expert` | demonstrations, thinned out |
//! | `loss` | classification: cross-entropy, positive–unlabelled |
//! | `penalty` | where the gradient penalty looks and what it costs |
//! | `discriminator` | the network and its gradient step |
//! | `reward` | from logit to reward |
//! | `red` | random expert distillation, a reward without adversary |
//! | `learned_reward` | all of it together: relabelling and shaping (`rewarding`), passes over the demonstrations (`learning`), how steep the reward is and the paper's quantities (`diagnostics`) |
//!
//! Differs from the authors' code by default in: observations standardised coordinate by coordinate; a window that ends in a termination
//! never bootstraps beyond it; time limits do bootstrap; the absorbing state has its value in closed form, is never dropped from the
//! demonstrations, and its indicators are not penalised; spectral normalisation does one round of power iteration a gradient step (there: one a forward pass). All but the last
//! come back with `reference`.

mod config;
mod discriminator;
mod discriminator_config;
mod encoder;
mod expert;
mod learned_reward;
mod loss;
mod penalty;
pub mod red;
mod reference;
pub mod reward;

pub use config::{Absorbing, GailConfig, PolicyConfig};
pub use discriminator_config::{
    ClassificationLoss, DiscriminatorConfig, DiscriminatorInput, GradientPenalty, Labels, Mixing, PenaltyKind, Units,
};
pub use expert::Expert;
pub use learned_reward::LearnedReward;
pub use liprl_nets::lipschitz::Sides;
pub use reference::{Quirks, Reference};
pub use reward::RewardConfig;
