//! Certificates of the policy at evaluations, for configs with `eval.certificate`. Observations and
//! actions are in the environment's units; norms are Euclidean.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/certificate/product` | upper bound (proven): product of the layers' norms, normaliser and action scale folded in |
//! | `lipschitz/certificate/lipsdp` | upper bound (proven): LipSDP within the time limit |
//! | `lipschitz/certificate/met` | lower bound (observed): largest Jacobian norm of the network at the visited states |
//! | `perf/certificate_s` | seconds for all of it |

use std::time::{Duration, Instant};

use liprl_agents::{Agent, AgentError, Visited};
use liprl_control::certify::Norm;
use liprl_nets::lipschitz;
use tch::Tensor;

use crate::certify::{BoundMethod, upper_bound};
use crate::config::CertificateConfig;

/// Measures the bounds of the agent's policy; empty for a policy that no certificate covers.
pub(super) fn measure(
    agent: &dyn Agent,
    config: CertificateConfig,
    half_width: &[f64],
    visited: &Visited,
) -> Result<Vec<(String, f64)>, AgentError> {
    let started = Instant::now();
    let Ok(network) = agent.policy()?.to_certify(half_width.to_vec()) else { return Ok(Vec::new()) };
    let mut metrics = Vec::new();
    let mut put = |name: &str, value: f64| metrics.push((name.to_owned(), value));
    let time_limit = Duration::from_secs_f64(config.time_limit);
    for (name, method) in [("product", BoundMethod::Product), ("lipsdp", BoundMethod::Lipsdp)] {
        let wanted = name == "product" || config.time_limit > 0.0;
        // A bound that was not proven is not logged.
        if wanted && let Ok(bound) = upper_bound(&network, Norm::L2, method, time_limit) {
            put(&format!("lipschitz/certificate/{name}"), bound.upper);
        }
    }
    let mut matrices: Vec<f64> = Vec::new();
    for row in visited.obs.chunks_exact(network.inputs()) {
        let x: Vec<f64> = row.iter().map(|&x| f64::from(x)).collect();
        if let Some(jacobian) = network.jacobian(&x) {
            (0..jacobian.nrows()).for_each(|i| matrices.extend(jacobian.row(i).iter()));
        }
    }
    if !matrices.is_empty() {
        let shape = [-1, network.outputs() as i64, network.inputs() as i64];
        let norms = lipschitz::spectral_norms(&Tensor::f_from_slice(&matrices)?.f_view(shape)?)?;
        put("lipschitz/certificate/met", norms.into_iter().fold(0.0, f64::max));
    }
    put("perf/certificate_s", started.elapsed().as_secs_f64());
    Ok(metrics)
}
