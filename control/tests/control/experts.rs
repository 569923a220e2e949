//! The experts on their systems.

use liprl_control::{ControlError, Expert, LinearFeedback, Lqr, Mpc, MpcConfig, Scaled};
use liprl_envs::{
    Env, NumpyRng, Options, make,
    systems::{Linear, Matrix, Quadratic},
};
use liprl_numerics::NumericsError;
use serde_json::json;

fn environment(id: &str, options: serde_json::Value) -> Box<dyn Env> {
    make(id, &serde_json::from_value(options).unwrap()).unwrap()
}

/// Returns of an expert's episodes, and the observation each ended with.
fn episodes(env: &mut dyn Env, expert: &mut dyn Expert, seeds: std::ops::Range<u64>) -> Vec<(f64, Vec<f64>)> {
    let (mut obs, mut action) = (vec![0.0; expert.obs_dim()], vec![0.0; expert.act_dim()]);
    seeds
        .map(|seed| {
            env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
            expert.begin();
            let mut total = 0.0;
            loop {
                expert.action(&obs, &mut action).unwrap();
                let step = env.step(&action, &mut obs).unwrap();
                total += step.reward;
                if step.done() {
                    return (total, obs.clone());
                }
            }
        })
        .collect()
}

/// An expert whose observations and actions are rounded to f32, as those of policies are.
struct Rounded(Mpc);

impl Expert for Rounded {
    fn obs_dim(&self) -> usize {
        self.0.obs_dim()
    }

    fn act_dim(&self) -> usize {
        self.0.act_dim()
    }

    fn begin(&mut self) {
        self.0.begin();
    }

    fn action(&mut self, obs: &[f64], action: &mut [f64]) -> Result<(), ControlError> {
        let narrow: Vec<f64> = obs.iter().map(|&x| f64::from(x as f32)).collect();
        self.0.action(&narrow, action)?;
        action.iter_mut().for_each(|x| *x = f64::from(*x as f32));
        Ok(())
    }
}

fn mean(runs: &[(f64, Vec<f64>)]) -> f64 {
    runs.iter().map(|run| run.0).sum::<f64>() / runs.len() as f64
}

#[test]
fn the_planner_swings_the_pendulum_up() {
    let mut env = environment("PendulumSwingUp-v0", json!({}));
    let mut expert = Mpc::new(env.model().unwrap(), MpcConfig::default()).unwrap();
    let runs = episodes(env.as_mut(), &mut expert, 0..12);
    assert!(runs.iter().all(|(_, obs)| obs[0] > 0.999 && obs[2].abs() < 0.05), "not every run ends upright");
    // Equal calls give equal answers.
    let mut again = Mpc::new(env.model().unwrap(), MpcConfig::default()).unwrap();
    assert_eq!(episodes(env.as_mut(), &mut again, 0..2), runs[..2]);
    // Actions rounded to f32 do not change the plans.
    let mut rounded = Rounded(Mpc::new(env.model().unwrap(), MpcConfig::default()).unwrap());
    let narrow = mean(&episodes(env.as_mut(), &mut rounded, 0..12));
    assert!((narrow - mean(&runs)).abs() < 0.5, "{narrow} {}", mean(&runs));
    // Hanging at rest needs swings to and fro; no return below this is a good one.
    let mut hanging =
        environment("PendulumSwingUp-v0", json!({"start_mean": [std::f64::consts::PI, 0], "start_width": [0, 0]}));
    let total = mean(&episodes(hanging.as_mut(), &mut expert, 0..1));
    assert!(total > -400.0, "{total}");
}

#[test]
fn the_planner_swings_the_cart_pole_up() {
    let given = json!({"start_mean": [0, 0, std::f64::consts::PI, 0], "start_width": [0.1], "observation": "trig", "max_episode_steps": 300});
    let mut env = environment("QuadraticCartPole-v0", given);
    let config = MpcConfig { horizon: 150, ..MpcConfig::default() };
    let mut expert = Mpc::new(env.model().unwrap(), config).unwrap();
    let runs = episodes(env.as_mut(), &mut expert, 0..2);
    println!("cart-pole swing-up: {:?}", runs);
    assert!(runs.iter().all(|(_, obs)| obs[2] > 0.99 && obs[4].abs() < 0.3), "{runs:?}");
}

/// For a linear system without limits, a plan's first input is the linear feedback's.
#[test]
fn plans_of_a_linear_system_are_the_linear_feedback() {
    for id in ["DoubleIntegrator-v0", "Oscillator-v0"] {
        let mut env = environment(id, json!({}));
        let mut planner = Mpc::new(env.model().unwrap(), MpcConfig { horizon: 30, ..MpcConfig::default() }).unwrap();
        let mut feedback = LinearFeedback::optimal(env.model().unwrap()).unwrap();
        let (mut planned, mut fed) = ([0.0], [0.0]);
        let mut rng = NumpyRng::new(2);
        for _ in 0..20 {
            let x = [rng.uniform(-2.0, 2.0), rng.uniform(-2.0, 2.0)];
            planner.begin();
            planner.action(&x, &mut planned).unwrap();
            feedback.action(&x, &mut fed).unwrap();
            assert!((planned[0] - fed[0]).abs() < 1e-6, "{id}: {planned:?} {fed:?}");
        }
        // An episode's return is minus the Riccati cost, up to the cost after its end.
        let lqr = Lqr::of(env.model().unwrap()).unwrap();
        let mut obs = [0.0; 2];
        env.reset(Some(5), &Options::new(), &mut obs).unwrap();
        let expected = lqr.optimal_cost(&obs);
        let total = mean(&episodes(env.as_mut(), &mut feedback, 5..6));
        assert!((total + expected).abs() < 1e-3 * expected, "{id}: {total} {expected}");
    }
}

#[test]
fn what_cannot_be_an_expert_is_refused() {
    let env = environment("DoubleIntegrator-v0", json!({}));
    let mut feedback = LinearFeedback::optimal(env.model().unwrap()).unwrap();
    let error = feedback.action(&[0.0; 3], &mut [0.0]).unwrap_err();
    assert!(
        matches!(error, ControlError::Numerics(NumericsError::BadConfig { .. }))
            && error.to_string().contains("(2, 1)"),
        "{error}"
    );
    let mut scaled = Scaled::new(feedback, &[-4.0], &[8.0]).unwrap();
    let mut action = [0.0];
    scaled.action(&[1.0, 0.0], &mut action).unwrap();
    assert!((action[0] - (-0.917075 - 2.0) / 6.0).abs() < 1e-6);
    assert!(Scaled::new(scaled, &[0.0], &[f64::INFINITY]).is_err());

    let weights = Quadratic { state: Matrix::diagonal(&[1.0]), input: Matrix::diagonal(&[1.0, 1.0]) };
    let two = Linear::new(Matrix::diagonal(&[0.5]), Matrix::from_rows(&[&[1.0, 1.0]]).unwrap(), weights).unwrap();
    let error = Mpc::new(&two, MpcConfig::default()).err().unwrap().to_string();
    assert!(error.contains("plans one input, the model has 2"), "{error}");
    let given = json!({"a": [[1.5, 0], [0, 0.5]], "b": [0, 1]});
    let unreachable = environment("Linear-v0", given);
    let error = LinearFeedback::optimal(unreachable.model().unwrap()).err().unwrap().to_string();
    assert!(error.contains("no stabilising solution"), "{error}");
}

/// CPU seconds of this thread.
fn cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse::<f64>().unwrap() * 1e-9
}

/// Measures the planner's returns and speed; run by hand:
/// `cargo test --release -p liprl-control --test control -- --ignored --nocapture measure`
#[test]
#[ignore = "minutes; prints what docs/systems.md quotes"]
fn measure_the_planner() {
    let mut env = environment("PendulumSwingUp-v0", json!({}));
    let mut expert = Mpc::new(env.model().unwrap(), MpcConfig::default()).unwrap();
    let start = cpu_seconds();
    let runs = episodes(env.as_mut(), &mut expert, 0..1024);
    let spent = cpu_seconds() - start;
    let worst = runs.iter().map(|run| run.0).fold(0.0, f64::min);
    let micros = spent * 1e6 / (1024.0 * 200.0);
    println!("1024 swing-ups: mean {:.2}, worst {worst:.1}, {micros:.0} µs a step following plans", mean(&runs));
    let (mut rng, mut action) = (NumpyRng::new(0), [0.0]);
    let start = cpu_seconds();
    for _ in 0..5000 {
        let angle: f64 = rng.uniform(-std::f64::consts::PI, std::f64::consts::PI);
        expert.begin();
        expert.action(&[angle.cos(), angle.sin(), rng.uniform(-8.0, 8.0)], &mut action).unwrap();
    }
    let micros = (cpu_seconds() - start) * 1e6 / 5000.0;
    println!("labels of unrelated states: {micros:.0} µs each, {:.0} s for 50,000", micros * 0.05);
}
