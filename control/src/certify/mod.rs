//! Certificates: proven Lipschitz bounds of a trained network, everywhere and over a box, each with a lower bound beside it that says
//! how far from the truth it can be. All in f64 on one thread; the f32 weights are taken exactly as they are stored.
//!
//! | file | what |
//! | --- | --- |
//! | `network` | the network as certificates see it: weights, biases, slopes, what is done before and after |
//! | `pass` | its values and Jacobians |
//! | `extract` | that description of a perceptron's flat parameters, or of a policy file |
//! | `slopes` | what the activations' slopes can be, everywhere and on an interval, and lines that enclose them |
//! | `algebra` | norms and factorisations of dense matrices |
//! | `product` | the product of the layers' norms, ℓ2 and ℓ∞ |
//! | `elimination` | LipSDP (Fazlyab et al. 2019, arXiv 1906.04893) by eliminating one layer at a time: value and gradient |
//! | `reduce` | a network and its slopes as such a problem, without what does nothing |
//! | `lipsdp` | its minimisation over the multipliers, the check of the result, and the same with a box's slopes |
//! | `lbfgs` | the minimiser |
//! | `lines` | interval and linear bounds through a chain of layers |
//! | `local` | constants over a box (Shi et al. 2022, arXiv 2210.07394): bounds on the Clarke Jacobian |
//! | `branch` | their refinement by splitting the box or the neurons |
//! | `lower` | the largest Jacobian norm found by sampling and climbing |
//!
//! The order that must hold: lower ≤ exact ≤ local ≤ global of the same norm, and exact ≤ LipSDP ≤ product. Proofs, and what stands
//! between a proof and a number computed in f64: `docs/derivations/certificates.md`.

mod algebra;
mod branch;
mod elimination;
mod error;
mod extract;
mod lbfgs;
mod lines;
mod lipsdp;
mod local;
mod lower;
mod network;
mod pass;
mod product;
mod reduce;
mod region;
mod slopes;

pub use branch::{LocalOptions, local_bound};
pub use error::CertifyError;
pub use extract::{Certifiable, Takes};
pub use lipsdp::{SdpBound, SdpOptions, lipsdp, lipsdp_on};
pub use lower::{Lower, LowerOptions, lower_bound};
pub use network::{Head, Input, Network};
pub use product::product;
pub use region::Region;

use serde::{Deserialize, Serialize};

/// What a proven number is multiplied by, so that f64's rounding in finding it cannot have made it too small.
const MARGIN: f64 = 1.0 + 1e-9;

/// How lengths are measured, before and after the network alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Norm {
    /// Euclidean; of a Jacobian, its largest singular value.
    L2,
    /// Largest coordinate; of a Jacobian, its largest row sum of absolute values.
    Linf,
}

impl Norm {
    /// As tables show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::L2 => "l2",
            Self::Linf => "linf",
        }
    }
}

/// Why the search for a smaller bound ended. What it has found by then is valid either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// There is no more to find.
    Finished,
    /// By the limit of leaves ([`LocalOptions::leaves`]): more time changes nothing.
    LeafLimit,
    /// By the limit of time: more of it may find a smaller one.
    TimeLimit,
}

/// A proven upper bound, and whether what looks for a smaller one came to its end. It is valid either way.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The constant is at most this.
    pub upper: f64,
    /// Why there is no smaller one.
    pub ended: Ended,
}

impl Bound {
    /// Whether nothing cut the search short.
    pub fn finished(&self) -> bool {
        self.ended == Ended::Finished
    }
}
