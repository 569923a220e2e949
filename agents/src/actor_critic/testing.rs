//! Small random networks and batches for the tests that compare the CPU form with autograd.

use liprl_nets::{NetworkConfig, optim::TrainState};
use liprl_numerics::{Activation, Init, Streams};
use tch::{Device, Tensor};

use super::{
    Against, CriticLoss, CriticSpectralNorm, RobustConfig, SpectralForm, ValuePenaltyConfig, ValueRegulariser,
    actor::ActorRows, batch::Rows, critics::rows::CriticRows, outputs::CriticSums, shares::RowShare,
};
use crate::Batch;

pub(crate) use liprl_nets::testing::{assert_gradient, assert_nearly};
pub(crate) use liprl_numerics::testing::numbers;

/// A batch of random numbers with random weights.
pub(crate) fn batch(size: usize, obs_dim: usize, act_dim: usize) -> Batch {
    tch::set_num_threads(1); // small products: more threads would only wait for each other
    let mut batch = Batch::new(size, obs_dim, act_dim, 1, 0.99);
    let fill = |tensor: &mut Tensor, name: &str| {
        let values = Tensor::from_slice(&numbers(tensor.numel(), name)).view_as(tensor);
        tensor.copy_(&values);
    };
    fill(&mut batch.obs, "batch obs");
    fill(&mut batch.action, "batch action");
    let _ = batch.action.tanh_();
    fill(&mut batch.reward, "batch reward");
    fill(&mut batch.next_obs, "batch next");
    fill(&mut batch.weight, "batch weight");
    let _ = batch.weight.abs_();
    let _ = batch.discount.fill_(0.99);
    batch
}

/// Every activation with and without LayerNorm, each with a loss and a number of critics.
pub(crate) fn networks() -> Vec<(NetworkConfig, CriticLoss, usize)> {
    let mut activations: Vec<Activation> = liprl_numerics::testing::networks().iter().map(|net| net.0).collect();
    activations.dedup();
    let mut all = Vec::new();
    for activation in activations {
        for (layer_norm, loss, count) in
            [(false, CriticLoss::Squared, 2), (true, CriticLoss::Huber, 1), (true, CriticLoss::Squared, 2)]
        {
            let init = if count == 1 { Init::Orthogonal { output_gain: 1.0 } } else { Init::Uniform };
            let hidden = liprl_numerics::testing::widths(activation, &[32, 19]);
            let config = NetworkConfig { hidden, activation, layer_norm, init, ..Default::default() };
            all.push((config, loss, count));
        }
    }
    all
}

/// A regularising term of each kind.
pub(crate) fn regularisers() -> Vec<ValueRegulariser> {
    let robust = RobustConfig { lambda: 0.5, epsilon: 0.1, rows: 17, ..RobustConfig::default() };
    let penalty = ValuePenaltyConfig { lambda: 0.5, target: 0.2, rows: 17, ..ValuePenaltyConfig::default() };
    vec![
        ValueRegulariser::default(),
        ValueRegulariser::new("robust", Box::new(robust)),
        ValueRegulariser::new("robust", Box::new(RobustConfig { every: 2, against: Against::First, ..robust })),
        ValueRegulariser::new("gradient_penalty", Box::new(penalty)),
    ]
}

/// True if an update with this term has a CPU form: the penalty's is for piecewise linear critics alone.
pub(crate) fn has_rows(net: &NetworkConfig, term: &ValueRegulariser) -> bool {
    let linear = matches!(net.activation, Activation::Relu | Activation::LeakyRelu(_) | Activation::MaxMin);
    linear || term.kind() != "gradient_penalty"
}

/// Critics without a limit on their layers' norms, and with one of each form.
pub(crate) fn spectral_norms() -> [Option<CriticSpectralNorm>; 3] {
    let norm = CriticSpectralNorm { scale: 1.5, iterations: 2, ..CriticSpectralNorm::default() };
    [None, Some(norm), Some(CriticSpectralNorm { form: SpectralForm::Project, scale: 0.8, ..norm })]
}

pub(crate) fn critics(net: &NetworkConfig, obs_dim: usize, act_dim: usize, count: usize) -> TrainState {
    trained(net, obs_dim + act_dim, 1, count)
}

/// The one share of `batch`, with these networks.
pub(crate) fn share(actor: &TrainState, critics: &TrainState, batch: &Batch) -> RowShare {
    let (size, obs_dim, act_dim) = (batch.size(), batch.obs.size()[1] as usize, batch.action.size()[1] as usize);
    RowShare {
        rows: Rows::of(batch, 0..size).unwrap(),
        batch: size,
        actor: ActorRows::new(actor, actor.weights().swap_remove(0), size, act_dim).unwrap(),
        critics: CriticRows::new(critics, &critics.target().unwrap(), size, obs_dim).unwrap(),
        critic_sums: CriticSums::default(),
        actor_loss: 0.0,
    }
}

pub(crate) fn policy(net: &NetworkConfig, obs_dim: usize, outputs: usize) -> TrainState {
    trained(net, obs_dim, outputs, 1)
}

fn trained(net: &NetworkConfig, inputs: usize, outputs: usize, count: usize) -> TrainState {
    let mlp = super::mlp(net, inputs, outputs);
    let mut rng = Streams::new(3).rng("testing");
    let mut trained = TrainState::new(vec![mlp; count], net.into(), Device::Cpu, &mut rng).unwrap();
    // LayerNorm's scale and shift away from 1 and 0, or a mistake in their gradients could hide.
    let moved: Vec<f32> = trained
        .params()
        .slice()
        .iter()
        .zip(numbers(trained.params().slice().len(), "moved"))
        .map(|(p, n)| p + 0.05 * n)
        .collect();
    trained.set_params(&moved).unwrap();
    trained
}
