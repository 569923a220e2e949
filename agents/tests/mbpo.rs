//! Model-based policy optimisation: termination rules against the tasks, fits, rollouts, the value-aware error in closed form, exact resume in
//! the middle of a fit, learning.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_agents::{
    Agent, AgentConfig, Flags, Lesson, Metrics, Replay, ReplayConfig, Setup, State, StreamRng, Streams, Transition,
    Visited,
    actor_critic::{Learner, Sac, SacConfig},
    lipschitz::certify::{Norm, SdpOptions, lipsdp, product},
    mbpo::{
        Dynamics, Mbpo, MbpoConfig, ModelConfig, Profile, Roller, Route, Rule, TerminationConfig, lipschitz_bound,
        value_aware_error,
    },
};
use liprl_envs::{Env, Options, make};
use rand::RngExt;
use rand_distr::{Distribution, StandardNormal};
use serde_json::{Value, json};
use tch::Device;

const OBS: usize = 3;
const ACT: usize = 2;

fn setup(threads: usize) -> Setup {
    Setup { obs_dim: OBS, act_dim: ACT, streams: Streams::new(3), device: Device::Cpu, threads }
}

fn normal(rng: &mut StreamRng) -> f32 {
    StandardNormal.sample(rng)
}

/// s' = s + 0.1 (M s + N a), r = s₀ − a₁, with episodes of 50 steps.
fn linear(rows: usize) -> Replay {
    let mut replay =
        Replay::new(ReplayConfig { capacity: rows, obs_dim: OBS, act_dim: ACT, priorities: None }).unwrap();
    let mut rng = Streams::new(5).rng("linear");
    let mut obs = [0.0; OBS];
    for row in 0..rows {
        if row % 50 == 0 {
            obs = [(); OBS].map(|()| normal(&mut rng));
        }
        let action = [(); ACT].map(|()| rng.random_range(-1.0f32..1.0));
        let next_obs = [
            obs[0] + 0.1 * (obs[1] + action[0]),
            obs[1] + 0.1 * (-obs[0] + 0.5 * action[1]),
            0.9 * obs[2] + 0.1 * action[0],
        ];
        let truncated = row % 50 == 49;
        let step = Transition {
            obs: &obs,
            action: &action,
            reward: obs[0] - action[1],
            next_obs: &next_obs,
            terminated: false,
            truncated,
        };
        replay.push(&step, Flags::NONE).unwrap();
        obs = next_obs;
    }
    replay
}

fn model(more: Value) -> ModelConfig {
    let mut config = json!({"hidden": [32, 32], "weight_decay": [0, 0, 0], "batch_size": 64});
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    serde_json::from_value(config).unwrap()
}

fn fitted(
    config: &ModelConfig,
    replay: &Replay,
    threads: usize,
) -> (Dynamics, liprl_agents::mbpo::dynamics::FitReport) {
    let mut dynamics = Dynamics::new(config, Profile::Authors, &setup(threads)).unwrap();
    dynamics.begin_fit(replay).unwrap();
    loop {
        if let Some(report) = dynamics.advance_fit(replay, 7).unwrap() {
            return (dynamics, report);
        }
    }
}

/// Predictions of the mean by one member at rows of `replay`.
fn predictions(dynamics: &Dynamics, replay: &Replay, member: u32, rows: usize) -> (Vec<f32>, Vec<f32>) {
    let (mut obs, mut action) = (Vec::new(), Vec::new());
    replay.rows().take(rows).for_each(|row| {
        obs.extend_from_slice(row.obs);
        action.extend_from_slice(row.action);
    });
    let (mut reward, mut next) = (vec![0.0; rows], vec![0.0; rows * OBS]);
    let mut predictor = dynamics.predictor(rows).unwrap();
    predictor.predict(dynamics.view(), &obs, &action, &vec![member; rows], None, &mut reward, &mut next).unwrap();
    (reward, next)
}

// Termination rules.

/// Steps random episodes of a task and compares its terminations with the rule on the observation. How many ended, and how many
/// disagreed.
fn against_the_task(id: &str, options: Value, scale: f64) -> (usize, usize) {
    let options: Options = serde_json::from_value(options).unwrap();
    let mut env = make(id, &options).unwrap();
    let dim = env.observation_space().dim();
    let lesson = Lesson { can_terminate: env.can_terminate(), task: Some(env.spec().clone()), ..Lesson::NONE };
    let rule = Rule::new(&TerminationConfig::Known, &lesson, dim).unwrap();
    let (mut rng, mut obs, mut ended, mut wrong) = (Streams::new(8).rng(id), vec![0.0; dim], 0, 0);
    env.reset(Some(4), &Options::new(), &mut obs).unwrap();
    for _ in 0..4000 {
        let bounds = env.action_space();
        let action: Vec<f64> =
            bounds.low.iter().zip(&bounds.high).map(|(low, high)| scale * rng.random_range(*low..=*high)).collect();
        let step = env.step(&action, &mut obs).unwrap();
        let seen: Vec<f32> = obs.iter().map(|x| *x as f32).collect();
        ended += usize::from(step.terminated);
        wrong += usize::from(rule.ends(&seen) != step.terminated);
        if step.done() {
            env.reset(None, &Options::new(), &mut obs).unwrap();
        }
    }
    (ended, wrong)
}

#[test]
fn the_known_rules_are_the_tasks_own() {
    let humanoid = json!({"include_cinert_in_observation": false, "include_cvel_in_observation": false,
        "include_qfrc_actuator_in_observation": false, "include_cfrc_ext_in_observation": false});
    for (id, options, scale) in [
        ("Hopper-v5", json!({}), 1.0),
        (
            "Hopper-v5",
            json!({"exclude_current_positions_from_observation": false, "healthy_state_range": [-3, 3]}),
            1.0,
        ),
        ("Walker2d-v5", json!({}), 1.0),
        ("Walker2d-v5", json!({"exclude_current_positions_from_observation": false}), 1.0),
        ("Ant-v5", json!({"include_cfrc_ext_in_observation": false, "healthy_z_range": [0.45, 0.9]}), 1.0),
        ("Humanoid-v5", humanoid, 1.0),
        ("InvertedPendulum-v5", json!({}), 1.0),
        ("CartPoleContinuous-v0", json!({}), 1.0),
    ] {
        let (ended, wrong) = against_the_task(id, options, scale);
        assert!(ended > 10 && wrong == 0, "{id}: {ended} ended, {wrong} wrong");
    }
    // The tip's height is that of one simulation step before: the rule may be a step early or late.
    let (ended, wrong) = against_the_task("InvertedDoublePendulum-v5", json!({}), 1.0);
    assert!(ended > 10 && wrong <= ended, "{ended} ended, {wrong} wrong");
    for (id, options) in [("HalfCheetah-v5", json!({})), ("Hopper-v5", json!({"terminate_when_unhealthy": false}))] {
        assert_eq!(against_the_task(id, options, 1.0), (0, 0), "{id}");
    }
}

#[test]
fn hopper_s_rule_counts_entries_on_both_sides() {
    let env = make("Hopper-v5", &Options::new()).unwrap();
    let lesson = Lesson { can_terminate: true, task: Some(env.spec().clone()), ..Lesson::NONE };
    let rule = Rule::new(&TerminationConfig::Known, &lesson, 11).unwrap();
    let mut obs = [0.0f32; 11];
    obs[0] = 1.2;
    assert!(!rule.ends(&obs));
    for (index, value) in [(0, 0.7), (1, 0.2), (1, -0.2), (5, 100.0), (5, -100.0), (10, -1e9), (3, f32::NAN)] {
        let mut bad = obs;
        bad[index] = value;
        assert!(rule.ends(&bad), "observation {index} at {value}");
    }
}

#[test]
fn a_task_with_neither_rule_nor_head_is_refused_and_own_rules_are_read() {
    let lesson = Lesson { can_terminate: true, ..Lesson::NONE };
    let read = |config: Value| serde_json::from_value::<TerminationConfig>(config).unwrap();
    let rule = |config: Value| Rule::new(&read(config), &lesson, OBS);
    let error = rule(json!({"kind": "known"})).unwrap_err().to_string();
    assert!(error.contains("no rule is known") && error.contains("kind: learned"), "{error}");
    let error = rule(json!({"kind": "leaves", "region": [{"index": 3, "low": 0}]})).unwrap_err().to_string();
    assert!(error.contains("observation 3 is asked for, there are 3"), "{error}");
    for region in [json!([{"index": 0}]), json!([{"index": 0, "low": 2, "high": 1}])] {
        assert!(rule(json!({"kind": "reaches", "region": region})).is_err());
    }
    let leaves =
        rule(json!({"kind": "leaves", "region": [{"index": 0, "low": -1, "high": 1}, {"index": 2, "high": 5}]}));
    let leaves = leaves.unwrap();
    assert!(!leaves.ends(&[1.0, 9.0, 5.0]) && leaves.ends(&[1.1, 0.0, 0.0]) && leaves.ends(&[0.0, 0.0, 5.1]));
    let reaches = rule(json!({"kind": "reaches", "region": [{"index": 0, "low": 1}, {"index": 1, "low": 0}]})).unwrap();
    assert!(reaches.ends(&[1.0, 0.0, 0.0]) && !reaches.ends(&[1.0, -0.1, 0.0]) && !reaches.ends(&[0.9, 1.0, 0.0]));
    let never = Lesson { can_terminate: false, ..Lesson::NONE };
    assert_eq!(Rule::new(&TerminationConfig::Known, &never, OBS).unwrap(), Rule::Never);
}

// Fits.

#[test]
fn every_variant_learns_a_linear_system() {
    let replay = linear(3000);
    for prediction in ["probabilistic", "deterministic", "gaussian_mean"] {
        for members in [1, 3] {
            let (dynamics, report) =
                fitted(&model(json!({"prediction": prediction, "members": members, "lr": 3e-3})), &replay, 2);
            assert!(report.holdout_loss < 2e-3, "{prediction} of {members}: {report:?}");
            assert_eq!((report.train_rows, report.holdout_rows), (2400, 600));
            for &member in dynamics.elites() {
                let (reward, next) = predictions(&dynamics, &replay, member, 500);
                let rows: Vec<_> = replay.rows().take(500).collect();
                let truth: Vec<f32> = rows.iter().flat_map(|row| row.next_obs).copied().collect();
                let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
                let error = next.iter().zip(&truth).map(square).sum::<f64>() / 1500.0;
                let rewards: Vec<f32> = rows.iter().map(|row| row.reward).collect();
                let reward_error = reward.iter().zip(&rewards).map(square).sum::<f64>() / 500.0;
                assert!(error < 4e-3 && reward_error < 8e-3, "{prediction} of {members}: {error} {reward_error}");
            }
        }
    }
}

#[test]
fn a_fit_that_cannot_get_better_ends_after_six_more_epochs_as_it_began() {
    let replay = linear(500);
    for members in [1, 3] {
        let (_, report) = fitted(&model(json!({"members": members, "lr": 0})), &replay, 1);
        // The first epoch counts as better than nothing; then more than five pass.
        assert_eq!((report.epochs, report.steps), (7, 7 * 7), "400 rows in batches of 64 are seven steps");
        let (_, report) = fitted(&model(json!({"members": members, "lr": 0, "max_epochs": 3})), &replay, 1);
        assert_eq!(report.epochs, 3);
    }
}

#[test]
fn members_go_back_to_their_best_epoch_and_elites_are_the_best_of_them() {
    let replay = linear(400);
    // Steps so long that the last epoch is seldom the best.
    let config = |restore: bool| model(json!({"members": 5, "elites": 3, "lr": 0.03, "restore_best": restore}));
    let ((best, _), (last, _)) = (fitted(&config(true), &replay, 1), fitted(&config(false), &replay, 1));
    let pairs: Vec<(f64, f64)> = best.scores().iter().copied().zip(last.scores().iter().copied()).collect();
    // Better by less than 1 % does not count as better.
    assert!(pairs.iter().all(|(best, last)| *best <= last * 1.0102), "{pairs:?}");
    assert!(pairs.iter().any(|(best, last)| *best < 0.9 * last), "{pairs:?}");
    let scores = best.scores();
    let worst = best.elites().iter().map(|&e| scores[e as usize]).fold(0.0, f64::max);
    assert_eq!(best.elites().len(), 3);
    assert_eq!(scores.iter().filter(|score| **score <= worst).count(), 3);
}

#[test]
fn inputs_are_standardised_by_the_training_rows_alone() {
    let replay = linear(1000);
    let (dynamics, report) = fitted(&model(json!({"members": 1, "max_epochs": 1})), &replay, 1);
    assert_eq!(report.holdout_rows, 200);
    let held = dynamics.holdout();
    let rest = (0..1000u32).filter(|row| !held.contains(row)).filter_map(|row| replay.get(row));
    let column: Vec<f64> = rest.map(|row| f64::from(row.obs[1])).collect();
    let mean = column.iter().sum::<f64>() / 800.0;
    let std = (column.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 800.0).sqrt();
    let scaler = dynamics.view().scalers.inputs;
    assert!((f64::from(scaler.mean[1]) - mean).abs() < 1e-6 && (f64::from(scaler.inverse[1]) * std - 1.0).abs() < 1e-6);
}

/// The second number moves ten thousand times less than the others. The fit and the predictions have to agree on its units.
#[test]
fn standardised_targets_are_learned_in_units_of_what_moves() {
    let (source, tiny) = (linear(1000), 1e-4);
    let mut replay = Replay::new(*source.config()).unwrap();
    for row in source.rows() {
        let scaled = |obs: &[f32]| [obs[0], tiny * obs[1], obs[2]];
        let step = Transition {
            obs: &scaled(row.obs),
            action: row.action,
            reward: row.reward,
            next_obs: &scaled(row.next_obs),
            terminated: false,
            truncated: row.flags.contains(Flags::TRUNCATED),
        };
        replay.push(&step, Flags::NONE).unwrap();
    }
    for prediction in ["deterministic", "probabilistic"] {
        // The share of the tiny moves that is left unexplained.
        let unexplained = |targets: &str| {
            let config = json!({"prediction": prediction, "members": 2, "targets": targets, "max_epochs": 40});
            let (dynamics, report) = fitted(&model(config), &replay, 1);
            let held: Vec<u32> = dynamics.holdout().to_vec();
            let rows: Vec<_> = held.iter().filter_map(|&row| replay.get(row)).collect();
            let (all_rewards, all_next) = predictions(&dynamics, &replay, dynamics.elites()[0], 1000);
            let (mut missed, mut moved, mut score) = (0.0, 0.0, 0.0);
            let train: Vec<_> = (0..1000).filter(|row| !held.contains(row)).filter_map(|row| replay.get(row)).collect();
            for j in 0..OBS + 1 {
                let target = |row: &liprl_agents::replay::Row<'_>| {
                    f64::from(if j == 0 { row.reward } else { row.next_obs[j - 1] - row.obs[j - 1] })
                };
                let mean = train.iter().map(target).sum::<f64>() / 800.0;
                let variance = train.iter().map(|row| (target(row) - mean).powi(2)).sum::<f64>() / 800.0;
                for (&at, row) in held.iter().zip(&rows) {
                    let at = at as usize;
                    let predicted = if j == 0 {
                        f64::from(all_rewards[at])
                    } else {
                        f64::from(all_next[at * OBS + j - 1]) - f64::from(row.obs[j - 1])
                    };
                    let square = (predicted - target(row)).powi(2);
                    score += square / if targets == "raw" { 1.0 } else { variance };
                    if j == 2 {
                        missed += square;
                        moved += target(row).powi(2);
                    }
                }
            }
            // The held-out error of the best elite, by hand in the units that it learns in.
            let (score, own) = (score / (200.0 * 4.0), dynamics.scores()[dynamics.elites()[0] as usize]);
            assert!((score / own - 1.0).abs() < 2e-2, "{prediction} {targets}: {score} {own} {report:?}");
            missed / moved
        };
        let (raw, standardised) = (unexplained("raw"), unexplained("standardised"));
        assert!(standardised < 0.02 && raw > 10.0 * standardised, "{prediction}: {raw} {standardised}");
    }
}

#[test]
fn a_model_that_diverges_stops_with_an_error() {
    let mut replay = linear(100);
    let step = Transition {
        obs: &[0.0; OBS],
        action: &[0.0; ACT],
        reward: 3e38,
        next_obs: &[0.0; OBS],
        terminated: false,
        truncated: false,
    };
    for _ in 0..100 {
        replay.push(&step, Flags::NONE).unwrap();
    }
    for members in [1, 2] {
        let mut dynamics = Dynamics::new(&model(json!({"members": members})), Profile::Authors, &setup(1)).unwrap();
        dynamics.begin_fit(&replay).unwrap();
        let error = (0..100).find_map(|_| dynamics.advance_fit(&replay, 10).err()).unwrap().to_string();
        assert!(error.contains("the dynamics model's") && error.contains("not finite"), "{error}");
    }
}

// Predictions and rollouts.

#[test]
fn each_row_is_predicted_by_its_member_and_draws_have_the_model_s_moments() {
    let replay = linear(600);
    for targets in ["raw", "standardised"] {
        let (dynamics, _) = fitted(&model(json!({"members": 3, "max_epochs": 2, "targets": targets})), &replay, 1);
        moments_of_draws(&dynamics, &replay);
    }
}

fn moments_of_draws(dynamics: &Dynamics, replay: &Replay) {
    let rows = 60;
    let by_member: Vec<_> = (0..3).map(|member| predictions(dynamics, replay, member, rows)).collect();
    let members: Vec<u32> = (0..rows as u32).map(|row| (row * row + 1) % 3).collect();
    let (mut obs, mut action) = (Vec::new(), Vec::new());
    replay.rows().take(rows).for_each(|row| {
        obs.extend_from_slice(row.obs);
        action.extend_from_slice(row.action);
    });
    let mut predictor = dynamics.predictor(rows).unwrap();
    let mut predict = |noise: Option<&mut StreamRng>| {
        let (mut reward, mut next) = (vec![0.0; rows], vec![0.0; rows * OBS]);
        predictor.predict(dynamics.view(), &obs, &action, &members, noise, &mut reward, &mut next).unwrap();
        (reward, next)
    };
    let (reward, next) = predict(None);
    for (row, &member) in members.iter().enumerate() {
        let (rewards, nexts) = &by_member[member as usize];
        assert!((reward[row] - rewards[row]).abs() < 1e-6);
        (0..OBS).for_each(|j| assert!((next[row * OBS + j] - nexts[row * OBS + j]).abs() < 1e-6));
    }
    // The draws' mean is the mean prediction, and they differ from row to row.
    let (draws, mut rng) = (4000, Streams::new(1).rng("noise"));
    let (mut sum, mut squares) = (vec![0.0; rows * OBS], vec![0.0; rows * OBS]);
    for _ in 0..draws {
        for (i, (drawn, mean)) in predict(Some(&mut rng)).1.iter().zip(&next).enumerate() {
            sum[i] += f64::from(drawn - mean);
            squares[i] += f64::from(drawn - mean).powi(2);
        }
    }
    for i in 0..rows * OBS {
        let std = (squares[i] / f64::from(draws)).sqrt();
        assert!(std > 1e-3 && sum[i].abs() / f64::from(draws) < 5.0 * std / f64::from(draws).sqrt(), "{i}");
    }
}

struct Rolled {
    pool: Replay,
    report: liprl_agents::mbpo::RollReport,
}

fn rolled(dynamics: &Dynamics, replay: &Replay, rule: &Rule, blow_up: f64, count: usize, threads: usize) -> Rolled {
    let sac = Sac::new(&SacConfig::default(), &setup(1)).unwrap();
    let mut roller = Roller::new(dynamics, &sac.actor().mlps()[0], None, threads).unwrap();
    let mut pool = Replay::new(ReplayConfig { capacity: 20_000, ..*replay.config() }).unwrap();
    let route = Route { dynamics, normaliser: None, rule, head: None, length: 4, count, blow_up };
    let report = roller.roll(route, sac.actor(), replay, &mut pool, &mut Streams::new(2).rng("rollouts")).unwrap();
    Rolled { pool, report }
}

#[test]
fn rollouts_follow_the_model_and_do_not_depend_on_the_number_of_threads() {
    let replay = linear(1000);
    for prediction in ["deterministic", "probabilistic"] {
        let config = model(json!({"prediction": prediction, "members": 3, "elites": 2, "max_epochs": 3}));
        let (dynamics, _) = fitted(&config, &replay, 1);
        let Rolled { pool, report } = rolled(&dynamics, &replay, &Rule::Never, 1e6, 1300, 1);
        assert_eq!((report.stored, report.terminated, report.dropped), (5200, 0, 0));
        let other = rolled(&dynamics, &replay, &Rule::Never, 1e6, 1300, 3).pool;
        assert!(pool.rows().zip(other.rows()).all(|(a, b)| a == b));
        if prediction == "deterministic" {
            // Every stored transition is one of the elites' mean predictions.
            let mut predictor = dynamics.predictor(1).unwrap();
            for row in pool.rows().step_by(97) {
                let matches = dynamics.elites().iter().any(|&member| {
                    let (mut reward, mut next) = ([0.0], [0.0; OBS]);
                    let view = dynamics.view();
                    predictor.predict(view, row.obs, row.action, &[member], None, &mut reward, &mut next).unwrap();
                    let close = |a: f32, b: f32| (a - b).abs() < 1e-4;
                    close(reward[0], row.reward) && next.iter().zip(row.next_obs).all(|(a, b)| close(*a, *b))
                });
                assert!(matches, "{row:?}");
            }
        }
    }
}

#[test]
fn ended_episodes_go_no_further_and_what_blows_up_is_dropped_and_counted() {
    let replay = linear(1000);
    let (dynamics, _) =
        fitted(&model(json!({"members": 1, "prediction": "deterministic", "max_epochs": 3})), &replay, 1);
    let config = serde_json::from_value(json!({"kind": "leaves", "region": [{"index": 0, "high": 0.5}]})).unwrap();
    let rule = Rule::new(&config, &Lesson::NONE, OBS).unwrap();
    let Rolled { pool, report } = rolled(&dynamics, &replay, &rule, 1e6, 600, 1);
    let ended = pool.rows().filter(|row| row.flags.contains(Flags::TERMINATED)).count() as u64;
    assert!(ended > 50 && ended == report.terminated && report.stored == pool.len() as u64);
    assert!(pool.rows().all(|row| row.flags.contains(Flags::TERMINATED) == (row.next_obs[0] > 0.5)));
    // All first rows are real observations, the later ones imagined and thus within the region.
    assert!(pool.rows().skip(512).filter(|row| row.obs[0] > 0.5).count() <= 88 + 512);
    let Rolled { pool, report } = rolled(&dynamics, &replay, &Rule::Never, 1.5, 600, 1);
    assert!(report.dropped > 50 && report.stored < 2400, "{report:?}");
    assert!(pool.rows().all(|row| row.next_obs.iter().chain([&row.reward]).all(|x| x.abs() <= 1.5)));
}

// The value-aware model error.

/// A linear task s' = A s + B a and model ŝ' = Â s + B̂ a with the value w·s: with s, a standard normal, the error is
/// γ² (‖(Â − A)ᵀ w‖² + ‖(B̂ − B)ᵀ w‖²), and σ² ‖w‖² γ² more where the model adds noise of deviation σ.
#[test]
fn the_value_aware_error_of_a_linear_task_is_its_closed_form() {
    let (gamma, w, sigma) = (0.95, [0.7, -1.2, 0.4], 0.3);
    let (da, db) = ([[0.1, -0.2, 0.05], [0.0, 0.3, 0.1], [-0.1, 0.0, 0.2]], [[0.2, -0.1], [0.1, 0.1], [0.0, 0.3]]);
    let closed: f64 = (0..3)
        .map(|j| (0..3).map(|i| da[i][j] * w[i]).sum::<f64>().powi(2))
        .chain((0..2).map(|j| (0..3).map(|i| db[i][j] * w[i]).sum::<f64>().powi(2)))
        .sum::<f64>()
        * gamma
        * gamma;
    let norm2: f64 = w.iter().map(|w| w * w).sum();
    let mut rng = Streams::new(9).rng("closed form");
    let mut draw = || f64::from(normal(&mut rng));
    let count = 200_000;
    let (mut real, mut mean, mut drawn, mut distances) = (vec![], vec![], vec![], vec![]);
    for _ in 0..count {
        let (s, a) = ([draw(), draw(), draw()], [draw(), draw()]);
        let value: f64 = draw(); // V(s'): only differences count
        let miss: Vec<f64> = (0..3)
            .map(|i| (0..3).map(|j| da[i][j] * s[j]).sum::<f64>() + (0..2).map(|j| db[i][j] * a[j]).sum::<f64>())
            .collect();
        let change: f64 = miss.iter().zip(w).map(|(miss, w)| miss * w).sum();
        let noise: f64 = w.iter().map(|w| w * sigma * draw()).sum();
        real.push(value);
        mean.push(value + change);
        drawn.push(value + change + noise);
        distances.push(miss.iter().map(|x| x * x).sum::<f64>().sqrt());
    }
    // The square of a normal number has deviation √2 times its mean: five standard errors.
    let tolerance = 5.0 * (2.0 / f64::from(count)).sqrt();
    let error = value_aware_error(gamma, &real, &mean).unwrap();
    assert!((error / closed - 1.0).abs() < tolerance, "{error} {closed}");
    let noisy = value_aware_error(gamma, &real, &drawn).unwrap();
    let expected = closed + (gamma * sigma).powi(2) * norm2;
    assert!((noisy / expected - 1.0).abs() < tolerance, "{noisy} {expected}");
    assert!(error <= lipschitz_bound(gamma, norm2.sqrt(), &distances));
    assert!(value_aware_error(gamma, &real, &mean[1..]).is_err());
}

/// On a bumpy task, with V(s) = sin(3 s₀) + |s₁|, which is √10-Lipschitz: |T*Q − T̂*Q| ≤ γ K ‖ŝ' − s'‖ pointwise, so the error is at
/// most the bound; and the bound is tight where the value is linear along the miss.
#[test]
fn the_gap_between_the_bellman_operators_is_within_the_lipschitz_bound() {
    let (gamma, k) = (0.99, 10f64.sqrt());
    let value = |s: [f64; 2]| (3.0 * s[0]).sin() + s[1].abs();
    let mut rng = Streams::new(4).rng("bumpy");
    let mut draw = || f64::from(normal(&mut rng));
    let (mut real, mut imagined, mut distances) = (vec![], vec![], vec![]);
    for _ in 0..10_000 {
        let next = [(draw() * 2.0).sin(), draw()];
        let miss = [0.3 * draw(), 0.3 * draw().powi(3)];
        let guess = [next[0] + miss[0], next[1] + miss[1]];
        let distance = (miss[0].powi(2) + miss[1].powi(2)).sqrt();
        let gap = (gamma * (value(guess) - value(next))).abs();
        assert!(gap <= gamma * k * distance + 1e-12);
        real.push(value(next));
        imagined.push(value(guess));
        distances.push(distance);
    }
    let error = value_aware_error(gamma, &real, &imagined).unwrap();
    assert!(error > 0.0 && error <= lipschitz_bound(gamma, k, &distances));
    let linear: Vec<f64> = distances.iter().map(|distance| k * distance).collect();
    let tight = value_aware_error(gamma, &vec![0.0; linear.len()], &linear).unwrap();
    assert!((tight / lipschitz_bound(gamma, k, &distances) - 1.0).abs() < 1e-12);
}

// The agent.

fn config(more: Value) -> Value {
    let mut config = json!({
        "policy": {"learning_starts": 60, "updates": 2, "batch_size": 32, "buffer_size": 5000, "actor": {"hidden": [32, 32]},
            "critic": {"hidden": [32, 32]}},
        "model": {"hidden": [24, 24], "members": 3, "elites": 2, "batch_size": 32, "max_epochs": 60},
        "refit_every": 40, "epoch_steps": 80, "rollouts": 300,
        "rollout_length": {"first_epoch": 0, "last_epoch": 2, "from": 1, "to": 3},
    });
    merge(&mut config, &more);
    config
}

fn merge(config: &mut Value, more: &Value) {
    match (config, more) {
        (Value::Object(config), Value::Object(more)) => {
            for (key, value) in more {
                merge(config.entry(key).or_insert(Value::Null), value);
            }
        }
        (config, more) => *config = more.clone(),
    }
}

/// The continuous cart-pole with its agent.
struct Bench {
    env: Box<dyn Env>,
    agent: Mbpo,
    obs: Vec<f32>,
    metrics: Metrics,
    lengths: Vec<usize>,
    length: usize,
}

impl Bench {
    fn new(config: Value, threads: usize) -> Self {
        let mut env = make("CartPoleContinuous-v0", &Options::new()).unwrap();
        let lesson = Lesson { can_terminate: true, task: Some(env.spec().clone()), ..Lesson::NONE };
        let setup = Setup { obs_dim: 4, act_dim: 1, streams: Streams::new(3), device: Device::Cpu, threads };
        let config: MbpoConfig = serde_json::from_value(config).unwrap();
        let agent = Mbpo::new(&config, &setup, &lesson).unwrap();
        let mut obs = [0.0; 4];
        env.reset(Some(7), &Options::new(), &mut obs).unwrap();
        let obs = obs.map(|x| x as f32).to_vec();
        Self { env, agent, obs, metrics: Metrics::default(), lengths: Vec::new(), length: 0 }
    }

    /// One step and the first part of its learning.
    fn step(&mut self) {
        let (mut action, mut next) = ([0.0f32], [0.0; 4]);
        self.agent.act(&self.obs, &mut action).unwrap();
        let step = self.env.step(&[f64::from(action[0])], &mut next).unwrap();
        let next_obs = next.map(|x| x as f32);
        let (terminated, truncated, reward) = (step.terminated, step.truncated, step.reward as f32);
        let obs = std::mem::replace(&mut self.obs, next_obs.to_vec());
        self.agent
            .observe(&Transition { obs: &obs, action: &action, reward, next_obs: &next_obs, terminated, truncated })
            .unwrap();
        self.length += 1;
        if step.done() {
            self.lengths.push(std::mem::take(&mut self.length));
            self.env.reset(None, &Options::new(), &mut next).unwrap();
            self.obs = next.map(|x| x as f32).to_vec();
        }
        self.learn();
    }

    fn learn(&mut self) {
        self.agent.update(&mut self.metrics).unwrap();
    }

    fn finish(&mut self) {
        while self.agent.busy() {
            self.learn();
        }
    }

    fn run(&mut self, steps: usize) {
        for _ in 0..steps {
            self.step();
            self.finish();
        }
    }

    /// A copy that went through a checkpoint.
    fn resumed(&mut self, config: Value) -> Self {
        let mut other = Self::new(config, 1);
        let bytes = self.agent.save().unwrap().to_bytes().unwrap();
        other.agent.load(&State::from_bytes(&bytes).unwrap()).unwrap();
        for ((name, saved), (other_name, loaded)) in self.agent.replays().into_iter().zip(other.agent.replays()) {
            assert_eq!(name, other_name);
            loaded.load_meta(&State::from_bytes(&saved.save_meta().to_bytes().unwrap()).unwrap()).unwrap();
            for (chunk, _) in saved.chunks() {
                loaded.restore_chunk(chunk, &saved.chunk_bytes(chunk)).unwrap();
            }
        }
        other.env.restore(&self.env.save()).unwrap();
        (other.obs, other.length) = (self.obs.clone(), self.length);
        other
    }

    fn everything(&mut self) -> Vec<u8> {
        let mut all = self.agent.save().unwrap().to_bytes().unwrap();
        for (_, replay) in self.agent.replays() {
            all.extend(replay.save_meta().to_bytes().unwrap());
            replay.chunks().iter().for_each(|(chunk, _)| all.extend(replay.chunk_bytes(*chunk)));
        }
        all.extend(self.env.save());
        all
    }
}

#[test]
fn a_resumed_agent_goes_on_to_the_bit_between_steps_and_in_the_middle_of_a_fit() {
    let learned = json!({"termination": {"kind": "learned", "updates": 20}, "policy": {"normalise_observations": {}}});
    for more in [
        json!({}),
        json!({"model": {"members": 1, "elites": null, "prediction": "deterministic", "targets": "standardised"}}),
        learned,
    ] {
        let mut whole = Bench::new(config(more.clone()), 1);
        whole.run(99);
        let mut between = whole.resumed(config(more.clone()));
        assert!(whole.everything() == between.everything());
        // Step 100 begins a fit; its first slice, then two more.
        whole.step();
        assert!(whole.agent.busy(), "the fit is too short for this test");
        whole.learn();
        assert!(whole.agent.busy(), "the fit is too short for this test");
        let mut midway = whole.resumed(config(more.clone()));
        whole.finish();
        midway.finish();
        whole.run(150);
        midway.run(150);
        between.run(151);
        assert!(whole.everything() == midway.everything(), "resumed in the middle of a fit, {more}");
        assert!(whole.everything() == between.everything(), "resumed between steps, {more}");
        assert!(whole.agent.updates() == 2 * 190 && whole.agent.dynamics().fits() > 4);
    }
}

#[test]
fn a_step_in_the_middle_of_a_fit_is_an_error() {
    let mut bench = Bench::new(config(json!({})), 1);
    bench.run(59);
    bench.step();
    assert!(bench.agent.busy());
    let step = Transition {
        obs: &[0.0; 4],
        action: &[0.0],
        reward: 0.0,
        next_obs: &[0.0; 4],
        terminated: false,
        truncated: false,
    };
    assert!(bench.agent.observe(&step).unwrap_err().to_string().contains("until `busy` says no"));
}

#[test]
fn the_ports_fit_later_learn_from_few_real_rows_first_and_act_from_the_start() {
    let more = json!({"profile": "ports", "refit_every": 20});
    let mut bench = Bench::new(config(more), 1);
    bench.run(79);
    assert_eq!(
        (bench.agent.dynamics().fits(), bench.agent.updates()),
        (0, 38),
        "one row of 32 is real, it is learned from"
    );
    bench.run(1);
    assert_eq!(bench.agent.dynamics().fits(), 1);
    let mut authors = Bench::new(config(json!({"refit_every": 20})), 1);
    authors.run(60);
    assert_eq!((authors.agent.dynamics().fits(), authors.agent.updates()), (1, 0));
}

#[test]
fn the_model_buffer_grows_with_the_rollouts() {
    let mut bench = Bench::new(config(json!({})), 1);
    // t = 0: k 1, two fits an epoch; t = 160: epoch 2, k 3.
    bench.run(60);
    assert_eq!(bench.agent.imagined().config().capacity, 600);
    assert_eq!(bench.agent.imagined().len(), 300);
    bench.run(160);
    assert_eq!(bench.agent.imagined().config().capacity, 1800);
    assert!(bench.agent.imagined().len() > 900);
}

#[test]
fn metrics_and_diagnostics_are_those_on_their_pages_and_looking_changes_nothing() {
    let listed = |page: &str| -> Vec<String> {
        page.lines().filter_map(|line| Some(line.strip_prefix("//! | `")?.split('`').next()?.to_owned())).collect()
    };
    let learned = json!({"termination": {"kind": "learned", "updates": 20}});
    let mut bench = Bench::new(config(learned), 1);
    bench.run(110);
    let logged: Vec<String> = bench.metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
    let page = listed(include_str!("../src/mbpo/mod.rs"));
    let page: Vec<&String> = page.iter().filter(|name| name.contains('/')).collect();
    let missing: Vec<_> = page.iter().filter(|name| !logged.contains(name)).collect();
    assert!(page.len() > 10 && missing.is_empty(), "not logged: {missing:?}");
    let sac = listed(include_str!("../src/actor_critic/sac.rs"));
    let unlisted: Vec<_> = logged.iter().filter(|name| !page.contains(name) && !sac.contains(name)).collect();
    assert!(unlisted.is_empty(), "not on a page: {unlisted:?}");

    let rows: Vec<_> = bench.agent.imagined().rows().take(40).collect();
    let flat = |of: &dyn Fn(&liprl_agents::replay::Row<'_>) -> Vec<f32>| rows.iter().flat_map(of).collect::<Vec<_>>();
    let visited = Visited {
        obs: flat(&|row| row.obs.to_vec()),
        action: flat(&|row| row.action.to_vec()),
        next_obs: flat(&|row| row.next_obs.to_vec()),
    };
    let before = bench.everything();
    let metrics = bench.agent.diagnose(&visited).unwrap();
    assert_eq!(metrics, bench.agent.diagnose(&visited).unwrap());
    assert!(before == bench.everything(), "looking changes nothing");
    assert!(metrics.iter().all(|(_, value)| value.is_finite()), "{metrics:?}");
    let has = |name: &str| metrics.iter().any(|(other, _)| other == name);
    for name in listed(include_str!("../src/mbpo/diagnostics.rs")).iter().filter(|name| !name.ends_with('…')) {
        let places = ["holdout", "recent", "visited"].map(|place| name.replace("<where>", place));
        let name = name.replace("<h>", "10").replace("<i>", "1");
        let found = if name.contains("<where>") {
            places.iter().all(|name| has(name) || (name.contains("reward") && name.ends_with("visited")))
        } else {
            has(&name)
        };
        assert!(found, "{name} is not measured: {metrics:?}");
    }
    let value = |name: &str| metrics.iter().find(|(other, _)| other == name).map(|(_, value)| *value).unwrap();
    let (raw, log) = (value("model/value_aware_error/holdout"), value("model/value_aware_error_log/holdout"));
    assert!((raw.ln() - log).abs() < 1e-12);
    assert!(value("model/error_step/10") > value("model/error_step/1"));
}

/// Every member's mean and log-variance, the classifier and the critics: each is the function that the agent computes, with its standardisation
/// folded in; and bounds keep their order on them, swish included.
#[test]
fn every_network_is_certified_as_it_is_used() {
    for targets in ["raw", "standardised"] {
        certified_as_used(targets);
    }
}

fn certified_as_used(targets: &str) {
    let learned = json!({"termination": {"kind": "learned", "updates": 20}, "model": {"targets": targets}});
    let mut bench = Bench::new(config(learned), 1);
    bench.run(110);
    let networks = bench.agent.networks().unwrap();
    let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
    let elites = bench.agent.dynamics().elites().to_vec();
    assert_eq!(&names[..2], ["critic_0", "critic_1"]);
    assert_eq!(names.len(), 2 + 2 * 3 + 1);
    assert_eq!(names[2], format!("model_{}", elites[0]), "the best elite comes first");
    assert_eq!((names[3], names[8]), (&*format!("model_{}_log_variance", elites[0]), "termination"));
    let rows: Vec<_> = bench.agent.imagined().rows().take(20).collect();
    let flat = |of: &dyn Fn(&liprl_agents::replay::Row<'_>) -> Vec<f32>| rows.iter().flat_map(of).collect::<Vec<_>>();
    let (obs, action) = (flat(&|row| row.obs.to_vec()), flat(&|row| row.action.to_vec()));
    let wide = |row: usize| -> Vec<f64> {
        obs[row * 4..][..4].iter().chain(&action[row..][..1]).map(|&x| f64::from(x)).collect()
    };
    let mut predictor = bench.agent.dynamics().predictor(20).unwrap();
    let mut compared = 0;
    for found in &networks {
        let network = found.network.as_ref().unwrap();
        if let Some(member) = found.name.strip_prefix("model_").and_then(|member| member.parse::<u32>().ok()) {
            let (mut reward, mut next) = (vec![0.0; 20], vec![0.0; 80]);
            let view = bench.agent.dynamics().view();
            predictor.predict(view, &obs, &action, &[member; 20], None, &mut reward, &mut next).unwrap();
            for row in 0..20 {
                let own = network.forward(&wide(row));
                let change = (0..4).map(|i| f64::from(next[row * 4 + i]) - f64::from(obs[row * 4 + i]));
                for (own, theirs) in own.iter().zip(std::iter::once(f64::from(reward[row])).chain(change)) {
                    assert!((own - theirs).abs() < 1e-4 * own.abs().max(1.0), "{}: {own} {theirs}", found.name);
                    compared += 1;
                }
            }
        }
        let quick = SdpOptions { time_limit: Some(std::time::Duration::from_millis(300)) };
        let sdp = lipsdp(network, &quick).unwrap().upper;
        let top = product(network, Norm::L2).unwrap();
        let mut rng = Streams::new(1).rng("points");
        let met = (0..200).filter_map(|_| {
            let x: Vec<f64> = (0..network.inputs()).map(|_| rng.random_range(-1.0..1.0)).collect();
            network.jacobian(&x).map(|jacobian| jacobian.singular_values().unwrap()[0])
        });
        let met = met.fold(0.0, f64::max);
        assert!(met > 0.0 && met <= sdp && sdp <= top, "{}: {met} {sdp} {top}", found.name);
    }
    assert_eq!(compared, 3 * 20 * 5);
}

/// ε counts in deviations of what the term looked at, imagined states for the most part, also where observations are not standardised: its
/// moments follow the states' own size, and are saved.
#[test]
fn robust_regularisation_runs_in_the_running_deviations() {
    let regularised =
        json!({"policy": {"value_regulariser": {"kind": "robust", "rows": 16}, "critic_spectral_norm": {"scale": 3}}});
    let mut bench = Bench::new(config(regularised.clone()), 1);
    bench.run(110);
    let state = bench.agent.save().unwrap();
    let moments = |key: &str| state.f64(&format!("value-regulariser/moments/{key}"), &[4]).unwrap().to_vec();
    let count: u64 = state.get("value-regulariser/moments/count").unwrap();
    assert!(count >= 16 * 50, "{count}");
    let count = count as f64;
    let variance: Vec<f64> = moments("m2").iter().map(|m2| m2 / count).collect();
    let imagined: Vec<f64> = bench.agent.imagined().rows().map(|row| f64::from(row.obs[1])).collect();
    let mean = imagined.iter().sum::<f64>() / imagined.len() as f64;
    let own = imagined.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / imagined.len() as f64;
    assert!(variance[1] > 0.25 * own && variance[1] < 4.0 * own, "{variance:?} {own}");
    let logged: Vec<String> = bench.metrics.drain().into_iter().map(|(name, _)| name.into_owned()).collect();
    assert!(logged.iter().any(|name| name.starts_with("train/robust")), "{logged:?}");
    assert!(bench.resumed(config(regularised)).everything() == bench.everything());
}

#[test]
fn registry_builds_it_and_refuses_a_task_without_a_rule() {
    let build = |config: Value, lesson: &Lesson| {
        let config: AgentConfig = serde_json::from_value(config).unwrap();
        config.build(&setup(1), lesson).map(|_| ())
    };
    build(json!({"kind": "mbpo", "termination": {"kind": "never"}}), &Lesson::NONE).unwrap();
    let error = build(json!({"kind": "mbpo"}), &Lesson::NONE).unwrap_err().to_string();
    assert!(error.contains("agent.termination") && error.contains("no rule is known"), "{error}");
}

/// A pole falls within 10 to 60 steps under random actions; 600 steps of learning keep it up for most of an episode.
#[test]
fn it_learns_to_balance_a_pole_with_every_model() {
    let net = json!({"hidden": [64, 64], "lr": 1e-3});
    for (prediction, members) in [("deterministic", 1), ("probabilistic", 3)] {
        let policy = json!({"learning_starts": 200, "updates": 8, "batch_size": 128, "actor": net, "critic": net,
            "temperature": {"kind": "auto", "target_entropy": -0.05}});
        let model = json!({"prediction": prediction, "members": members, "hidden": [64, 64], "weight_decay": [2.5e-5, 5e-5, 1e-4],
            "max_epochs": 40});
        let config =
            json!({"policy": policy, "model": model, "refit_every": 100, "epoch_steps": 200, "rollouts": 5000});
        let mut bench = Bench::new(config, 1);
        bench.run(200);
        let random = bench.lengths.iter().sum::<usize>() as f64 / bench.lengths.len() as f64;
        bench.run(800);
        // Greedy episodes from fresh starts.
        let mut env = make("CartPoleContinuous-v0", &Options::new()).unwrap();
        let mut total = 0;
        for seed in 0..5 {
            let (mut obs, mut action) = ([0.0; 4], [0.0f32]);
            env.reset(Some(100 + seed), &Options::new(), &mut obs).unwrap();
            loop {
                bench.agent.act_greedy(&obs.map(|x| x as f32), &mut action).unwrap();
                let step = env.step(&[f64::from(action[0])], &mut obs).unwrap();
                total += 1;
                if step.done() {
                    break;
                }
            }
        }
        let mean = f64::from(total) / 5.0;
        assert!(random < 60.0 && mean > 120.0, "{prediction} of {members}: {random} steps at random, {mean} learned");
    }
}
