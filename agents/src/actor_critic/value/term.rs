//! A term in the critics' loss. It needs a loss by autograd; a CPU form is optional, and without
//! one the whole update is done by autograd.
//!
//! To add a term: a file with its settings and their [`ValueTerm`], and a line of the table in
//! `config`, or, from another crate, of that program's extensions.

use std::fmt::Debug;

use liprl_nets::{Gradient, Weights, optim::TrainState};
use liprl_numerics::StreamRng;
use tch::Tensor;

use super::StateUnits;
use crate::{
    AgentError,
    actor_critic::batch::{DeviceBatch, Rows},
};

/// Sums over rows and critics of the numbers that a term's metrics average, in the order of
/// [`ValueTerm::metrics`].
pub type TermSums = [f64; 3];

/// The networks a term is about.
#[derive(Clone, Copy)]
pub struct Networks<'a> {
    /// The policy, which does not learn from the term.
    pub actor: &'a TrainState,
    /// The critics.
    pub critics: &'a TrainState,
    /// The parameters they are used with, or a leaf that these come from.
    pub params: &'a Tensor,
    /// The worth in reward of one unit of their outputs.
    pub scale: f32,
}

impl Networks<'_> {
    /// Numbers in an observation and in an action.
    pub(crate) fn dims(&self) -> (usize, usize) {
        let obs_dim = self.actor.mlps()[0].inputs();
        (obs_dim, self.critics.mlps()[0].inputs() - obs_dim)
    }
}

/// Settings of every term.
#[derive(Clone, Copy, Debug)]
pub struct TermSettings {
    /// λ, the weight beside the critics' loss.
    pub lambda: f64,
    /// The unit of distances between states.
    pub units: StateUnits,
    /// Rows of each batch that the term looks at.
    pub rows: usize,
    /// Critic updates from one with the term to the next.
    pub every: u64,
}

/// The rows of a batch that a term looks at.
pub struct TermBatch {
    /// Their tensors.
    pub on: DeviceBatch,
    /// Each critic's outputs there, `[n]`, with their gradient.
    pub replayed: Vec<Tensor>,
}

/// One update's numbers for a term.
#[derive(Debug, Default)]
pub struct TermState {
    /// The rows of the batch that the term looks at.
    pub rows: Vec<usize>,
    /// The length of one of its units along each coordinate of the state, `[O]`.
    pub unit: Vec<f32>,
    /// The weight of one row's part in the loss: λ times `every` over the rows.
    pub weight: f64,
    /// Its random numbers.
    pub draws: TermDraws,
}

/// Random numbers of one update; empty if the term takes none.
#[derive(Debug, Default)]
pub struct TermDraws {
    /// ξ of a sampled action, `[n, A]`.
    pub noise: Vec<f32>,
    /// Places in a box, each coordinate in `[-1, 1]`, `[perturbations, n, O]`.
    pub uniform: Vec<f32>,
}

/// Sizes for [`ValueTerm::draw`].
#[derive(Clone, Copy, Debug)]
pub struct TermSizes {
    /// Rows that the term looks at, n.
    pub rows: usize,
    /// Numbers in an observation, O.
    pub obs_dim: usize,
    /// Numbers in an action, A.
    pub act_dim: usize,
    /// Critics.
    pub critics: usize,
}

/// The number that a metric's sum is divided by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Per {
    /// Rows: a sum over the critics, like their loss.
    Row,
    /// Rows and critics.
    Value,
}

/// A kind of term.
pub trait ValueTerm: Debug {
    /// The settings that every term has.
    fn settings(&self) -> TermSettings;

    /// The metric of each of the sums, as on the page of `value`.
    fn metrics(&self) -> Vec<(&'static str, Per)>;

    /// The term by autograd, a scalar with `state.weight` in it, and its sums.
    fn loss(
        &self,
        networks: &Networks<'_>,
        batch: &TermBatch,
        state: &TermState,
    ) -> Result<(Tensor, TermSums), AgentError>;

    /// Draws this update's random numbers.
    fn draw(&self, _sizes: TermSizes, _rng: &mut StreamRng, _draws: &mut TermDraws) {}

    /// The problem of this term with a policy that is sampled or not, as an error says it after
    /// "`value_regulariser`: ".
    fn problem(&self, _stochastic_policy: bool) -> Option<&'static str> {
        None
    }

    /// The CPU form over a share of the rows; `None` if there is none for these networks. `weights`
    /// are the critics'.
    fn rows(
        &self,
        _share: TermShare,
        _networks: &Networks<'_>,
        _weights: &[Weights],
    ) -> Result<Option<Box<dyn TermRows>>, AgentError> {
        Ok(None)
    }
}

/// A share's part of a term.
#[derive(Debug)]
pub struct TermShare {
    /// The term's rows, counted from the share's first.
    pub(super) rows: Vec<usize>,
    /// Rows of the term in the shares before.
    pub(super) first: usize,
}

/// The CPU form of a term over one share's rows.
pub trait TermRows: Debug + Send {
    /// Adds to the gradient of critic `index`'s outputs at the replayed pairs, `outputs`, before it
    /// goes back. `scale` is that of [`Networks`].
    fn add(
        &mut self,
        _state: &TermState,
        _critic: (usize, &Weights),
        _rows: &Rows,
        _outputs: (&[f32], &mut [f32]),
        _scale: f32,
    ) -> Result<(), AgentError> {
        Ok(())
    }

    /// Adds to the gradient of critic `index`'s parameters, after the outputs' gradient has gone
    /// back.
    fn finish(
        &mut self,
        state: &TermState,
        critic: (usize, &Weights),
        rows: &Rows,
        gradient: &mut Gradient,
    ) -> Result<(), AgentError>;

    /// The sums of all critics since they were last taken.
    fn take_sums(&mut self) -> TermSums;
}
