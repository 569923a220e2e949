//! Games in which every player descends a loss of its own: does their play converge?
//!
//! Player i has the loss f_i and the pseudo-gradient is F = (∇₁f₁, …, ∇_N f_N). The small-gain
//! certificate (arXiv 2512.06791) asks for two numbers of each player and pair on a region: its own
//! curvature μᵢ ≤ λ_min(∇²ᵢᵢ fᵢ) and the influence L_ij ≥ ‖∇²ᵢⱼ fᵢ‖ of the others. From these it
//! bounds the rate at which simultaneous gradient play contracts, in a norm with a weight for each
//! player.
//!
//! | file | content | holds |
//! | --- | --- | --- |
//! | `margin` | the rate from μ, L and weights, the best weights, their band | wherever μ and L do |
//! | `quadratic` | games whose losses are quadratic | everywhere |
//! | `imitation` | adversarial imitation: a reward linear in features against a policy, on a finite MDP | near the equilibrium |
//!
//! Proofs: docs/derivations/games.md.

mod imitation;
mod margin;
mod quadratic;

pub use imitation::{ImitationGame, TabularMdp};
pub use margin::SmallGain;
pub use quadratic::{QuadraticGame, StepSizes};
