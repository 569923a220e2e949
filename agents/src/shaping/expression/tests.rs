use tch::Tensor;

use super::*;
use crate::shaping::testing::Sample;

const GAMMA: f64 = 0.9;

/// A potential as text and as a function.
type Potential = (&'static str, fn([f32; 2]) -> f64);

fn potentials() -> [Potential; 2] {
    [
        ("-1.5*obs[0] + 2*obs[1]", |[x, y]| f64::from(y) * 2.0 - f64::from(x) * 1.5),
        ("-0.7*(obs[0] - 3)^2 + 0.2*(obs[1] - 0.5)^2", |[x, y]| {
            0.2 * (f64::from(y) - 0.5).powi(2) - 0.7 * (f64::from(x) - 3.0).powi(2)
        }),
    ]
}

/// A step between states with two coordinates each.
type Step = ([f32; 2], [f32; 2], Flags);

/// Shapes the steps' rewards.
fn shape(potential: &str, steps: &[Step], reward: &mut [f32]) -> Vec<f32> {
    let mut sample = Sample::new(steps.len(), 2, 1);
    let states =
        |of: fn(&Step) -> [f32; 2]| Tensor::from_slice(&steps.iter().flat_map(of).collect::<Vec<f32>>()).view([-1, 2]);
    (sample.obs, sample.next_obs) = (states(|step| step.0), states(|step| step.1));
    sample.flags = steps.iter().map(|step| step.2).collect();
    let config = ExpressionConfig { potential: Some(potential.to_owned()), bonus: None };
    sample.shape(&mut Expression::new(&config, (2, 1), GAMMA).unwrap(), 1, reward);
    reward.to_vec()
}

#[test]
fn an_episode_telescopes_to_minus_its_first_potential() {
    // Σ γᵏ (γ Φ(sₖ₊₁) − Φ(sₖ)) = γᵀ Φ(s_T) − Φ(s₀), and Φ(s_T) = 0 after a termination, not
    // after a time limit.
    let states: Vec<[f32; 2]> = (0..7).map(|i| [i as f32 - 2.5, (i * i) as f32 * 0.3]).collect();
    for (text, value) in potentials() {
        for end in [Flags::TERMINATED, Flags::NEXT_ABSORBING, Flags::TRUNCATED] {
            let steps: Vec<_> =
                (0..6).map(|i| (states[i], states[i + 1], if i == 5 { end } else { Flags::NONE })).collect();
            let shaped = shape(text, &steps, &mut [0.0; 6]);
            let sum: f64 = shaped.iter().enumerate().map(|(k, f)| GAMMA.powi(k as i32) * f64::from(*f)).sum();
            let last = if end == Flags::TRUNCATED { value(states[6]) } else { 0.0 };
            let expected = GAMMA.powi(6) * last - value(states[0]);
            assert!((sum - expected).abs() < 1e-5, "{sum} {expected}");
        }
    }
}

#[test]
fn the_absorbing_state_has_no_potential_whatever_its_row_holds() {
    let absorbing = Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING;
    for (text, _) in potentials() {
        assert_eq!(shape(text, &[([5.0, 6.0], [7.0, 8.0], absorbing)], &mut [0.25]), [0.25]);
    }
}

#[test]
fn the_advantages_of_a_chain_stay_what_they_were() {
    // States 0 … 4; action 0 goes left (the wall holds), 1 right, with 0.2 probability of
    // staying; leaving 4 rightwards ends the task and pays 1; every step costs 0.05.
    let obs = |state: usize| [state as f32, (state * state % 3) as f32];
    let outcomes = |state: usize, action: usize| {
        let (to, end) = match action {
            0 => (state.saturating_sub(1), false),
            _ => ((state + 1).min(4), state == 4),
        };
        [(0.8, to, end), (0.2, state, false)]
    };
    let solve = |potential: Option<&str>| {
        let reward = |state: usize, to: usize, end: bool| {
            let mut reward = [if end { 0.95 } else { -0.05 }];
            if let Some(potential) = potential {
                shape(potential, &[(obs(state), obs(to), Flags::TERMINATED.when(end))], &mut reward);
            }
            f64::from(reward[0])
        };
        let mut q = [[0.0f64; 2]; 5];
        for _ in 0..300 {
            let value = q.map(|q| q[0].max(q[1]));
            for (state, q) in q.iter_mut().enumerate() {
                for (action, q) in q.iter_mut().enumerate() {
                    let backup = outcomes(state, action)
                        .map(|(p, to, end)| p * (reward(state, to, end) + if end { 0.0 } else { GAMMA * value[to] }));
                    *q = backup.iter().sum();
                }
            }
        }
        q
    };
    let plain = solve(None);
    for (text, value) in potentials() {
        let shaped = solve(Some(text));
        for (state, (plain, shaped)) in plain.iter().zip(shaped).enumerate() {
            for action in 0..2 {
                let expected = plain[action] - value(obs(state));
                assert!((shaped[action] - expected).abs() < 1e-5, "{state} {action}: {} {expected}", shaped[action]);
            }
            assert_eq!(plain[0] > plain[1], shaped[0] > shaped[1]);
        }
    }
}

#[test]
fn a_bonus_by_hand() {
    let mut sample = Sample::new(3, 2, 1);
    sample.obs = Tensor::from_slice(&[0.5f32, -2.0, 1.0, 4.0, 3.0, 3.0]).view([3, 2]);
    sample.next_obs = Tensor::from_slice(&[1.5f32, 0.0, 2.0, 0.0, 3.0, 0.0]).view([3, 2]);
    sample.action = Tensor::from_slice(&[0.5f32, -1.0, 0.25]).view([3, 1]);
    sample.flags[2] = Flags::OBS_ABSORBING | Flags::NEXT_ABSORBING;
    sample.t = vec![0, 7, 8];
    let text = "(next_obs[0] - obs[0]) / 0.5 - action[0]^2 + 0.1*reward - t".to_owned();
    let config = ExpressionConfig { potential: None, bonus: Some(text) };
    let mut expression = Expression::new(&config, (2, 1), GAMMA).unwrap();
    assert!(expression.reads_t());
    let mut reward = [10.0, 20.0, 30.0];
    sample.shape(&mut expression, 1, &mut reward);
    // The third row is the absorbing state's.
    let expected = [10.0 + 2.0 - 0.25 + 1.0, 20.0 + 2.0 - 1.0 + 2.0 - 7.0, 30.0];
    reward.iter().zip(expected).for_each(|(a, b): (&f32, f32)| assert!((a - b).abs() < 1e-5, "{reward:?}"));
}

#[test]
fn a_formula_that_is_not_finite_is_an_error_with_its_place() {
    let mut sample = Sample::new(2, 2, 1);
    sample.obs = Tensor::from_slice(&[1.0f32, 1.0, 0.0, 5.0]).view([2, 2]);
    for (potential, bonus) in [(Some("1/obs[0]"), None), (None, Some("log(obs[0]) + action[0]"))] {
        let config = ExpressionConfig { potential: potential.map(String::from), bonus: bonus.map(String::from) };
        let mut expression = Expression::new(&config, (2, 1), GAMMA).unwrap();
        assert!(!expression.reads_t());
        let error = sample.try_shape(&mut expression, 1, &mut [0.0; 2], &mut Metrics::default()).unwrap_err();
        assert!(error.to_string().contains("is not finite at the observation [0.0, 5.0]"), "{error}");
    }
}
