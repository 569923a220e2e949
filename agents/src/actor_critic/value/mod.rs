//! Value regularisers: what keeps the critics from being steep (Zheng et al. 2023, "Is Model Ensemble Necessary? Model-based RL via a
//! Single Model with Lipschitz Regularized Value Function", arXiv 2302.01244).
//!
//! | file | what |
//! | --- | --- |
//! | `config` | the settings, `critic_spectral_norm` and `value_regulariser` of SAC and TD3 |
//! | `spectral` | spectral normalisation of every layer, the first mechanism of the paper, or projection onto its bound |
//! | `robust` | robust regularisation, the second: the value at states an adversary has moved |
//! | `penalty` | a gradient penalty on the value |
//! | `local` | how steep the value is near given states, for evaluations |
//!
//! A term is a mean over `rows` rows of the batch, summed over the critics like their loss, with the replay's importance weights where that
//! has some. It is in the critics' outputs squared (normalised with `normalise_returns`), as their loss is. Two economies are always on,
//! because they change no number: Q(s, a) is taken from the critics' own pass over the batch, and its gradient goes back with theirs;
//! the adversary's passes leave the parameters' gradients out. docs/value_regularisation.md has the equations and how to choose β, λ, ε and k.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `train/robust_loss` | Σⱼ mean w (Qⱼ(s', π(s')) − Qⱼ(s, a))², without λ, in updates that have the term |
//! | `train/robust_loss_at_zero` | its part at ε = 0, Σⱼ mean w (Qⱼ(s, π(s)) − Qⱼ(s, a))²: the gap between actions, not the slope |
//! | `train/robust_gain` | mean of \|Qⱼ(s', π(s')) − Qⱼ(s, a)\| − \|Qⱼ(s, π(s)) − Qⱼ(s, a)\|, what moving the state adds, in units of reward |
//! | `train/value_penalty` | Σⱼ mean w φ(‖∇ₛ Qⱼ(s, a)‖₂ − k), without λ, in updates that have the term |
//! | `train/value_gradient_norm` | mean of those norms, in the penalty's units |
//! | `train/value_gradient_above` | share of them above k |

mod config;
pub(super) mod local;
mod penalty;
mod regulariser;
mod robust;
mod spectral;

pub use config::{
    Adversary, Against, CriticSpectralNorm, PolicyAction, RobustConfig, SpectralForm, StateUnits, ValuePenaltyConfig,
    ValueRegulariser,
};
pub(crate) use config::{Beside, check_regulariser, check_spectral_norm};
pub(crate) use regulariser::{Networks, Regulariser, TermRows, TermSums, add_term, state, total};
pub(crate) use spectral::{SpectralCritics, in_use, limited, step, used};
