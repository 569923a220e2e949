//! Certificates of the policy at evaluations, where a config asks for them. Observations and actions in the environment's units, Euclidean.
//!
//! | metric | meaning |
//! | --- | --- |
//! | `lipschitz/certificate/product` | product of the layers' norms, normaliser and action scale folded in: proven |
//! | `lipschitz/certificate/lipsdp` | LipSDP within the time given: proven |
//! | `lipschitz/certificate/met` | largest Jacobian norm of the network at the states visited: no bound |
//! | `perf/certificate_s` | seconds all of it took |

use std::time::{Duration, Instant};

use liprl_agents::{Agent, AgentError, Visited};
use liprl_control::certify::{Norm, SdpOptions, lipsdp, product};
use liprl_nets::lipschitz;
use tch::Tensor;

use crate::config::CertificateConfig;

/// What is proven and met of the agent's policy; nothing of one that no certificate covers.
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
    // A bound that was not proven is not logged.
    if let Ok(bound) = product(&network, Norm::L2) {
        put("lipschitz/certificate/product", bound);
    }
    let time_limit = Some(Duration::from_secs_f64(config.time_limit));
    if config.time_limit > 0.0
        && let Ok(bound) = lipsdp(&network, &SdpOptions { time_limit, ..SdpOptions::default() })
    {
        put("lipschitz/certificate/lipsdp", bound.upper);
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
