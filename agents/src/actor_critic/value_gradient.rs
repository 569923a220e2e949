//! Gradient norms of V(s) = Q₁(s, π(s)) near given states, π the policy's mean, with respect to
//! what the critic sees.
//!
//! Three lower bounds of the constant that holds in the box |dᵢ| ≤ ε uᵢ around s, uᵢ the deviation
//! of coordinate i over those states: the largest |V(s + d) − V(s)| / ‖d‖₂ of random d; the same
//! for the d of FGSM, ε u sign ∇V(s); and ‖∇V(s)‖₂. An upper bound of all of them, everywhere: s ↦
//! (s, π(s)) stretches by at most √(1 + Lip(π)²), and Q₁ by the product of its layers' norms.

use liprl_nets::{
    NetsError,
    lipschitz::{self, summarise},
};
use liprl_numerics::Streams;
use rand::RngExt;
use tch::{Device, Kind, Tensor};

use super::Learner;
use crate::AgentError;

/// Random directions at each state.
const DIRECTIONS: usize = 16;

/// ε, the default of robust regularisation.
const EPSILON: f64 = 0.03;

/// The three lower bounds at each state.
#[derive(Debug)]
pub(crate) struct ValueGradientStats {
    sampled: Vec<f64>,
    fgsm: Vec<f64>,
    gradient: Vec<f64>,
}

impl ValueGradientStats {
    /// At these states `[R, O]`, as the critics see them. The directions are the same at every
    /// call.
    pub(crate) fn new(learner: &dyn Learner, obs: &Tensor) -> Result<Self, AgentError> {
        Self::within(learner, obs, EPSILON)
    }

    fn within(learner: &dyn Learner, obs: &Tensor, epsilon: f64) -> Result<Self, AgentError> {
        let value = |obs: &Tensor| -> Result<Tensor, NetsError> {
            Ok(learner.critics().values(obs, &mean_action(learner, obs)?)?.swap_remove(0))
        };
        let half = obs.f_std_dim([0i64].as_slice(), false, false)? * epsilon;
        let at = tch::no_grad(|| value(obs))?;
        let steepness = |moves: &Tensor| -> Result<Tensor, NetsError> {
            let change = tch::no_grad(|| value(&(obs + moves)))? - &at;
            let length = moves.f_norm_scalaropt_dim(2, [1i64].as_slice(), false)?;
            // If nothing varies nothing moves.
            Ok((change.abs() / &length).f_where_self(&length.gt(0.0), &length)?)
        };
        let mut rng = Streams::new(0).rng("value-steepness");
        let mut sampled = at.f_zeros_like()?;
        for _ in 0..DIRECTIONS {
            let draws: Vec<f32> = (0..obs.numel()).map(|_| rng.random_range(-1.0..=1.0)).collect();
            let draws = Tensor::f_from_slice(&draws)?.f_view_as(obs)?.f_to(obs.device())?;
            sampled = sampled.f_maximum(&steepness(&(draws * &half))?)?;
        }
        let uphill = lipschitz::gradient(value, obs)?;
        let numbers = |of: &Tensor| Ok::<_, AgentError>(Vec::try_from(of.f_to(Device::Cpu)?.f_to_kind(Kind::Double)?)?);
        Ok(Self {
            sampled: numbers(&sampled)?,
            fgsm: numbers(&steepness(&(uphill.f_sign()? * &half))?)?,
            gradient: numbers(&uphill.f_norm_scalaropt_dim(2, [1i64].as_slice(), false)?)?,
        })
    }

    /// Adds the metrics, at the states named `place`.
    pub(crate) fn metrics(&self, place: &str, metrics: &mut Vec<(String, f64)>) {
        for (name, norms) in [("sampled", &self.sampled), ("fgsm", &self.fgsm), ("gradient", &self.gradient)] {
            summarise(&format!("value/{name}"), place, norms, metrics);
        }
    }
}

/// tanh μ(s), `[R, A]`, by autograd.
fn mean_action(learner: &dyn Learner, obs: &Tensor) -> Result<Tensor, NetsError> {
    let (actor, critic) = (learner.actor(), &learner.critics().networks().mlps()[0]);
    let act_dim = (critic.inputs() - actor.mlps()[0].inputs()) as i64;
    Ok(actor.forward(0, actor.params().tensor(), obs).f_narrow(1, 0, act_dim)?.f_tanh()?)
}

/// The upper bound in units of reward; `None` if the critic puts out a distribution.
pub(crate) fn bound(learner: &dyn Learner) -> Result<Option<f64>, AgentError> {
    let Some(scale) = learner.critics().output_scale() else { return Ok(None) };
    let first = &learner.critics().networks().mlps()[0];
    let critic = lipschitz::product_bound(first, &learner.critics().params().f_narrow(0, 0, first.len() as i64)?)?;
    let policy = lipschitz::product_bound(&learner.actor().mlps()[0], learner.actor().params().tensor())?;
    Ok(Some(scale * critic * policy.hypot(1.0)))
}

#[cfg(test)]
mod tests {
    use liprl_nets::NetworkConfig;

    use super::*;
    use crate::{
        Setup,
        actor_critic::{CriticSpectralNorm, OffPolicyConfig, ReturnsConfig, Sac, SacConfig, testing},
    };

    fn largest(numbers: &[f64]) -> f64 {
        numbers.iter().copied().fold(0.0, f64::max)
    }

    #[test]
    fn every_estimate_is_below_the_bound_and_secants_of_a_linear_piece_below_its_slope() {
        let returns = ReturnsConfig { pop_art: false, ..ReturnsConfig::default() };
        for (scale, normalise_returns) in [(None, None), (Some(2.0), None), (Some(0.7), Some(returns))] {
            let critic_spectral_norm = scale.map(|scale| CriticSpectralNorm { scale, ..CriticSpectralNorm::default() });
            let net = NetworkConfig { hidden: vec![32, 19], ..NetworkConfig::default() };
            let shared = OffPolicyConfig {
                actor: net.clone(),
                critic: net,
                critic_spectral_norm,
                normalise_returns,
                ..OffPolicyConfig::default()
            };
            let config = SacConfig { shared, ..SacConfig::default() };
            let setup = Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: Device::Cpu, threads: 1 };
            let sac = Sac::new(&config, &setup).unwrap();
            let obs = testing::batch(37, 5, 3).obs;
            let bound = bound(&sac).unwrap().unwrap();
            let wide = ValueGradientStats::within(&sac, &obs, 1.0).unwrap();
            for estimate in [&wide.sampled, &wide.fgsm, &wide.gradient] {
                assert_eq!(estimate.len(), 37);
                assert!(largest(estimate) > 0.0 && largest(estimate) < bound, "{estimate:?} {bound}");
            }
            // In a box too small for more than a few kinks a secant is a derivative along a line,
            // at most the gradient's norm.
            let narrow = ValueGradientStats::within(&sac, &obs, 1e-3).unwrap();
            let within = |secants: &[f64]| {
                secants.iter().zip(&narrow.gradient).filter(|(secant, slope)| **secant <= **slope * 1.01).count()
            };
            assert!(within(&narrow.sampled) >= 35 && within(&narrow.fgsm) >= 35);
            // FGSM's direction keeps at least 1/√5 of the slope, ‖g‖₁ / (√5 ‖g‖₂), in a cube; here
            // the box is nearly one.
            assert!(largest(&narrow.fgsm) > 0.4 * largest(&narrow.gradient));
        }
    }

    #[test]
    fn states_that_never_vary_are_not_moved() {
        let setup = Setup { obs_dim: 2, act_dim: 1, streams: Streams::new(5), device: Device::Cpu, threads: 1 };
        let sac = Sac::new(&SacConfig::default(), &setup).unwrap();
        let steepness = ValueGradientStats::new(&sac, &Tensor::ones([4, 2], (Kind::Float, Device::Cpu))).unwrap();
        assert_eq!((steepness.sampled, steepness.fgsm), (vec![0.0; 4], vec![0.0; 4]));
        assert!(steepness.gradient.iter().all(|slope| *slope > 0.0));
    }
}
