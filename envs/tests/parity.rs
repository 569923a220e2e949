//! Every task against Python's Gymnasium: same seed, same actions, all that `reset` and `step`
//! return.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

mod python;

use std::cell::Cell;

use liprl_envs::{Env, NumpyRng, make};
use python::Python;
use serde_json::{Value, json};

const TOLERANCE: f64 = 1e-10;
const SEEDS: [u64; 3] = [0, 7, 12_345_678_901];
const STEPS: usize = 200;

thread_local! {
    /// Numbers this test compared, and the largest difference among them:
    /// docs/results/environments.md quotes both.
    static SEEN: Cell<(usize, f64)> = const { Cell::new((0, 0.0)) };
}

/// Random actions, beyond the bounds too: both sides pass actions to the simulator as they are.
fn random_actions(env: &dyn Env, seed: u64, scale: f64) -> Vec<Vec<f64>> {
    let mut rng = NumpyRng::derived(seed, 1);
    let high = &env.action_space().high;
    (0..STEPS).map(|_| high.iter().map(|high| scale * high * rng.uniform(-1.25, 1.25)).collect()).collect()
}

/// Runs one task on both sides with random actions; returns the number of (terminated, truncated)
/// steps seen.
fn compare(python: &mut Python, id: &str, options: &Value, seed: u64, scale: f64) -> (usize, usize) {
    let env = make(id, &serde_json::from_value(options.clone()).unwrap()).unwrap();
    let actions = random_actions(env.as_ref(), seed, scale);
    compare_actions(python, env, options, &json!({}), seed, &actions)
}

/// Runs one task on both sides and compares everything; the first reset has options.
fn compare_actions(
    python: &mut Python,
    mut env: Box<dyn Env>,
    options: &Value,
    reset_options: &Value,
    seed: u64,
    actions: &[Vec<f64>],
) -> (usize, usize) {
    let id = env.spec().id.clone();
    let answer = python.ask(&json!({
        "work": "episodes", "id": id, "options": options, "reset_options": reset_options, "seed": seed,
        "actions": actions,
    }));
    let at = |step: usize| format!("{id} {options} seed {seed} step {step}");
    for (space, name) in [(env.observation_space(), "observation_space"), (env.action_space(), "action_space")] {
        let text = |side: &[f64]| side.iter().map(|x| parse_bound(&json!(x.to_string()))).collect::<Vec<_>>();
        let theirs: Vec<Vec<f64>> =
            (0..2).map(|i| answer[name][i].as_array().unwrap().iter().map(parse_bound).collect()).collect();
        assert_eq!(vec![text(&space.low), text(&space.high)], theirs, "{id} {name}");
    }
    let mut obs = vec![0.0; env.observation_space().dim()];
    let mut resets = answer["resets"].as_array().unwrap().iter();
    let mut reset = |env: &mut Box<dyn Env>, seed, options: &Value, obs: &mut Vec<f64>, step| {
        env.reset(seed, &serde_json::from_value(options.clone()).unwrap(), obs).unwrap();
        let theirs = resets.next().unwrap();
        same_numbers(obs, &theirs["obs"], &at(step));
        same_info(env.as_ref(), &theirs["info"], &at(step));
    };
    reset(&mut env, Some(seed), reset_options, &mut obs, 0);
    let (mut terminated, mut truncated) = (0, 0);
    for (i, (action, theirs)) in actions.iter().zip(answer["steps"].as_array().unwrap()).enumerate() {
        let step = env.step(action, &mut obs).unwrap();
        same_numbers(&obs, &theirs["obs"], &at(i + 1));
        same(step.reward, theirs["reward"].as_f64().unwrap(), "reward", &at(i + 1));
        assert_eq!(json!(step.terminated), theirs["terminated"], "{}", at(i + 1));
        assert_eq!(json!(step.truncated), theirs["truncated"], "{}", at(i + 1));
        same_info(env.as_ref(), &theirs["info"], &at(i + 1));
        terminated += usize::from(step.terminated);
        truncated += usize::from(step.truncated);
        if step.done() {
            reset(&mut env, None, &json!({}), &mut obs, i + 1);
        }
    }
    (terminated, truncated)
}

fn parse_bound(text: &Value) -> f64 {
    text.as_str().unwrap().parse().unwrap()
}

/// Asserts equality to 1e-10, relative for numbers above 1.
fn same(ours: f64, theirs: f64, what: &str, at: &str) {
    let (count, largest) = SEEN.get();
    SEEN.set((count + 1, largest.max((ours - theirs).abs() / theirs.abs().max(1.0))));
    assert!(
        (ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0),
        "{at}: {what} is {ours}, Gymnasium has {theirs}"
    );
}

fn same_numbers(ours: &[f64], theirs: &Value, at: &str) {
    let theirs = theirs.as_array().unwrap();
    assert_eq!(ours.len(), theirs.len(), "{at}");
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        same(*ours, theirs.as_f64().unwrap(), &format!("obs[{i}]"), at);
    }
}

fn same_info(env: &dyn Env, theirs: &Value, at: &str) {
    let theirs = theirs.as_object().unwrap();
    let mut names: Vec<_> = env.info().iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    let mut their_names: Vec<_> = theirs.keys().map(String::as_str).collect();
    their_names.sort_unstable();
    assert_eq!(names, their_names, "{at}");
    for (name, ours) in env.info() {
        same(*ours, theirs[*name].as_f64().unwrap(), name, at);
    }
}

/// Compares all seeds with the defaults, then with each set of other options. A task that can
/// terminate must do so.
fn check(id: &str, terminates: bool, others: &[Value]) {
    let mut python = Python::start();
    let mut terminated = 0;
    for seed in SEEDS {
        terminated += compare(&mut python, id, &json!({}), seed, 1.0).0;
        for options in others {
            terminated += compare(&mut python, id, options, seed, 1.0).0;
        }
    }
    assert_eq!(terminated > 0, terminates, "{id} terminated {terminated} times");
    // A short time limit, and small actions, which keep walkers up for longer.
    let (terminated, truncated) = compare(&mut python, id, &json!({"max_episode_steps": 9}), 3, 0.1);
    assert!(truncated >= STEPS / 9 - terminated, "{id} truncated {truncated} times");
    let (count, largest) = SEEN.get();
    println!("| {id} | {} | {count} | {largest:.1e} |", others.len() + 2);
}

macro_rules! parity {
    ($($name:ident: $id:literal, terminates $terminates:literal, $others:tt;)*) => {$(
        #[test]
        fn $name() {
            check($id, $terminates, json!($others).as_array().unwrap());
        }
    )*};
}

parity! {
    inverted_pendulum: "InvertedPendulum-v5", terminates true, [{"reset_noise_scale": 0.15, "frame_skip": 4}];
    inverted_double_pendulum: "InvertedDoublePendulum-v5", terminates true,
        [{"healthy_reward": 3.5, "reset_noise_scale": 0.3}, {"frame_skip": 2}];
    hopper: "Hopper-v5", terminates true, [
        {"forward_reward_weight": 2.5, "ctrl_cost_weight": 0.1, "healthy_reward": 0.3,
         "exclude_current_positions_from_observation": false, "reset_noise_scale": 0.1},
        {"terminate_when_unhealthy": false, "frame_skip": 2},
        {"healthy_state_range": [-3.0, 2.0], "healthy_z_range": [0.9, "inf"], "healthy_angle_range": ["-inf", 0.1]},
    ];
    walker2d: "Walker2d-v5", terminates true, [
        {"forward_reward_weight": 2.5, "ctrl_cost_weight": 0.1, "healthy_reward": 0.3,
         "exclude_current_positions_from_observation": false, "reset_noise_scale": 0.1},
        {"terminate_when_unhealthy": false, "frame_skip": 2},
        {"healthy_z_range": [1.1, "inf"], "healthy_angle_range": [-0.1, 0.2]},
    ];
    half_cheetah: "HalfCheetah-v5", terminates false, [
        {"forward_reward_weight": 2.5, "ctrl_cost_weight": 0.3, "frame_skip": 2,
         "exclude_current_positions_from_observation": false, "reset_noise_scale": 0.3},
    ];
    pendulum: "Pendulum-v1", terminates false, [{"g": 9.81}];
    mountain_car: "MountainCarContinuous-v0", terminates false, [{"goal_velocity": 0.02}];
    reacher: "Reacher-v5", terminates false, [{"reward_dist_weight": 2.0, "reward_control_weight": 0.3, "frame_skip": 4}];
    swimmer: "Swimmer-v5", terminates false, [
        {"forward_reward_weight": 2.5, "ctrl_cost_weight": 0.1, "frame_skip": 2,
         "exclude_current_positions_from_observation": false, "reset_noise_scale": 0.3},
    ];
    ant: "Ant-v5", terminates true, [
        {"include_cfrc_ext_in_observation": false, "forward_reward_weight": 2.0, "ctrl_cost_weight": 0.1},
        {"contact_cost_weight": 0.01, "contact_force_range": [-2.0, 3.0], "healthy_reward": 0.4, "main_body": 3,
         "exclude_current_positions_from_observation": false, "terminate_when_unhealthy": false},
        {"healthy_z_range": [0.45, "inf"], "main_body": "torso", "reset_noise_scale": 0.05, "frame_skip": 3},
    ];
    humanoid: "Humanoid-v5", terminates true, [
        {"include_cinert_in_observation": false, "include_cvel_in_observation": false,
         "include_qfrc_actuator_in_observation": false, "include_cfrc_ext_in_observation": false},
        {"forward_reward_weight": 2.0, "ctrl_cost_weight": 0.3, "contact_cost_weight": 1e-5, "healthy_reward": 1.5,
         "contact_cost_range": [0.01, 0.3], "terminate_when_unhealthy": false,
         "exclude_current_positions_from_observation": false},
        {"healthy_z_range": [1.3, "inf"], "reset_noise_scale": 0.1, "frame_skip": 3,
         "include_cvel_in_observation": false},
    ];
    humanoid_standup: "HumanoidStandup-v5", terminates false, [
        {"include_cinert_in_observation": false, "include_cvel_in_observation": false,
         "include_qfrc_actuator_in_observation": false, "include_cfrc_ext_in_observation": false},
        {"uph_cost_weight": 3.0, "ctrl_cost_weight": 0.3, "impact_cost_weight": 1e-5, "frame_skip": 3,
         "impact_cost_range": [0.01, 0.3], "exclude_current_positions_from_observation": false,
         "reset_noise_scale": 0.1},
    ];
    pusher: "Pusher-v5", terminates false, [
        {"reward_near_weight": 0.1, "reward_dist_weight": 2.0, "reward_control_weight": 0.4, "frame_skip": 2},
    ];
}

/// Drives at full speed downhill to the speed limit and the left wall, and from just below the goal
/// over it. Forces are inside the bounds and beyond, which Python computes in different precisions.
#[test]
fn mountain_car_at_its_limits() {
    let mut python = Python::start();
    let env = || make("MountainCarContinuous-v0", &Default::default()).unwrap();
    let (near_goal, far_up) = (json!({"low": 0.4, "high": 0.44}), json!({"low": 0.55, "high": 0.6}));
    let mut run =
        |force: f64, start| compare_actions(&mut python, env(), &json!({}), start, 5, &vec![vec![force]; 120]);
    assert_eq!(run(0.9, &near_goal).0, 1);
    assert_eq!(run(1.9, &near_goal).0, 1);
    run(-0.9, &far_up);
    run(-1.9, &far_up);
    let speed = |force: f64| {
        let (mut env, mut obs) = (env(), [0.0; 2]);
        env.reset(Some(5), &serde_json::from_value(far_up.clone()).unwrap(), &mut obs).unwrap();
        (0..120).map(|_| (env.step(&[force], &mut obs).unwrap(), obs[1]).1).fold(0.0, f64::min)
    };
    assert_eq!((speed(-0.9), speed(-1.9)), (f64::from(-0.07_f32), f64::from(-0.07_f32)), "the limit was not reached");
}

/// Compares the continuous cart-pole under full force to either side with Gymnasium's CartPole-v1
/// under its two actions, from the same seeds.
#[test]
fn cart_pole_at_full_force_is_gymnasium_s() {
    let mut python = Python::start();
    for seed in SEEDS {
        let mut env = make("CartPoleContinuous-v0", &Default::default()).unwrap();
        let choices: Vec<u64> = (0..STEPS as u64).map(|i| (i * i + seed) / 3 % 2).collect();
        let answer = python.ask(&json!({
            "work": "episodes", "id": "CartPole-v1", "options": {}, "reset_options": {}, "seed": seed, "actions": choices,
        }));
        let (mut obs, mut resets) = ([0.0; 4], answer["resets"].as_array().unwrap().iter());
        env.reset(Some(seed), &Default::default(), &mut obs).unwrap();
        same_numbers(&obs, &resets.next().unwrap()["obs"], "the first reset");
        let mut episodes = 1;
        for (i, (choice, theirs)) in choices.iter().zip(answer["steps"].as_array().unwrap()).enumerate() {
            let (step, at) =
                (env.step(&[if *choice == 1 { 1.0 } else { -1.0 }], &mut obs).unwrap(), format!("step {i}"));
            same_numbers(&obs, &theirs["obs"], &at);
            same(step.reward, theirs["reward"].as_f64().unwrap(), "reward", &at);
            assert_eq!(json!(step.terminated), theirs["terminated"], "{at}");
            if step.done() {
                env.reset(None, &Default::default(), &mut obs).unwrap();
                same_numbers(&obs, &resets.next().unwrap()["obs"], &at);
                episodes += 1;
            }
        }
        assert!(episodes > 3, "{episodes} episodes");
    }
}

#[test]
fn pendulum_started_elsewhere() {
    let env = make("Pendulum-v1", &Default::default()).unwrap();
    let actions = random_actions(env.as_ref(), 2, 1.0);
    let reset_options = json!({"x_init": 0.3, "y_init": 7.5});
    compare_actions(&mut Python::start(), env, &json!({}), &reset_options, 2, &actions);
}
