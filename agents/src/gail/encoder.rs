//! Transitions as rows of the discriminator. A row has two halves, a state and an action or next
//! state. If absorbing states are told apart, each half ends with an indicator.
//!
//! A *raw* row holds the transition's own numbers. In a *preprocessed* row, the network's input,
//! states are standardised (if the config says so) and clipped. The gradients that matter are with
//! respect to raw rows: a coordinate beyond the clip contributes none.
//!
//! Nor do indicators contribute: the distance to the absorbing state is undefined. Suppose that the
//! discriminator were k-Lipschitz in them too. Near demonstrations around zero it could not tell
//! the absorbing state from a demonstrated one by more than k√2 in the logit. Then
//! r(absorbing)/(1 − γ) would make an early end the best choice.

use liprl_control::certify::{Input, Takes};
use liprl_numerics::RunningNormaliser;

use super::discriminator_config::{DiscriminatorConfig, DiscriminatorInput, Units};
use crate::Flags;

/// Layout and preprocessing of a row.
#[derive(Clone, Debug)]
pub(super) struct Encoder {
    obs_dim: usize,
    act_dim: usize,
    input: DiscriminatorInput,
    /// True if each half ends with an indicator.
    indicators: bool,
    /// True if gradients with respect to indicators count.
    indicator_gradients: bool,
    clip: f32,
    /// The worth of one unit of the agent's action in a row.
    action_unit: f32,
}

/// A transition to encode, in the environment's units, except actions, which are in `[-1, 1]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct RawTransition<'a> {
    /// s, `[O]`.
    pub(super) obs: &'a [f32],
    /// a, `[A]`.
    pub(super) action: &'a [f32],
    /// s′, `[O]`.
    pub(super) next_obs: &'a [f32],
    /// Marks of absorbing states.
    pub(super) flags: Flags,
}

impl Encoder {
    /// An encoder of transitions of these dimensions. `indicators`: absorbing states are told
    /// apart. `indicator_gradients`: the gradient with respect to the indicators counts.
    pub(super) fn new(
        config: &DiscriminatorConfig,
        (obs_dim, act_dim): (usize, usize),
        indicators: bool,
        indicator_gradients: bool,
    ) -> Self {
        let clip = config.clip as f32;
        Self { obs_dim, act_dim, input: config.input, indicators, indicator_gradients, clip, action_unit: 1.0 }
    }

    /// Writes actions in another unit: an agent's action of 1 is `unit` in a row.
    pub(super) fn with_action_unit(self, unit: f64) -> Self {
        Self { action_unit: unit as f32, ..self }
    }

    /// Numbers in a row.
    pub(super) fn width(&self) -> usize {
        let second = self.second();
        second + self.second_dim() + usize::from(self.indicators)
    }

    /// Start of the second half.
    pub(super) fn second(&self) -> usize {
        self.obs_dim + usize::from(self.indicators)
    }

    fn second_dim(&self) -> usize {
        match self.input {
            DiscriminatorInput::StateAction => self.act_dim,
            DiscriminatorInput::StateState => self.obs_dim,
        }
    }

    /// Writes a transition's raw row. An absorbing state is zeros with indicator 1, and so is the
    /// action there.
    pub(super) fn encode(&self, seen: RawTransition<'_>, row: &mut [f32]) {
        let (first, second) = row.split_at_mut(self.second());
        let absorbed = seen.flags.contains(Flags::OBS_ABSORBING);
        let (numbers, absorbed_next) = match self.input {
            DiscriminatorInput::StateAction => (seen.action, absorbed),
            DiscriminatorInput::StateState => (seen.next_obs, seen.flags.contains(Flags::NEXT_ABSORBING)),
        };
        self.half(seen.obs, absorbed, first);
        self.half(numbers, absorbed_next, second);
        if self.input == DiscriminatorInput::StateAction {
            second[..self.act_dim].iter_mut().for_each(|action| *action *= self.action_unit);
        }
    }

    /// Writes raw rows of transitions that lie in flat arrays, `[R, O]`, `[R, A]`, `[R, O]` and
    /// `[R]`.
    pub(super) fn encode_all(
        &self,
        (obs, action, next_obs): (&[f32], &[f32], &[f32]),
        flags: &[Flags],
        rows: &mut [f32],
    ) {
        let arrays = obs.chunks_exact(self.obs_dim).zip(action.chunks_exact(self.act_dim));
        let arrays = arrays.zip(next_obs.chunks_exact(self.obs_dim)).zip(flags);
        for (row, (((obs, action), next_obs), &flags)) in rows.chunks_exact_mut(self.width()).zip(arrays) {
            self.encode(RawTransition { obs, action, next_obs, flags }, row);
        }
    }

    fn half(&self, numbers: &[f32], absorbing: bool, half: &mut [f32]) {
        let (own, indicator) = half.split_at_mut(numbers.len());
        match absorbing && self.indicators {
            true => own.fill(0.0),
            false => own.copy_from_slice(numbers),
        }
        indicator.fill(f32::from(absorbing));
    }

    /// The absorbing transition's raw row.
    pub(super) fn encode_absorbing(&self, row: &mut [f32]) {
        let second = self.second();
        for (start, dim) in [(0, self.obs_dim), (second, self.second_dim())] {
            row[start..start + dim].fill(0.0);
            row[start + dim..start + dim + usize::from(self.indicators)].fill(1.0);
        }
    }

    /// Turns raw rows into the network's input, in place.
    pub(super) fn preprocess(&self, normaliser: Option<&RunningNormaliser>, rows: &mut [f32]) {
        for row in rows.chunks_exact_mut(self.width()) {
            for start in self.states() {
                let absorbed = self.indicators && row[start + self.obs_dim] == 1.0;
                let state = &mut row[start..start + self.obs_dim];
                if let Some(normaliser) = normaliser.filter(|_| !absorbed) {
                    normaliser.apply(state);
                }
                state.iter_mut().for_each(|x| *x = x.clamp(-self.clip, self.clip));
            }
        }
    }

    /// Writes ∂(preprocessed)/∂(raw), coordinate by coordinate, at these raw rows. In
    /// `Units::Network` nonzero derivatives count as 1.
    pub(super) fn slopes(&self, normaliser: Option<&RunningNormaliser>, units: Units, raw: &[f32], slopes: &mut [f32]) {
        let width = self.width();
        for (row, slopes) in raw.chunks_exact(width).zip(slopes.chunks_exact_mut(width)) {
            slopes.fill(1.0);
            if self.indicators && !self.indicator_gradients {
                (slopes[self.obs_dim], slopes[width - 1]) = (0.0, 0.0);
            }
            for start in self.states() {
                let absorbed = self.indicators && row[start + self.obs_dim] == 1.0;
                for i in 0..self.obs_dim {
                    let (x, slope) = match normaliser.filter(|_| !absorbed) {
                        Some(normaliser) => normaliser.affine(i, row[start + i]),
                        None => (row[start + i], 1.0),
                    };
                    slopes[start + i] = match units {
                        _ if x.abs() > self.clip => 0.0,
                        Units::Environment => slope,
                        Units::Network => 1.0,
                    };
                }
            }
        }
    }

    /// Contents and preprocessing of a row, for a certificate. It is of ordinary transitions, whose
    /// indicators are 0.
    pub(super) fn certifiable(&self, normaliser: Option<&RunningNormaliser>) -> (Takes, Vec<Input>) {
        let clip = f64::from(self.clip);
        let state: Vec<Input> = match normaliser {
            Some(normaliser) => Input::standardised(&normaliser.broadcast(self.obs_dim)),
            None => vec![Input::RAW; self.obs_dim],
        };
        let state = state.into_iter().map(|input| match input {
            Input::Standardised { mean, scale, .. } => Input::Standardised { mean, scale, clip },
            Input::Held(value) => Input::Held(value),
        });
        let mut inputs: Vec<Input> = state.collect();
        let indicator = self.indicators.then_some(Input::Held(0.0));
        let (takes, second) = match self.input {
            DiscriminatorInput::StateAction => (Takes::StateAction, vec![Input::RAW; self.act_dim]),
            DiscriminatorInput::StateState => (Takes::StateState, inputs.clone()),
        };
        inputs.extend(indicator);
        inputs.extend(second);
        inputs.extend(indicator);
        (takes, inputs)
    }

    /// Starts of the states in a row.
    fn states(&self) -> impl Iterator<Item = usize> + use<> {
        let second = matches!(self.input, DiscriminatorInput::StateState).then_some(self.second());
        std::iter::once(0).chain(second)
    }
}

#[cfg(test)]
mod tests {
    use liprl_numerics::NormaliserOptions;

    use super::*;

    fn encoder(input: DiscriminatorInput, indicators: bool) -> Encoder {
        Encoder::new(&DiscriminatorConfig { input, ..Default::default() }, (2, 1), indicators, true)
    }

    const SEEN: RawTransition<'_> =
        RawTransition { obs: &[1.0, -7.0], action: &[0.5], next_obs: &[2.0, 2.0], flags: Flags::NONE };

    #[test]
    fn rows_hold_both_halves_and_their_indicators() {
        let mut row = [9.0; 6];
        let encoder_sa = encoder(DiscriminatorInput::StateAction, true);
        encoder_sa.encode(SEEN, &mut row[..5]);
        assert_eq!(row[..5], [1.0, -7.0, 0.0, 0.5, 0.0]);
        encoder_sa.encode(RawTransition { flags: Flags::OBS_ABSORBING, ..SEEN }, &mut row[..5]);
        assert_eq!(row[..5], [0.0, 0.0, 1.0, 0.0, 1.0]);
        // Its last own action is not an absorbing one: only the next state is.
        encoder_sa.encode(RawTransition { flags: Flags::NEXT_ABSORBING, ..SEEN }, &mut row[..5]);
        assert_eq!(row[..5], [1.0, -7.0, 0.0, 0.5, 0.0]);
        let encoder_ss = encoder(DiscriminatorInput::StateState, true);
        encoder_ss.encode(RawTransition { flags: Flags::NEXT_ABSORBING, ..SEEN }, &mut row);
        assert_eq!(row, [1.0, -7.0, 0.0, 0.0, 0.0, 1.0]);
        encoder_ss.encode_absorbing(&mut row);
        assert_eq!(row, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
        let plain = encoder(DiscriminatorInput::StateAction, false);
        plain.encode(SEEN, &mut row[..3]);
        assert_eq!((plain.width(), &row[..3]), (3, &[1.0, -7.0, 0.5][..]));
        plain.with_action_unit(0.5).encode(SEEN, &mut row[..3]);
        assert_eq!(row[..3], [1.0, -7.0, 0.25]);
    }

    #[test]
    fn certificates_preprocess_as_the_encoder_does() {
        let mut normaliser = RunningNormaliser::new(1, NormaliserOptions { clip: f64::INFINITY, variance_floor: 1e-8 });
        normaliser.update(&[0.0, 4.0]);
        for input in [DiscriminatorInput::StateAction, DiscriminatorInput::StateState] {
            for (moments, wide) in [(None, None), (Some(&normaliser), Some(normaliser.broadcast(2)))] {
                let encoder = encoder(input, true);
                let mut row = vec![0.0; encoder.width()];
                encoder.encode(SEEN, &mut row);
                let raw = row.clone();
                encoder.preprocess(wide.as_ref(), &mut row);
                let (_, inputs) = encoder.certifiable(moments);
                assert_eq!(inputs.len(), row.len());
                for ((input, raw), preprocessed) in inputs.iter().zip(&raw).zip(&row) {
                    let own = match *input {
                        Input::Held(value) => value,
                        Input::Standardised { mean, scale, clip } => {
                            ((f64::from(*raw) - mean) * scale).clamp(-clip, clip)
                        }
                    };
                    assert!((own - f64::from(*preprocessed)).abs() < 1e-6, "{own} {preprocessed}");
                }
            }
        }
    }

    #[test]
    fn absorbing_states_are_not_standardised_nor_are_their_slopes() {
        let mut normaliser = RunningNormaliser::new(2, NormaliserOptions { clip: f64::INFINITY, variance_floor: 1e-8 });
        normaliser.update(&[0.0, 0.0, 4.0, 100.0]); // the zeros of an absorbing state standardise to −1
        let encoder = encoder(DiscriminatorInput::StateState, true);
        let seen = RawTransition { flags: Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING, ..SEEN };
        let (mut row, mut slopes) = (vec![9.0; encoder.width()], vec![0.0; encoder.width()]);
        encoder.encode(seen, &mut row);
        encoder.slopes(Some(&normaliser), Units::Environment, &row, &mut slopes);
        assert_eq!(slopes, [1.0; 6]);
        encoder.preprocess(Some(&normaliser), &mut row);
        assert_eq!(row, [0.0, 0.0, 1.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn preprocessing_and_its_slopes_agree_with_finite_differences() {
        let mut normaliser = RunningNormaliser::new(2, NormaliserOptions { clip: f64::INFINITY, variance_floor: 1e-8 });
        normaliser.update(&[0.0, 0.0, 4.0, 1.0]); // means 2 and 0.5, deviations 2 and 0.5
        for input in [DiscriminatorInput::StateAction, DiscriminatorInput::StateState] {
            for moments in [None, Some(&normaliser)] {
                let encoder = encoder(input, true);
                let mut raw = vec![0.0; encoder.width()];
                encoder.encode(SEEN, &mut raw);
                let mut slopes = vec![0.0; raw.len()];
                encoder.slopes(moments, Units::Environment, &raw, &mut slopes);
                for (i, slope) in slopes.iter().enumerate() {
                    let at = |change: f32| {
                        let mut row = raw.clone();
                        row[i] += change;
                        encoder.preprocess(moments, &mut row);
                        row[i]
                    };
                    let h = 1.0 / 64.0;
                    assert!((slope - (at(h) - at(-h)) / (2.0 * h)).abs() < 1e-4, "{input:?}, coordinate {i}: {slope}");
                }
                // −7 is beyond the clip of 5, as it is and standardised (−15).
                assert_eq!(slopes[1], 0.0);
                let mut network = vec![0.0; raw.len()];
                encoder.slopes(moments, Units::Network, &raw, &mut network);
                assert!(network.iter().zip(&slopes).all(|(network, slope)| *network == f32::from(*slope != 0.0)));
                let flat = Encoder { indicator_gradients: false, ..encoder };
                let mut without = vec![0.0; raw.len()];
                flat.slopes(moments, Units::Environment, &raw, &mut without);
                (slopes[2], slopes[raw.len() - 1]) = (0.0, 0.0);
                assert_eq!(without, slopes, "indicators do not count");
            }
        }
    }
}
