//! The gradient penalty on the critics: L = Σⱼ mean w φ(‖U ∇ₛ Qⱼ(s, a)‖₂ − k) at the replayed pairs, U the diagonal of the units' lengths, φ
//! one- or two-sided. The double backward of piecewise linear critics is in closed form (`lipschitz::InputGradient`); others by autograd.

use liprl_nets::{
    Buffer, Gradient, Weights,
    lipschitz::{InputGradient, NORM_FLOOR},
    optim::Trained,
};
use tch::{Kind, Tensor};

use super::{
    ValuePenaltyConfig,
    regulariser::{Networks, Regulariser, Share, TermSums},
};
use crate::{
    AgentError,
    actor_critic::{
        batch::Rows,
        learner::{OnDevice, values},
    },
};

/// The term with its factor, a scalar, and its sums; `on` has its rows alone.
pub(super) fn autograd(
    config: &ValuePenaltyConfig,
    term: &Regulariser,
    networks: &Networks<'_>,
    on: &OnDevice,
) -> Result<(Tensor, TermSums), AgentError> {
    let unit = Tensor::f_from_slice(&term.unit)?.f_to_device(on.obs.device())?.f_to_kind(on.obs.kind())?;
    let obs = on.obs.f_detach()?.set_requires_grad(true);
    let mut sums = TermSums::default();
    let mut loss = Tensor::f_zeros([], (on.obs.kind(), on.obs.device()))?;
    for values in values(networks.critics, networks.params, &obs, &on.action)? {
        let sum = values.f_sum(values.kind())?;
        let gradient = Tensor::f_run_backward(&[&sum], &[&obs], true, true)?.swap_remove(0) * &unit;
        let (cost, norm) = config.sides.rows_autograd(&gradient, config.target)?;
        let part = (cost * &on.weight).f_sum(on.obs.kind())?;
        sums[0] += part.f_double_value(&[])?;
        sums[1] += norm.f_sum(Kind::Double)?.f_double_value(&[])?;
        sums[2] += norm.gt(config.target).f_sum(Kind::Double)?.f_double_value(&[])?;
        loss += part * term.share();
    }
    Ok((loss, sums))
}

/// The same by hand over one member's rows.
#[derive(Debug)]
pub(crate) struct PenaltyRows {
    config: ValuePenaltyConfig,
    share: Share,
    obs_dim: usize,
    act_dim: usize,
    /// (s, a), `[n, O + A]`.
    pairs: Buffer,
    input_gradient: InputGradient,
    pub(super) sums: TermSums,
}

impl PenaltyRows {
    /// Buffers for these rows; nothing where the critics are not piecewise linear.
    pub(super) fn new(
        config: ValuePenaltyConfig,
        share: Share,
        critics: &Trained,
        obs_dim: usize,
        act_dim: usize,
    ) -> Result<Option<Self>, AgentError> {
        let count = share.rows.len();
        let Some(input_gradient) = InputGradient::new(&critics.mlps()[0], count)? else { return Ok(None) };
        let pairs = Buffer::zeros(&[count, obs_dim + act_dim])?;
        Ok(Some(Self { config, share, obs_dim, act_dim, pairs, input_gradient, sums: TermSums::default() }))
    }

    /// Critic number `index`'s part of the sums, and of the gradient, to which it is added.
    pub(super) fn finish(
        &mut self,
        term: &Regulariser,
        (index, weights): (usize, &Weights),
        rows: &Rows,
        gradient: &mut Gradient,
    ) -> Result<(), AgentError> {
        let (obs_dim, act_dim, width) = (self.obs_dim, self.act_dim, self.obs_dim + self.act_dim);
        for (pair, &row) in self.pairs.slice_mut().chunks_exact_mut(width).zip(&self.share.rows) {
            pair[..obs_dim].copy_from_slice(&rows.obs.slice()[row * obs_dim..(row + 1) * obs_dim]);
            pair[obs_dim..].copy_from_slice(&rows.action.slice()[row * act_dim..(row + 1) * act_dim]);
        }
        self.input_gradient.run(weights, self.pairs.tensor())?;
        let (g, outer) = self.input_gradient.gradient_and_outer();
        let each = g.chunks_exact(width).zip(outer.chunks_exact_mut(width)).zip(&self.share.rows);
        for ((g, outer), &row) in each {
            let (g, weight) = (&g[..obs_dim], f64::from(rows.weight.slice()[row]));
            let squares = g.iter().zip(&term.unit).map(|(g, unit)| f64::from(g * unit).powi(2)).sum::<f64>();
            let norm = (squares + NORM_FLOOR).sqrt();
            let (outer, of_action) = outer.split_at_mut(obs_dim);
            of_action.fill(0.0); // the penalty is on ∇ₛ alone
            let (sides, target) = (self.config.sides, self.config.target);
            let cost = sides.row_by_hand((norm, target), term.share() * weight, (g, &term.unit), outer);
            self.sums[0] += weight * cost;
            self.sums[1] += norm;
            self.sums[2] += f64::from(u8::from(norm > target));
        }
        Ok(self.input_gradient.backward(weights, gradient, index)?)
    }
}

#[cfg(test)]
mod tests {
    use liprl_nets::{
        NetworkConfig,
        autograd::{gradient, leaf},
        lipschitz::Sides,
        testing::{assert_close, assert_gradient},
    };
    use liprl_numerics::{Activation, Streams};

    use super::*;
    use crate::{
        Setup,
        actor_critic::{
            CriticLoss,
            critic::CriticRows,
            testing::{self},
            value::{StateUnits, ValueRegulariser, add_term},
        },
    };

    const B: usize = 41;

    fn setup() -> Setup {
        Setup { obs_dim: 5, act_dim: 3, streams: Streams::new(5), device: tch::Device::Cpu, threads: 1 }
    }

    #[test]
    fn gradient_by_hand_equals_double_backward_however_the_rows_are_shared() {
        let base = ValuePenaltyConfig { target: 0.05, rows: 23, lambda: 2.0, ..ValuePenaltyConfig::default() };
        for config in [
            base,
            ValuePenaltyConfig { sides: Sides::Two, units: StateUnits::Raw, every: 2, ..base },
            ValuePenaltyConfig { rows: 1000, ..base },
        ] {
            for activation in [Activation::Relu, Activation::LeakyRelu(0.1)] {
                let net = NetworkConfig { hidden: vec![32, 19], activation, ..NetworkConfig::default() };
                let (critics, actor) = (testing::critics(&net, 5, 3, 2), testing::policy(&net, 5, 6));
                let mut term = Regulariser::new(&ValueRegulariser::GradientPenalty(config), 2, &setup()).unwrap();
                assert!(Regulariser::is_by_hand(Some(&term), &critics).unwrap());
                let batch = testing::batch(B, 5, 3);
                term.begin(&batch, 0).unwrap();
                let params = leaf(critics.params().tensor());
                let on = OnDevice::of(&batch, tch::Device::Cpu).unwrap();
                let replayed = values(&critics, &params, &on.obs, &on.action).unwrap();
                let target = testing::numbers(B, "targets");
                let kind = CriticLoss::Squared;
                let loss = crate::actor_critic::critic::loss(&replayed, &Tensor::from_slice(&target), &on.weight, kind);
                let networks = Networks { actor: &actor, critics: &critics, params: &params, scale: 1.0 };
                let (total, sums) = add_term(Some(&term), &loss, &networks, &on, &replayed).unwrap();
                assert!((&total - &loss).double_value(&[]) > 1e-3);
                let expected = gradient(&total, &params).unwrap();
                for split in [0, 20] {
                    let shares = [0..split, split..B].into_iter().filter(|share| !share.is_empty());
                    let (mut sum, mut by_hand) = (vec![0.0; expected.numel()], TermSums::default());
                    for share in shares {
                        let mut rows = CriticRows::new(&critics, &critics.target().unwrap(), share.len(), 5, 3)
                            .unwrap()
                            .regularised(Some(&term), &networks, (share.clone(), B))
                            .unwrap();
                        rows.target = target[share.clone()].to_vec();
                        let part = Rows::of(&batch, share).unwrap();
                        let sums = rows.regress(&part, kind, B, Some(&term)).unwrap();
                        liprl_numerics::kernels::add(&mut sum, rows.gradient.slice());
                        by_hand = std::array::from_fn(|i| by_hand[i] + sums.term[i]);
                    }
                    assert_gradient(&sum, &expected);
                    by_hand.iter().zip(sums).for_each(|(a, b)| assert_close(*a, b));
                }
            }
        }
    }

    #[test]
    fn smooth_critics_are_left_to_autograd() {
        let term = Regulariser::new(&ValueRegulariser::GradientPenalty(ValuePenaltyConfig::default()), 2, &setup());
        let net = NetworkConfig { activation: Activation::Tanh, ..NetworkConfig::default() };
        assert!(!Regulariser::is_by_hand(term.as_ref(), &testing::critics(&net, 5, 3, 2)).unwrap());
        assert!(Regulariser::is_by_hand(None, &testing::critics(&net, 5, 3, 2)).unwrap());
    }

    /// A linear critic's gradient is its weight: the penalty is worked out by hand.
    #[test]
    fn a_linear_critic_s_penalty_worked_out_by_hand() {
        // Q = relu(3 s₁ + 4 s₂ + 100 + 7 a) has the gradient (3, 4) in s, of norm 5; with units 2 and 1, (6, 4).
        let config = ValuePenaltyConfig { target: 2.0, units: StateUnits::Raw, ..ValuePenaltyConfig::default() };
        let setup = Setup { obs_dim: 2, act_dim: 1, ..setup() };
        let mut term = Regulariser::new(&ValueRegulariser::GradientPenalty(config), 1, &setup).unwrap();
        let net = NetworkConfig { hidden: vec![1], ..NetworkConfig::default() };
        let (mut critics, actor) = (testing::critics(&net, 2, 1, 1), testing::policy(&net, 2, 1));
        critics.set_params(&[3.0, 4.0, 7.0, 100.0, 1.0, 0.0]).unwrap();
        let batch = testing::batch(8, 2, 1);
        let _ = batch.weight.shallow_clone().fill_(1.0);
        term.begin(&batch, 0).unwrap();
        let on = OnDevice::of(&batch, tch::Device::Cpu).unwrap();
        let networks = Networks { actor: &actor, critics: &critics, params: critics.params().tensor(), scale: 1.0 };
        let (loss, sums) = autograd(&config, &term, &networks, &on).unwrap();
        assert_close(loss.double_value(&[]), 0.1 * 9.0);
        sums.iter().zip([8.0 * 9.0, 8.0 * 5.0, 8.0]).for_each(|(sum, expected)| assert_close(*sum, expected));
        term.unit = vec![2.0, 1.0];
        let (loss, _) = autograd(&config, &term, &networks, &on).unwrap();
        assert_close(loss.double_value(&[]), 0.1 * (52f64.sqrt() - 2.0).powi(2));
    }
}
