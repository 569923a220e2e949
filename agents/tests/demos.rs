//! Demonstrations against the real Minari in both directions, and against spoilt files.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

mod demos_support;

use demos_support::{floats, pendulum, python};
use hdf5_pure::{AttrValue, FileBuilder, GroupBuilder};
use liprl_agents::demos::{DemoSpec, Demonstrations};
use liprl_envs::{BoxSpace, EnvSpec, Options, make};
use liprl_numerics::Streams;
use proptest::prelude::*;
use rand::RngExt;
use serde_json::{Value, json};

fn booleans(value: &Value) -> Vec<bool> {
    value.as_array().unwrap().iter().map(|x| x.as_bool().unwrap()).collect()
}

#[test]
fn minari_loads_what_we_write_and_makes_its_environment_again() {
    let (folder, written) = (tempfile::tempdir().unwrap(), pendulum(3));
    written.write(folder.path().join("pendulum.hdf5")).unwrap();
    let loaded = python(folder.path(), &json!({"work": "load", "name": "pendulum-v0", "replay": true}));
    assert_eq!(loaded["total_steps"], 600);
    assert_eq!(loaded["sampled_steps"], 600);
    assert_eq!(loaded["id"], "pendulum-v0");
    assert_eq!(loaded["algorithm"], "random");
    assert_eq!(loaded["env"], json!({"id": "Pendulum-v1", "max_episode_steps": 200, "kwargs": {}}));
    for (episode, theirs) in written.episodes.iter().zip(loaded["episodes"].as_array().unwrap()) {
        assert_eq!(theirs["seed"].as_u64(), episode.seed);
        assert_eq!(theirs["total_steps"], 200);
        assert_eq!(theirs["observations_shape"], json!([201, 3]));
        assert_eq!(theirs["actions_shape"], json!([200, 1]));
        assert_eq!(floats(&theirs["observations"]), episode.observations);
        assert_eq!(floats(&theirs["actions"]), episode.actions);
        assert_eq!(floats(&theirs["rewards"]), episode.rewards);
        assert_eq!(booleans(&theirs["terminations"]), episode.terminations);
        assert_eq!(booleans(&theirs["truncations"]), episode.truncations);
        let torque = theirs["infos"]["torque"].as_array().unwrap();
        assert_eq!((torque.len(), torque[0].as_str().unwrap()), (201, "nan"));
        assert_eq!(torque[7].as_str().unwrap().parse::<f64>().unwrap(), episode.actions[6]);
    }
    // Gymnasium's own Pendulum, on the recorded seeds and actions, gives the recorded observations.
    assert!(loaded["replay_error"].as_f64().unwrap() < 1e-5);
}

#[test]
fn unbounded_spaces_options_and_numbers_beyond_f32_survive() {
    let (folder, mut odd) = (tempfile::tempdir().unwrap(), pendulum(1));
    odd.meta.env = Some(EnvSpec {
        id: "Hopper-v5".into(),
        max_episode_steps: Some(77),
        options: [("ctrl_cost_weight".to_owned(), json!(0.5)), ("max_episode_steps".to_owned(), json!(77))].into(),
        python: None,
    });
    odd.meta.observation_space = Some(BoxSpace {
        low: vec![f64::NEG_INFINITY, 1.0 / 3.0 - 9.0, f64::NEG_INFINITY],
        high: vec![f64::INFINITY, f64::INFINITY, 8.5],
    });
    odd.meta.action_space = None;
    odd.episodes[0].actions[3] = 0.1;
    odd.episodes[0].observations[1] = 1e-300;
    let path = folder.path().join("odd-v2/data/main_data.hdf5");
    odd.write(&path).unwrap();
    let loaded = python(folder.path(), &json!({"work": "load", "name": "odd-v2", "replay": false}));
    assert_eq!(loaded["env"], json!({"id": "Hopper-v5", "max_episode_steps": 77, "kwargs": {"ctrl_cost_weight": 0.5}}));
    let space =
        json!({"dtype": "float64", "low": ["-inf", "-8.666666666666666", "-inf"], "high": ["inf", "inf", "8.5"]});
    assert_eq!(loaded["space"], space);
    assert_eq!(floats(&loaded["episodes"][0]["actions"]), odd.episodes[0].actions);
    assert_eq!(floats(&loaded["episodes"][0]["observations"]), odd.episodes[0].observations);
    let read = Demonstrations::read(&path, None).unwrap();
    assert_eq!(read.meta.observation_space, odd.meta.observation_space);
    assert_eq!(read.meta.extra, odd.meta.extra);
}

#[test]
fn we_read_what_minari_writes() {
    let folder = tempfile::tempdir().unwrap();
    let told = python(folder.path(), &json!({"work": "make", "name": "pendulum-v0"}));
    let task = make("Pendulum-v1", &Options::new()).unwrap();
    let spec =
        DemoSpec { env: task.spec(), observation_space: task.observation_space(), action_space: task.action_space() };
    let read = Demonstrations::read(folder.path().join("pendulum-v0"), Some(&spec)).unwrap();
    assert_eq!(read.episodes.len(), 2);
    for (episode, theirs) in read.episodes.iter().zip(told["episodes"].as_array().unwrap()) {
        assert_eq!(episode.seed, theirs["seed"].as_u64());
        assert_eq!(episode.observations, floats(&theirs["observations"]));
        assert_eq!(episode.actions, floats(&theirs["actions"]));
        assert_eq!(episode.rewards, floats(&theirs["rewards"]));
        assert_eq!(episode.infos["angle"], floats(&theirs["angle"]));
        assert_eq!(episode.truncations.iter().filter(|&&truncated| truncated).count(), 1);
        assert!(episode.truncations[199] && !episode.terminations.contains(&true));
    }
    let env = read.meta.env.as_ref().unwrap();
    assert_eq!((env.id.as_str(), env.max_episode_steps), ("Pendulum-v1", Some(200)));
    assert_eq!(read.meta.action_space, Some(BoxSpace::uniform(1, -2.0, 2.0)));
    let totals: Vec<f64> =
        told["episodes"].as_array().unwrap().iter().map(|episode| floats(&episode["rewards"]).iter().sum()).collect();
    let summary = read.summary();
    assert_eq!((&summary.lengths, summary.terminated), (&vec![200, 200], 0));
    assert!((summary.return_mean - (totals[0] + totals[1]) / 2.0).abs() < 1e-9);
    // Of two numbers the sample standard deviation is |a − b| / √2.
    assert!((summary.return_std - (totals[0] - totals[1]).abs() / 2.0_f64.sqrt()).abs() < 1e-9);
}

#[test]
fn a_file_reads_back_as_it_was_written_and_can_be_overwritten() {
    let (folder, mut demonstrations) = (tempfile::tempdir().unwrap(), pendulum(2));
    let path = folder.path().join("twice.hdf5");
    demonstrations.write(&path).unwrap();
    demonstrations.episodes.pop();
    demonstrations.episodes[0].infos.clear();
    demonstrations.write(&path).unwrap();
    assert_eq!(Demonstrations::read(&path, None).unwrap(), demonstrations);
    assert_eq!(Demonstrations::read(folder.path().join("twice-v0"), None).unwrap(), demonstrations);
}

/// Writes a sound episode of two steps, of which a test spoils one array.
fn sound(group: &mut GroupBuilder, spoilt: &str, spoil: impl FnOnce(&mut GroupBuilder)) {
    let mut put = |name: &str, data: &[f64], shape: &[u64]| {
        if name != spoilt {
            group.create_dataset(name).with_f64_data(data).with_shape(shape);
        }
    };
    put("observations", &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], &[3, 2]);
    put("actions", &[0.5, -0.5], &[2, 1]);
    put("rewards", &[1.0, 1.0], &[2]);
    for name in ["terminations", "truncations"] {
        if name != spoilt {
            group.create_dataset(name).with_u8_data(&[0, 1]);
        }
    }
    spoil(group);
}

fn refusal(spoilt: &str, spoil: impl FnOnce(&mut GroupBuilder)) -> String {
    let (folder, mut builder) = (tempfile::tempdir().unwrap(), FileBuilder::new());
    let mut first = builder.create_group("episode_0");
    sound(&mut first, "", |_| ());
    builder.add_group(first.finish());
    let mut second = builder.create_group("episode_1");
    sound(&mut second, spoilt, spoil);
    builder.add_group(second.finish());
    let path = folder.path().join("spoilt.hdf5");
    builder.write(&path).unwrap();
    let message = Demonstrations::read(&path, None).unwrap_err().to_string();
    assert!(message.contains("spoilt.hdf5: episode_1/"), "{message}");
    message
}

#[test]
fn a_spoilt_array_is_named_with_what_is_wrong() {
    type Spoil = fn(&mut GroupBuilder);
    let cases: [(&str, Spoil, &str); 12] = [
        ("observations", |_| (), "observations: is missing"),
        (
            "observations",
            |group| {
                group.create_dataset("observations").with_f64_data(&[0.0; 4]).with_shape(&[2, 2]);
            },
            "observations: has 2 rows for 2 steps; one more is needed, 3",
        ),
        (
            "observations",
            |group| {
                group.create_dataset("observations").with_f64_data(&[0.0; 9]).with_shape(&[3, 3]);
            },
            "observations: has 9 numbers, 3 rows of 2 are 6",
        ),
        (
            "observations",
            |group| {
                group
                    .create_dataset("observations")
                    .with_f64_data(&[0.0, 0.0, 0.0, f64::NAN, 0.0, 0.0])
                    .with_shape(&[3, 2]);
            },
            "observations: is NaN at row 1, coordinate 1",
        ),
        (
            "observations",
            |group| {
                let nested = group.create_group("observations");
                group.add_group(nested.finish());
            },
            "observations: is a group",
        ),
        (
            "actions",
            |group| {
                group.create_dataset("actions").with_i64_data(&[0, 1]).with_shape(&[2, 1]);
            },
            "actions: has type i64, expected f32 or f64",
        ),
        (
            "actions",
            |group| {
                group.create_dataset("actions").with_f64_data(&[0.0, 1.0]);
            },
            "actions: has shape [2], expected rows of numbers",
        ),
        (
            "actions",
            |group| {
                group.create_dataset("actions").with_f64_data(&[0.0; 3]).with_shape(&[3, 1]);
            },
            "actions: has 3 rows for 2 rewards",
        ),
        (
            "rewards",
            |group| {
                group.create_dataset("rewards").with_f64_data(&[]);
            },
            "rewards",
        ),
        (
            "rewards",
            |group| {
                group.create_dataset("rewards").with_f64_data(&[0.0, f64::INFINITY]);
            },
            "rewards: is inf at row 1",
        ),
        (
            "terminations",
            |group| {
                group.create_dataset("terminations").with_u8_data(&[0, 2]);
            },
            "terminations: holds 2, expected 0 or 1",
        ),
        (
            "truncations",
            |group| {
                group.create_dataset("truncations").with_f32_data(&[0.0, 1.0]);
            },
            "truncations: has type f32, expected booleans",
        ),
    ];
    for (name, spoil, problem) in cases {
        let message = refusal(name, spoil);
        assert!(message.contains(problem), "{message}\nshould say: {problem}");
    }
}

#[test]
fn another_task_and_other_options_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pendulum.hdf5");
    pendulum(1).write(&path).unwrap();
    let read = |id: &str, obs_dim| {
        let env = EnvSpec { id: id.to_owned(), max_episode_steps: None, options: Options::new(), python: None };
        let observation_space = match obs_dim {
            3 => BoxSpace { low: vec![-1.0, -1.0, -8.0], high: vec![1.0, 1.0, 8.0] },
            _ => BoxSpace::uniform(obs_dim, -1.0, 1.0),
        };
        let action_space = BoxSpace::uniform(1, -2.0, 2.0);
        let spec = DemoSpec { env: &env, observation_space: &observation_space, action_space: &action_space };
        Demonstrations::read(&path, Some(&spec)).map_err(|error| error.to_string())
    };
    assert!(read("Pendulum-v1", 3).is_ok());
    assert!(read("Hopper-v5", 3).unwrap_err().contains("holds demonstrations of Pendulum-v1, expected Hopper-v5"));
    assert!(
        read("Pendulum-v1", 4).unwrap_err().contains("observations of 3 and actions of 1 numbers, Pendulum-v1 has 4")
    );
    let message = Demonstrations::read(folder.path().join("none.hdf5"), None).unwrap_err().to_string();
    assert!(message.contains("none.hdf5: "), "{message}");
    assert!(Demonstrations::read(folder.path(), None).unwrap_err().to_string().contains("without data/main_data.hdf5"));
    let mut broken = pendulum(1);
    broken.episodes[0].actions.pop();
    let message = broken.write(&path).unwrap_err().to_string();
    assert!(message.contains("episode_0/"), "{message}");
    assert!(read("Pendulum-v1", 3).is_ok(), "a refused write leaves the old file");
}

#[test]
fn flat_files_split_at_terminals_and_timeouts() {
    let (folder, mut builder) = (tempfile::tempdir().unwrap(), FileBuilder::new());
    builder.create_dataset("observations").with_f32_data(&[0.0, 1.0, 10.0, 11.0, 20.0]).with_shape(&[5, 1]);
    builder.create_dataset("next_observations").with_f32_data(&[1.0, 2.0, 11.0, 12.0, 21.0]).with_shape(&[5, 1]);
    builder.create_dataset("actions").with_f32_data(&[0.0, 0.1, 0.2, 0.3, 0.4]).with_shape(&[5, 1]);
    builder.create_dataset("rewards").with_f32_data(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    builder.create_dataset("terminals").with_u8_data(&[0, 1, 0, 0, 0]);
    builder.create_dataset("timeouts").with_u8_data(&[0, 0, 0, 1, 0]);
    let path = folder.path().join("flat.hdf5");
    builder.write(&path).unwrap();
    let read = Demonstrations::read(&path, None).unwrap();
    let observations: Vec<&[f64]> = read.episodes.iter().map(|episode| &episode.observations[..]).collect();
    assert_eq!(observations, [&[0.0, 1.0, 2.0][..], &[10.0, 11.0, 12.0], &[20.0, 21.0]]);
    let ends: Vec<_> = read.episodes.iter().map(|e| (e.terminations.last(), e.truncations.last())).collect();
    assert_eq!(ends, [(Some(&true), Some(&false)), (Some(&false), Some(&true)), (Some(&false), Some(&true))]);
    assert_eq!(read.summary().returns, [3.0, 7.0, 5.0]);
}

/// A small file of ours, as bytes.
fn small_file() -> Vec<u8> {
    let (folder, mut demonstrations) = (tempfile::tempdir().unwrap(), pendulum(2));
    for episode in &mut demonstrations.episodes {
        episode.infos.clear();
        episode.observations.truncate(3 * 21);
        episode.actions.truncate(20);
        episode.rewards.truncate(20);
        episode.terminations.truncate(20);
        episode.truncations.truncate(20);
    }
    let path = folder.path().join("small.hdf5");
    demonstrations.write(&path).unwrap();
    std::fs::read(path).unwrap()
}

#[test]
fn a_truncated_file_is_refused_wherever_it_ends() {
    let (folder, bytes) = (tempfile::tempdir().unwrap(), small_file());
    let path = folder.path().join("cut.hdf5");
    for keep in (0..bytes.len()).step_by(bytes.len() / 300).chain([bytes.len() - 1]) {
        std::fs::write(&path, &bytes[..keep]).unwrap();
        assert!(Demonstrations::read(&path, None).is_err(), "cut to {keep} of {} bytes", bytes.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]
    #[test]
    fn a_damaged_file_never_panics(flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        static BYTES: std::sync::LazyLock<Vec<u8>> = std::sync::LazyLock::new(small_file);
        let (folder, mut bytes) = (tempfile::tempdir().unwrap(), BYTES.clone());
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let path = folder.path().join("damaged.hdf5");
        std::fs::write(&path, bytes).unwrap();
        if let Err(error) = Demonstrations::read(&path, None) {
            prop_assert!(error.to_string().contains("damaged.hdf5: "));
        }
    }
}

/// Minari's folder beside a file is ours if it is a link to that file. Another dataset of that name
/// is left alone.
#[test]
fn another_dataset_is_not_taken_for_our_link() {
    let (folder, demonstrations) = (tempfile::tempdir().unwrap(), pendulum(1));
    let path = folder.path().join("hopper.hdf5");
    demonstrations.write(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    demonstrations.write(&path).unwrap();
    let refused = |path: &std::path::Path| demonstrations.write(path).unwrap_err().to_string();
    let twin = folder.path().join("hopper-v0.hdf5");
    assert!(refused(&twin).contains("which is another dataset; choose another name"), "{}", refused(&twin));
    assert!(!twin.exists());
    let theirs = folder.path().join("walker-v0/data/main_data.hdf5");
    std::fs::create_dir_all(theirs.parent().unwrap()).unwrap();
    std::fs::write(&theirs, "theirs").unwrap();
    assert!(refused(&folder.path().join("walker.hdf5")).contains("main_data.hdf5, which is another dataset"));
    assert_eq!(std::fs::read(&theirs).unwrap(), b"theirs");
}

/// h5py's headers carry no checksums, so damage to them reaches further than damage to ours.
#[test]
fn a_damaged_file_of_minari_never_panics() {
    let (folder, mut rng) = (tempfile::tempdir().unwrap(), Streams::new(1).rng("damage"));
    python(folder.path(), &json!({"work": "make", "name": "pendulum-v0"}));
    let path = folder.path().join("pendulum-v0/data/main_data.hdf5");
    let bytes = std::fs::read(&path).unwrap();
    let mut refused = 0;
    for round in 0..500 {
        let mut damaged = bytes.clone();
        for _ in 0..=round % 20 {
            let at = rng.random_range(0..damaged.len());
            damaged[at] = if rng.random() { 255 } else { rng.random() };
        }
        if round % 5 == 0 {
            damaged.truncate(rng.random_range(0..bytes.len()));
        }
        std::fs::write(&path, damaged).unwrap();
        refused += usize::from(Demonstrations::read(&path, None).is_err());
    }
    assert!(refused >= 100, "at least the files cut short are noticed");
}

#[test]
fn attributes_of_other_kinds_do_no_harm() {
    let (folder, mut builder) = (tempfile::tempdir().unwrap(), FileBuilder::new());
    let mut group = builder.create_group("episode_0");
    sound(&mut group, "", |_| ());
    group.set_attr("seed", AttrValue::String("unknown".into()));
    group.set_attr("options/x", AttrValue::F64Array(vec![1.0, 2.0]));
    builder.add_group(group.finish());
    let path = folder.path().join("attributes.hdf5");
    builder.write(&path).unwrap();
    let read = Demonstrations::read(&path, None).unwrap();
    assert_eq!(read.episodes[0].seed, None);
    assert_eq!(read.episodes[0].observation(2), [5.0, 6.0]);
    assert_eq!(read.episodes[0].action(1), [-0.5]);
}
