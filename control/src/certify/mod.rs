//! Certificates: proven Lipschitz bounds of a trained network, everywhere and over a box, each with
//! a lower bound beside it, so that the gap shows. All in f64 on one thread; the f32 weights are
//! taken exactly as they are stored.
//!
//! | file | content |
//! | --- | --- |
//! | `network` | the network to certify: weights, biases, activation, input and output maps |
//! | `pairs` | max_min written by ReLUs |
//! | `pass` | its values and Jacobians |
//! | `extract` | the network of a policy file or of an agent's parameters |
//! | `slopes` | ranges of the activations' values, slopes and second derivatives |
//! | `lines` | lines that enclose an activation or its slope, and planes around products |
//! | `bound` | norms, and bounds that are proven |
//! | `algebra` | norms and factorisations of dense matrices |
//! | `product` | the product of the layers' norms, ℓ2 and ℓ∞ |
//! | `elimination` | LipSDP (Fazlyab et al. 2019, arXiv 1906.04893) by eliminating one layer at a time: value and gradient |
//! | `joint` | that inequality for densely connected networks and max_min: all hidden units at once |
//! | `reduce` | that problem of a network and its slopes, without neurons and directions that have no effect |
//! | `lipsdp` | its minimisation over the multipliers, the check of the result, and both over a box |
//! | `lbfgs` | the minimiser |
//! | `interval`, `base` | vectors between two corners; a box cut by half-spaces |
//! | `relax`, `backward` | interval and linear bounds on layers, and on rows of Jacobians |
//! | `substitution` | those, put back to the inputs |
//! | `local` | constants over a box (Shi et al. 2022, arXiv 2210.07394): bounds on the Clarke Jacobian |
//! | `patterns` | their largest norm where few neurons are unsure of their slopes |
//! | `branch` | their refinement by splitting the box or the neurons, with LipSDP where it pays |
//! | `lower` | the largest Jacobian norm found by sampling and climbing |
//!
//! The order that must hold: lower ≤ exact ≤ local ≤ global of the same norm, and exact ≤ LipSDP ≤
//! product. `docs/derivations/certificates.md` has the proofs, and the margins for rounding in f64.

mod algebra;
mod backward;
mod base;
mod bound;
mod branch;
mod elimination;
mod error;
mod extract;
mod interval;
mod joint;
mod lbfgs;
mod lines;
mod lipsdp;
mod local;
mod lower;
mod network;
mod pairs;
mod pass;
mod patterns;
mod product;
mod reduce;
mod region;
mod relax;
mod slopes;
mod substitution;

pub use bound::{Bound, Ended, Norm};
pub use branch::{LocalOptions, local_bound};
pub use error::CertifyError;
pub use extract::{Certifiable, Takes};
pub use lipsdp::{SdpBound, SdpOptions, lipsdp, lipsdp_on};
pub use lower::{Lower, LowerOptions, lower_bound};
pub use network::{Input, Network, OutputMap};
pub use product::{product, product_within};
pub use region::Region;
