//! Value regularisers, which limit the critics' gradient norm (Zheng et al. 2023, arXiv 2302.01244).
//!
//! | file | content |
//! | --- | --- |
//! | `config` | the settings, `critic_spectral_norm` and `value_regulariser` of SAC and TD3 |
//! | `spectral` | spectral normalisation of every layer, the first mechanism of the paper, or projection onto its bound |
//! | `term` | the interface of a term in the critics' loss |
//! | `regulariser` | a term over the updates of one learner |
//! | `robust` | robust regularisation, the paper's second mechanism: the value at states an adversary has moved |
//! | `penalty` | a gradient penalty on the value |
//!
//! A term is a mean over `rows` rows of the batch, summed over the critics like their loss, with
//! the replay's importance weights. It is in the critics' outputs squared (normalised with
//! `normalise_returns`), as their loss is.
//!
//! Two economies change no number and are always on. Q(s, a) is taken from the critics' own pass
//! over the batch, and its gradient goes back with theirs. The adversary's passes leave the
//! parameters' gradients out. docs/value_regularisation.md has the equations and how to choose β,
//! λ, ε and k.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/robust_loss` | Σⱼ mean w (Qⱼ(s', π(s')) − Qⱼ(s, a))², without λ, in updates with the term |
//! | `train/robust_loss_at_zero` | its part at ε = 0, Σⱼ mean w (Qⱼ(s, π(s)) − Qⱼ(s, a))²: the gap between actions, not the slope |
//! | `train/robust_gain` | mean of \|Qⱼ(s', π(s')) − Qⱼ(s, a)\| − \|Qⱼ(s, π(s)) − Qⱼ(s, a)\|, what moving the state adds, in units of reward |
//! | `train/value_penalty` | Σⱼ mean w φ(‖∇ₛ Qⱼ(s, a)‖₂ − k), without λ, in updates with the term |
//! | `train/value_gradient_norm` | mean of those norms, in the penalty's units |
//! | `train/value_gradient_above` | share of them above k |

mod config;
#[cfg(test)]
mod own_term_tests;
mod penalty;
mod regulariser;
mod robust;
mod spectral;
mod term;

pub use config::{CriticSpectralNorm, NoTerm, SpectralForm, StateUnits, ValueRegulariser, ValueRegulariserKind};
pub(crate) use config::{check_regulariser, check_spectral_norm};
pub use penalty::ValuePenaltyConfig;
pub(crate) use regulariser::Regulariser;
pub use robust::{Adversary, Against, PolicyAction, RobustConfig};
pub(crate) use spectral::SpectralCritics;
pub use term::{
    Networks, Per, TermBatch, TermDraws, TermRows, TermSettings, TermShare, TermSizes, TermState, TermSums, ValueTerm,
};
