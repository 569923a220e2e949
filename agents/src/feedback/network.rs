//! A policy network under a constraint: its gradient steps and its proven constant.

use liprl_control::PolicyHead;
use liprl_nets::{
    Autograd, Buffer,
    autograd::{finite, standardise},
    layers::LipschitzMlp,
    lipschitz,
};
use liprl_numerics::{
    Activation, Init, Mlp, NormaliserOptions, RunningNormaliser, Single, StateIo, StreamRng, Streams,
};
use rand::RngExt;
use tch::{Kind, Tensor};

use super::{
    config::{ConstraintConfig, FeedbackConfig, Form},
    jacobian_penalty::JacobianPenalty,
    model::Model,
    multipliers::{ConstraintPoint, Multipliers},
    pairs::{LabelledPairs, bad},
};
use crate::{AgentError, Metrics};

/// Options of the observations' standardisation; the clip is beyond every number that occurs, and finite
/// for JSON.
pub(super) const NORMALISER: NormaliserOptions = NormaliserOptions { clip: 1e9, variance_floor: 1e-4 };

/// A policy network under a constraint.
#[derive(Debug)]
pub(super) struct Network {
    pub(super) model: Model,
    head: PolicyHead,
    single: Single,
    seen: Vec<f32>,
    /// The hand-written pass; `None` for dense networks, which use autograd.
    jacobian_penalty: Option<JacobianPenalty>,
    constraint: ConstraintConfig,
    pub(super) multipliers: Option<Multipliers>,
    batch: usize,
    /// s, `[O]`, and h, `[A]`.
    scales: (Vec<f64>, Vec<f64>),
    x: Buffer,
    d_action: Vec<f32>,
    coefficients: Vec<f32>,
    points: Vec<ConstraintPoint>,
}

impl Network {
    /// A network with first weights from the run's streams; `normaliser` standardises its observations.
    pub(super) fn new(
        config: &FeedbackConfig,
        data: &LabelledPairs,
        normaliser: Option<&RunningNormaliser>,
        streams: &Streams,
    ) -> Result<Self, AgentError> {
        let net = &config.network;
        if net.layer_norm {
            let problem = "LayerNorm's constant is some hundred times its scale; write `false`".to_owned();
            return Err(bad("network.layer_norm", problem));
        }
        if net.activation == Activation::Swish {
            return Err(bad(
                "network.activation",
                "swish is not supported here; take relu, leaky_relu, tanh or max_min".into(),
            ));
        }
        if net.lipschitz.is_some() {
            let problem =
                "is `constraint: {kind: by_construction}` here, in the environment's units; write that instead";
            return Err(bad("network.lipschitz", problem.to_owned()));
        }
        let input_scale: Vec<f64> = (0..data.obs_dim)
            .map(|i| {
                normaliser
                    .map_or(1.0, |n| n.variance().nth(i).unwrap_or(1.0).max(NORMALISER.variance_floor).sqrt().recip())
            })
            .collect();
        let scales = (input_scale, data.half_width.clone());
        let mlp = Mlp::new(data.obs_dim, &net.hidden, data.act_dim, net.activation, false, net.init);
        let layers = match &config.constraint {
            ConstraintConfig::ByConstruction { alpha, layers } => {
                if net.init != Init::Uniform {
                    let problem =
                        "a constraint by construction has an initialisation of its own; leave it out".to_owned();
                    return Err(bad("network.init", problem));
                }
                let alpha = alpha / (largest(&scales.0) * largest(&scales.1));
                let (inputs, outputs) = (data.obs_dim, data.act_dim);
                Some(LipschitzMlp::new(*layers, inputs, &net.hidden, outputs, net.activation, alpha)?)
            }
            _ => None,
        };
        let multipliers = match &config.constraint {
            ConstraintConfig::PrimalDual { dual_lr, max_dual, form, neighbours, .. } => {
                Some(Multipliers::new(*form, *dual_lr, *max_dual, *neighbours, streams.rng("feedback/spots")))
            }
            ConstraintConfig::Penalty { neighbours, .. } => {
                Some(Multipliers::new(Form::Jacobian, 0.0, 0.0, *neighbours, streams.rng("feedback/spots")))
            }
            _ => None,
        };
        let batch = config.batch_size;
        let rows = match multipliers.as_ref().map(Multipliers::form) {
            None => batch,
            Some(Form::Jacobian) => 2 * batch,
            Some(Form::Slope) => 3 * batch,
        };
        let squash = config.output == PolicyHead::Tanh;
        let mlp = layers.as_ref().map_or(mlp, |layers| layers.mlp().clone());
        let jacobian_penalty = JacobianPenalty::new(&mlp, rows, squash, &scales.0, &scales.1)?;
        Ok(Self {
            single: Single::new(&mlp),
            model: Model::new(mlp, layers, net.into(), &mut streams.rng("feedback/init"))?,
            head: config.output,
            seen: Vec::new(),
            jacobian_penalty,
            constraint: config.constraint.clone(),
            multipliers,
            batch,
            x: Buffer::zeros(&[rows, data.obs_dim])?,
            d_action: vec![0.0; rows * data.act_dim],
            coefficients: vec![0.0; rows],
            points: Vec::new(),
            scales,
        })
    }

    /// The action at `obs [O]`.
    pub(super) fn act(&mut self, normaliser: Option<&RunningNormaliser>, obs: &[f32], action: &mut [f32]) {
        self.seen.clear();
        self.seen.extend_from_slice(obs);
        if let Some(normaliser) = normaliser {
            normaliser.apply(&mut self.seen);
        }
        let output = self.single.forward(self.model.params(), &self.seen);
        action.iter_mut().zip(output).for_each(|(action, output)| *action = self.head.action(*output));
    }

    /// One gradient step on the rows `seen [N, O]`, standardised, of `data`. `updates` is for errors alone.
    pub(super) fn update(
        &mut self,
        data: &LabelledPairs,
        seen: &[f32],
        rng: &mut StreamRng,
        updates: u64,
        metrics: &mut Metrics,
    ) -> Result<(), AgentError> {
        self.draw(data, seen, rng);
        let mse = self.fit(data)?;
        let extra = match self.multipliers.as_ref().map(Multipliers::form) {
            Some(Form::Jacobian) => self.constrain_jacobians(metrics)?,
            Some(Form::Slope) => self.constrain_slopes(data, metrics),
            None => 0.0,
        };
        let Self { model, jacobian_penalty, x, d_action, coefficients, .. } = self;
        if let Some(jacobian_penalty) = jacobian_penalty {
            jacobian_penalty.backward(&model.weights, x.tensor(), d_action, coefficients, &mut model.gradient)?;
        }
        let norm = model.step()?;
        finite("the feedback policy's loss", mse + extra + norm, updates)?;
        metrics.add("train/mse", mse);
        metrics.add("train/loss", mse + extra);
        metrics.add("train/grad_norm", norm);
        Ok(())
    }

    /// Fills `x`: the batch, then the constraint's further points.
    fn draw(&mut self, data: &LabelledPairs, seen: &[f32], rng: &mut StreamRng) {
        let (o, batch) = (data.obs_dim, self.batch);
        let row = |i: usize| &seen[i * o..][..o];
        self.points.clear();
        for _ in 0..batch {
            let i = rng.random_range(0..data.len());
            self.points.push(ConstraintPoint { i, j: i, share: 0.0, slot: 0 });
        }
        let Some(multipliers) = &mut self.multipliers else {
            self.points
                .iter()
                .zip(self.x.slice_mut().chunks_exact_mut(o))
                .for_each(|(s, x)| x.copy_from_slice(row(s.i)));
            return;
        };
        self.points.extend((0..batch).map(|_| multipliers.draw()));
        let (first, rest) = self.x.slice_mut().split_at_mut(batch * o);
        self.points.iter().zip(first.chunks_exact_mut(o)).for_each(|(point, x)| x.copy_from_slice(row(point.i)));
        let between = &self.points[batch..];
        match multipliers.form() {
            Form::Jacobian => {
                for (point, x) in between.iter().zip(rest.chunks_exact_mut(o)) {
                    let ends = row(point.i).iter().zip(row(point.j));
                    x.iter_mut().zip(ends).for_each(|(x, (a, b))| *x = a + point.share * (b - a));
                }
            }
            Form::Slope => {
                let ends = between.iter().flat_map(|point| [point.i, point.j]);
                ends.zip(rest.chunks_exact_mut(o)).for_each(|(i, x)| x.copy_from_slice(row(i)));
            }
        }
    }

    /// Passes `x` forward. Returns the batch's squared error in the environment's units, and leaves its
    /// gradient with respect to the actions.
    fn fit(&mut self, data: &LabelledPairs) -> Result<f64, AgentError> {
        let (a, batch) = (data.act_dim, self.batch);
        let Some(jacobian_penalty) = &mut self.jacobian_penalty else { return self.fit_autograd(data) };
        let action = jacobian_penalty.forward(&self.model.weights, self.x.tensor())?;
        self.d_action.fill(0.0);
        self.coefficients.fill(0.0);
        let mut sum = 0.0;
        for (row, point) in self.points[..batch].iter().enumerate() {
            for k in 0..a {
                let square = (self.scales.1[k] * self.scales.1[k]) as f32;
                let error = action[row * a + k] - data.action[point.i * a + k];
                sum += f64::from(square * error * error);
                self.d_action[row * a + k] = 2.0 * square * error / batch as f32;
            }
        }
        Ok(sum / batch as f64)
    }

    /// The batch's squared error by autograd, its gradient left in the model's.
    fn fit_autograd(&mut self, data: &LabelledPairs) -> Result<f64, AgentError> {
        let a = data.act_dim;
        let target: Vec<f32> =
            self.points.iter().flat_map(|point| data.action[point.i * a..][..a].iter().copied()).collect();
        let leaf = self.model.tensor().f_detach()?.set_requires_grad(true);
        let output = self.model.mlp().forward(&leaf, self.x.tensor());
        let action = if self.head == PolicyHead::Tanh { output.f_tanh()? } else { output };
        let half_width: Vec<f32> = self.scales.1.iter().map(|&h| h as f32).collect();
        let error = action.f_sub(&Tensor::f_from_slice(&target)?.f_view_as(&action)?)?;
        let error = error.f_mul(&Tensor::f_from_slice(&half_width)?)?.f_square()?.f_sum(Kind::Float)?;
        let loss = error / self.batch as f64;
        let gradient = Tensor::f_run_backward(&[&loss], &[&leaf], false, false)?.swap_remove(0);
        let count = self.model.params().len();
        gradient.f_copy_data(self.model.gradient.slice_mut(), count)?;
        Ok(loss.f_double_value(&[])?)
    }

    /// The Jacobians' part of the loss; sets its coefficients and moves the multipliers.
    fn constrain_jacobians(&mut self, metrics: &mut Metrics) -> Result<f64, AgentError> {
        let Some(alpha) = self.constraint.alpha() else { return Ok(0.0) };
        let (Some(jacobian_penalty), Some(multipliers)) = (&mut self.jacobian_penalty, &mut self.multipliers) else {
            return Ok(0.0);
        };
        let norms = jacobian_penalty.norms(&self.model.weights)?;
        let (count, mut loss, mut above, mut largest) = (norms.len() as f64, 0.0, 0.0, 0.0f64);
        for ((point, norm), coefficient) in self.points.iter().zip(norms).zip(&mut self.coefficients) {
            let g = norm - alpha;
            above += f64::from(u8::from(g > 0.0));
            largest = largest.max(g);
            if let ConstraintConfig::Penalty { scale, .. } = self.constraint {
                loss += scale * g.max(0.0).powi(2) / count;
                *coefficient = (2.0 * scale * g.max(0.0) / count) as f32;
            } else {
                let lambda = multipliers.at(*point);
                loss += f64::from(lambda) * g / count;
                *coefficient = lambda / count as f32;
                multipliers.step(*point, g);
            }
        }
        metrics.add("train/constraint_loss", loss);
        metrics.add("train/violated_share", above / count);
        metrics.add("train/violation_max", largest);
        Ok(loss)
    }

    /// The slopes' part of the loss, with its gradient with respect to the actions at the edges' ends.
    fn constrain_slopes(&mut self, data: &LabelledPairs, metrics: &mut Metrics) -> f64 {
        let (Some(alpha), Some(multipliers)) = (self.constraint.alpha(), &mut self.multipliers) else { return 0.0 };
        let Some(jacobian_penalty) = &self.jacobian_penalty else { return 0.0 };
        let (o, a, batch) = (data.obs_dim, data.act_dim, self.batch);
        let (mut loss, mut above, mut largest, mut ends) = (0.0, 0.0, 0.0f64, vec![0.0; 2 * a]);
        for (edge, point) in self.points[batch..].iter().enumerate() {
            let at = (batch + 2 * edge) * a;
            jacobian_penalty.actions_into(batch + 2 * edge, &mut ends);
            let squares = (0..a).map(|k| (self.scales.1[k] * f64::from(ends[k] - ends[a + k])).powi(2));
            let difference = squares.sum::<f64>().sqrt();
            let rows = data.obs[point.i * o..][..o].iter().zip(&data.obs[point.j * o..][..o]);
            let distance = rows.map(|(x, y)| f64::from(x - y).powi(2)).sum::<f64>().sqrt();
            if distance == 0.0 {
                continue;
            }
            // Divided by the distance, so that near pairs count as much as far ones.
            let (g, lambda) = (difference / distance - alpha, f64::from(multipliers.at(*point)));
            above += f64::from(u8::from(g > 0.0));
            largest = largest.max(g);
            loss += lambda * g / batch as f64;
            for k in (0..a).filter(|_| difference > 0.0) {
                let square = self.scales.1[k].powi(2) * f64::from(ends[k] - ends[a + k]);
                let slope = (lambda * square / (difference * distance) / batch as f64) as f32;
                self.d_action[at + k] += slope;
                self.d_action[at + a + k] -= slope;
            }
            multipliers.step(*point, g);
        }
        metrics.add("train/constraint_loss", loss);
        metrics.add("train/violated_share", above / batch as f64);
        metrics.add("train/violation_max", largest);
        loss
    }

    /// A proven constant in the environment's units, the lesser of two: the product of the layers' exact
    /// norms with standardisation and half-widths folded in, and the parameterisation's own.
    pub(super) fn certified(&self) -> Result<f64, AgentError> {
        let by = self.model.certified_by_construction()?;
        let by = by.map(|by| by * largest(&self.scales.0) * largest(&self.scales.1));
        let product = match self.model.mlp().dense {
            // Every layer has the input, so that there is no single weight to fold into.
            true => {
                lipschitz::product_bound(self.model.mlp(), self.model.tensor())?
                    * largest(&self.scales.0)
                    * largest(&self.scales.1)
            }
            false => lipschitz::product_bound(self.model.mlp(), &self.folded()?)?,
        };
        Ok(by.map_or(product, |by| by.min(product)))
    }

    /// The weights in f64 with diag(s) in the first and diag(h) in the last.
    fn folded(&self) -> Result<Tensor, AgentError> {
        let mut flat: Vec<f64> = self.model.params().iter().map(|&p| f64::from(p)).collect();
        let layers = &self.model.mlp().layers;
        if let (Some(first), Some(last)) = (layers.first(), layers.last()) {
            for row in flat[first.start..first.bias()].chunks_exact_mut(first.inputs) {
                row.iter_mut().zip(&self.scales.0).for_each(|(w, s)| *w *= s);
            }
            let rows = flat[last.start..last.bias()].chunks_exact_mut(last.inputs);
            rows.zip(&self.scales.1).for_each(|(row, h)| row.iter_mut().for_each(|w| *w *= h));
        }
        Ok(Tensor::f_from_slice(&flat)?)
    }

    /// ‖J‖₂ at raw observations `[R, O]`, in the environment's units, before the cut at ±1.
    pub(super) fn norms_at(&self, normaliser: Option<&RunningNormaliser>, obs: &[f32]) -> Result<Vec<f64>, AgentError> {
        let x = Tensor::f_from_slice(obs)?.f_view([-1, self.scales.0.len() as i64])?.f_to_kind(Kind::Double)?;
        let params = self.model.tensor().f_to_kind(Kind::Double)?;
        let half_width = Tensor::f_from_slice(&self.scales.1)?;
        let act = |x: &Tensor| {
            let seen = normaliser.map_or_else(|| Ok(x.shallow_clone()), |normaliser| standardise(normaliser, x))?;
            let output = self.model.mlp().forward(&params, &seen);
            let action = if self.head == PolicyHead::Tanh { output.f_tanh()? } else { output };
            Ok(action.f_mul(&half_width)?)
        };
        Ok(lipschitz::jacobian_norms(act, &x)?.spectral)
    }

    /// Everything that changes.
    pub(super) fn state(&mut self, io: &mut StateIo<'_>) -> Result<(), AgentError> {
        self.model.state(&mut io.scope("policy"))?;
        self.multipliers.as_mut().map_or(Ok(()), |multipliers| multipliers.state(io))
    }
}

fn largest(numbers: &[f64]) -> f64 {
    numbers.iter().copied().fold(0.0, f64::max)
}
