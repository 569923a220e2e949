//! The bounds B1 to B4 on a feedback policy in the loop, each beside the largest value that
//! simulation observes: for `liprl certify --closed-loop`, and as bounds on costs for `liprl
//! tradeoff`.
//!
//! | file | content |
//! | --- | --- |
//! | `policy` | the policy in f64 and the environment's units, and its Lipschitz constant |
//! | `system` | the system, its expert u = −Kx, its loops |
//! | `region` | the region that the bounds hold on |
//! | `bounds` | the constants and the bounds they give |
//! | `simulate` | runs under random, constant and worst-case measurement errors |
//! | `report` | table and JSON |
//! | `costs` | bounds on the cost of episodes on a linear system |

mod bounds;
mod costs;
mod policy;
mod region;
mod report;
mod simulate;
mod system;

use liprl_control::bounds::Constant;
use liprl_envs::systems::Model;

use crate::load::LoadedPolicy;
use bounds::{Bounds, Unproven};
use policy::LoopPolicy;
use simulate::Observed;
use system::System;

pub(crate) use costs::cost_bounds;
pub(crate) use system::LoopOptions;

/// A policy's loop: its constants, and bounds and simulations for each size of measurement errors.
pub(crate) struct LoopStudy {
    options: LoopOptions,
    system: System,
    /// The policy's Lipschitz constant everywhere.
    alpha: Constant,
    /// The method that proves it.
    alpha_by: &'static str,
    results: Vec<LoopResult>,
}

/// The bounds and simulations for one size of measurement errors.
struct LoopResult {
    epsilon: f64,
    bounds: Result<Bounds, Unproven>,
    observed: Observed,
}

impl LoopStudy {
    /// Bounds and simulates the policy's loop on `model` for each of these sizes of measurement
    /// errors, ascending.
    ///
    /// # Errors
    /// If the model has no stabilising feedback, or no certificate covers the policy.
    pub(crate) fn new(
        loaded: &mut LoadedPolicy,
        model: Box<dyn Model>,
        options: LoopOptions,
        sizes: &[f64],
    ) -> anyhow::Result<Self> {
        let mut policy = LoopPolicy::new(loaded)?;
        let system = System::new(model, loaded, options)?;
        let (alpha, alpha_by) = policy.constant(options.time_limit)?;
        let mut results = Vec::new();
        for &epsilon in sizes {
            let bounds = bounds::find(&system, &mut policy, alpha, epsilon, options)?;
            let observed = simulate::run(&system, &mut policy, epsilon, bounds.as_ref().ok(), options)?;
            results.push(LoopResult { epsilon, bounds, observed });
        }
        Ok(Self { options, system, alpha, alpha_by, results })
    }
}
