//! Randomised smoothing: a policy that acts on noisy observations, and what Gaussian noise alone
//! proves of it, whatever the network.
//!
//! ã(x) = E π(x + η), η ~ N(0, σ²I). σ, and all distances, are Euclidean and in the observation's
//! own units; actions are in [-1, 1] and thus have the range r = 2.
//!
//! | file | content | holds for |
//! | --- | --- | --- |
//! | `policy` | the mean of m actions, each at a noisy observation | |
//! | `action` | how far an attack can move ã, and its mean of m draws | one step |
//! | `returns` | returns under an attack that sees everything | an episode whose steps act on one noisy observation |
//!
//! Proofs: docs/derivations/smoothing.md.

mod action;
mod policy;
mod returns;

pub use action::{ActionShift, Estimate, bernstein, empirical_bernstein, shift, slope};
pub use policy::Smoothed;
pub use returns::ReturnBand;

use statrs::distribution::{ContinuousCDF, Normal};

/// Φ(z).
fn cdf(z: f64) -> f64 {
    Normal::standard().cdf(z)
}

/// Φ⁻¹(p), with ±∞ at 1 and 0.
fn quantile(p: f64) -> f64 {
    if p <= 0.0 {
        f64::NEG_INFINITY
    } else if p >= 1.0 {
        f64::INFINITY
    } else {
        Normal::standard().inverse_cdf(p)
    }
}
