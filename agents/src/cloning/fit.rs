//! The fit of a policy by minibatches, with early stopping on held-out rows.

use liprl_nets::{autograd::finite, optim::TrainState};
use liprl_numerics::StreamRng;
use rand::{RngExt, seq::SliceRandom};
use tch::Tensor;

use super::{
    config::{CloningConfig, HeldOut},
    distribution::PolicyDistribution,
    fitting::Fitting,
};
use crate::AgentError;

/// Fits the policy `actor` to the actions `[E, A]`, in `[-1, 1]`, at the observations `[E, O]` as
/// the policy sees them, both contiguous f32 on the CPU. Minibatches and the held-out rows come
/// from `rng`. Returns L of the fitted policy, on the held-out rows if there are any, else on all.
pub fn fit(
    actor: &mut TrainState,
    distribution: PolicyDistribution,
    obs: &Tensor,
    action: &Tensor,
    config: &CloningConfig,
    rng: &mut StreamRng,
) -> Result<f64, AgentError> {
    let rows = check(actor, distribution, obs, action)?;
    let mut order: Vec<i64> = (0..rows as i64).collect();
    let mut held = Vec::new();
    if let Some(HeldOut { share, .. }) = config.held_out {
        order.shuffle(rng);
        held = order.split_off(rows - ((rows as f64 * share).ceil() as usize).min(rows - 1));
    }
    let mut fitting = Fitting::new(actor, distribution, config)?;
    let (mut best, mut stale) = (Best::default(), 0);
    if !held.is_empty() {
        best.offer(fitting.measure(obs, action, &held)?, fitting.policy())?;
    }
    for update in 1..=config.updates {
        let drawn: Vec<i64> = (0..config.batch_size).map(|_| order[rng.random_range(0..order.len())]).collect();
        let drawn = Tensor::f_from_slice(&drawn)?;
        let loss = fitting.step(&obs.f_index_select(0, &drawn)?, &action.f_index_select(0, &drawn)?)?;
        finite("the cloned policy's loss", loss, update)?;
        let Some(HeldOut { every, patience, .. }) = config.held_out.filter(|_| !held.is_empty()) else { continue };
        if update.is_multiple_of(every) || update == config.updates {
            stale = if best.offer(fitting.measure(obs, action, &held)?, fitting.policy())? { 0 } else { stale + 1 };
            if stale >= patience {
                break;
            }
        }
    }
    if held.is_empty() {
        actor.set_learned(&fitting.policy().learned().to_vec()?)?;
        return fitting.measure(obs, action, &order);
    }
    actor.set_learned(&best.learned)?;
    Ok(best.loss)
}

/// The number of rows.
///
/// # Errors
/// [`AgentError::BadConfig`] if rows and dimensions do not match.
fn check(
    actor: &TrainState,
    distribution: PolicyDistribution,
    obs: &Tensor,
    action: &Tensor,
) -> Result<usize, AgentError> {
    let (mlp, wrong) =
        (&actor.mlps()[0], |problem| AgentError::BadConfig { setting: "demonstrations".into(), problem });
    let act_dim = mlp.outputs() / if distribution == PolicyDistribution::Gaussian { 2 } else { 1 };
    let ((rows, width), (actions, act_width)) = (obs.size2()?, action.size2()?);
    if rows == 0 || rows != actions {
        return Err(wrong(format!(
            "{rows} observations and {actions} actions to clone; both must be as many, at least one"
        )));
    }
    if width as usize != mlp.inputs() || act_width as usize != act_dim {
        let (inputs, problem) = (mlp.inputs(), format!("observations of {width} and actions of {act_width} numbers"));
        return Err(wrong(format!("{problem}; the policy takes {inputs} and gives {act_dim}")));
    }
    Ok(rows as usize)
}

/// The best policy so far by its held-out loss.
struct Best {
    loss: f64,
    learned: Vec<f32>,
}

impl Default for Best {
    fn default() -> Self {
        Self { loss: f64::INFINITY, learned: Vec::new() }
    }
}

impl Best {
    /// Keeps the policy if its loss is smaller. Returns true if it was.
    fn offer(&mut self, loss: f64, policy: &TrainState) -> Result<bool, AgentError> {
        let better = loss < self.loss || self.learned.is_empty();
        if better {
            *self = Self { loss, learned: policy.learned().to_vec()? };
        }
        Ok(better)
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::{NetworkConfig, slice_of};
    use liprl_numerics::{State, Streams, testing::numbers};
    use tch::Device;

    use super::*;
    use crate::{
        Setup,
        actor_critic::{Learner, OffPolicyConfig, Sac, SacConfig, Td3, Td3Config},
    };

    fn setup() -> Setup {
        Setup { obs_dim: 4, act_dim: 2, streams: Streams::new(5), device: Device::Cpu, threads: 1 }
    }

    fn learners() -> [Box<dyn Learner>; 2] {
        let actor = NetworkConfig { hidden: vec![32, 32], ..NetworkConfig::default() };
        let shared = OffPolicyConfig { actor, ..OffPolicyConfig::default() };
        let sac = SacConfig { shared: shared.clone(), ..SacConfig::default() };
        let td3 = Td3Config { shared, ..Td3Config::default() };
        [Box::new(Sac::new(&sac, &setup()).unwrap()), Box::new(Td3::new(&td3, &setup()).unwrap())]
    }

    /// Observations and the actions of the linear policy a = s M there, all within ±0.9.
    fn linear(rows: usize, name: &str) -> (Tensor, Tensor) {
        tch::set_num_threads(1);
        let obs = Tensor::from_slice(&numbers(rows * 4, name)).view([rows as i64, 4]).tanh();
        let m = Tensor::from_slice(&[0.3f32, -0.2, 0.1, 0.4, -0.3, 0.1, 0.2, 0.2]).view([4, 2]);
        let action = obs.matmul(&m);
        (obs, action)
    }

    /// Root-mean-square distance of the greedy actions from `action`.
    fn distance(learner: &mut dyn Learner, obs: &Tensor, action: &Tensor) -> f64 {
        let (obs, expected) = (slice_of(obs).unwrap(), slice_of(action).unwrap());
        let (mut sum, mut chosen) = (0.0, [0.0; 2]);
        for (obs, expected) in obs.chunks(4).zip(expected.chunks(2)).take(200) {
            learner.act_greedy(obs, &mut chosen).unwrap();
            sum += chosen.iter().zip(expected).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        }
        (sum / 400.0).sqrt()
    }

    #[test]
    fn both_learners_clone_a_linear_policy_and_repeat_it_to_the_bit() {
        let ((obs, action), (others, right)) = (linear(500, "cloned"), linear(200, "others"));
        let config = CloningConfig { updates: 2000, batch_size: 64, lr: 1e-3, ..CloningConfig::default() };
        for (mut first, mut second) in learners().into_iter().zip(learners()) {
            assert!(distance(&mut *first, &others, &right) > 0.2);
            let losses = [&mut first, &mut second].map(|learner| {
                learner.clone_policy(&obs, &action, &config, &mut Streams::new(2).rng("cloning")).unwrap()
            });
            assert!(distance(&mut *first, &others, &right) < 0.02);
            assert_eq!(losses[0].to_bits(), losses[1].to_bits());
            assert_eq!(first.actor().params().slice(), second.actor().params().slice());
            second.clone_policy(&obs, &action, &config, &mut Streams::new(3).rng("cloning")).unwrap();
            assert_ne!(first.actor().params().slice(), second.actor().params().slice());
        }
    }

    #[test]
    fn the_policy_s_optimiser_stays_and_its_target_becomes_the_clone() {
        let (obs, action) = linear(50, "cloned");
        let config = CloningConfig { updates: 10, batch_size: 8, ..CloningConfig::default() };
        for mut learner in learners() {
            learner.clone_policy(&obs, &action, &config, &mut Streams::new(2).rng("cloning")).unwrap();
            let state = State::of(|io| learner.state(io)).unwrap();
            assert_eq!(state.get::<u64>("actor/adam/steps").unwrap(), 0);
            let params = &state.arrays["actor/params"];
            assert!(state.arrays.get("actor/target").is_none_or(|target| target == params));
        }
    }

    #[test]
    fn deviations_stop_at_their_least() {
        let (obs, action) = linear(500, "cloned");
        let config =
            CloningConfig { updates: 3000, batch_size: 64, lr: 1e-3, min_log_std: -2.0, ..CloningConfig::default() };
        let [mut sac, _] = learners();
        sac.clone_policy(&obs, &action, &config, &mut Streams::new(2).rng("cloning")).unwrap();
        let actor = sac.actor();
        let log_std = actor.forward(0, actor.params().tensor(), &obs).narrow(1, 2, 2);
        let mean = log_std.mean(None).double_value(&[]);
        assert!((mean + 2.0).abs() < 0.3, "{mean}");
    }

    #[test]
    fn early_stopping_keeps_the_best_policy_on_the_rows_held_out() {
        // Noise on few rows: fitting them longer makes the held-out loss grow.
        let (obs, _) = linear(40, "cloned");
        let action = Tensor::from_slice(&numbers(80, "noise")).view([40, 2]).tanh();
        let held_out = |patience| Some(HeldOut { share: 0.25, every: 10, patience });
        let config = |updates, patience| CloningConfig {
            updates,
            batch_size: 30,
            lr: 1e-2,
            held_out: held_out(patience),
            ..CloningConfig::default()
        };
        let clone = |config: CloningConfig| {
            let [_, mut td3] = learners();
            let loss = td3.clone_policy(&obs, &action, &config, &mut Streams::new(2).rng("cloning")).unwrap();
            (loss, td3)
        };
        let losses: Vec<f64> = (1..=30).map(|i| clone(config(10 * i, 1000)).0).collect();
        assert!(losses.windows(2).all(|pair| pair[1] <= pair[0]), "{losses:?}");
        // Patience ends at the last new best among them, and its loss is the policy's on the
        // held-out rows.
        let (stopped, td3) = clone(config(100_000, 30));
        assert_eq!(stopped, losses[29]);
        let mut order: Vec<i64> = (0..40).collect();
        order.shuffle(&mut Streams::new(2).rng("cloning"));
        let held = Tensor::from_slice(&order[30..]);
        let output = td3.actor().forward(0, td3.actor().params().tensor(), &obs.index_select(0, &held));
        let error = (output.tanh() - action.index_select(0, &held)).square().mean(None).double_value(&[]);
        assert!((error - stopped).abs() < 1e-6, "{error} {stopped}");
    }

    #[test]
    fn demonstrations_that_do_not_fit_are_errors() {
        let (obs, action) = linear(10, "cloned");
        let [_, mut td3] = learners();
        let (config, rng) = (CloningConfig::default(), &mut Streams::new(2).rng("cloning"));
        for (obs, action, words) in [
            (obs.narrow(0, 0, 5), action.shallow_clone(), "5 observations and 10 actions"),
            (obs.narrow(0, 0, 0), action.narrow(0, 0, 0), "at least one"),
            (obs.narrow(1, 0, 3), action.shallow_clone(), "observations of 3"),
            (obs.shallow_clone(), action.narrow(1, 0, 1), "gives 2"),
        ] {
            let error = td3.clone_policy(&obs, &action, &config, rng).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
