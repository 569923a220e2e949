//! Predictions of a model and rollouts in it.

use liprl_agents::{
    Flags, Replay, ReplayConfig, TaskContext,
    actor_critic::{Learner, Sac, SacConfig},
    mbpo::{Dynamics, RolloutCounts, RolloutOptions, RolloutWorkers, Rule},
};
use liprl_numerics::{StreamRng, Streams};
use serde_json::json;

use super::{OBS, fitted, linear, model, predictions, setup};

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
    counts: RolloutCounts,
}

fn rolled(dynamics: &Dynamics, replay: &Replay, rule: &Rule, blow_up: f64, count: usize, threads: usize) -> Rolled {
    let sac = Sac::new(&SacConfig::default(), &setup(1)).unwrap();
    let mut workers = RolloutWorkers::new(dynamics, &sac.actor().mlps()[0], None, threads).unwrap();
    let mut pool = Replay::new(ReplayConfig { capacity: 20_000, ..*replay.config() }).unwrap();
    let options = RolloutOptions { dynamics, normaliser: None, rule, termination: None, length: 4, count, blow_up };
    let mut rng = Streams::new(2).rng("rollouts");
    let counts = workers.roll_out(options, sac.actor(), replay, &mut pool, &mut rng).unwrap();
    Rolled { pool, counts }
}

#[test]
fn rollouts_follow_the_model_and_do_not_depend_on_the_number_of_threads() {
    let replay = linear(1000);
    for prediction in ["deterministic", "probabilistic"] {
        let config = model(json!({"prediction": prediction, "members": 3, "elites": 2, "max_epochs": 3}));
        let (dynamics, _) = fitted(&config, &replay, 1);
        let Rolled { pool, counts } = rolled(&dynamics, &replay, &Rule::Never, 1e6, 1300, 1);
        assert_eq!((counts.stored, counts.terminated, counts.dropped), (5200, 0, 0));
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
    let rule = Rule::new(&config, &TaskContext::NONE, OBS).unwrap();
    let Rolled { pool, counts } = rolled(&dynamics, &replay, &rule, 1e6, 600, 1);
    let ended = pool.rows().filter(|row| row.flags.contains(Flags::TERMINATED)).count() as u64;
    assert!(ended > 50 && ended == counts.terminated && counts.stored == pool.len() as u64);
    assert!(pool.rows().all(|row| row.flags.contains(Flags::TERMINATED) == (row.next_obs[0] > 0.5)));
    // All first rows are real observations, the later ones imagined and thus within the region.
    assert!(pool.rows().skip(512).filter(|row| row.obs[0] > 0.5).count() <= 88 + 512);
    let Rolled { pool, counts } = rolled(&dynamics, &replay, &Rule::Never, 1.5, 600, 1);
    assert!(counts.dropped > 50 && counts.stored < 2400, "{counts:?}");
    assert!(pool.rows().all(|row| row.next_obs.iter().chain([&row.reward]).all(|x| x.abs() <= 1.5)));
}
