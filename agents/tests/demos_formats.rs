//! Demonstrations of other layouts against the libraries that define them: Minari's DataCollector and
//! Gymnasium's `flatten`, D4RL's transitions, NumPy's half precision, robomimic's groups.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

mod demos_support;

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use demos_support::{floats, program, python_of};
use liprl_agents::demos::{DemoSpec, Demonstrations, DemonstrationsConfig, DemonstrationsFile, DemonstrationsFormat};
use liprl_envs::{BoxSpace, EnvSpec, Options};
use serde_json::{Value, json};

fn python(folder: &Path, request: &Value) -> Value {
    python_of("demos_formats.py", folder, request)
}

/// Bounds as texts, in which infinities are words.
fn bounds(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_str().unwrap().parse().unwrap()).collect()
}

fn read(settings: DemonstrationsFile) -> Result<Demonstrations, String> {
    DemonstrationsConfig::Settings(settings).read(None).map_err(|error| error.to_string())
}

fn of_file(file: PathBuf) -> DemonstrationsFile {
    DemonstrationsFile { file, ..DemonstrationsFile::default() }
}

/// Scripted by a policy in Python, stored by Minari's DataCollector, read, written anew, loaded by Minari
/// again and its environment made: always the numbers of Gymnasium's `flatten`.
#[test]
fn parts_of_observations_are_joined_as_gymnasium_does() {
    for space in ["sorted", "ordered", "tuple", "choices", "discrete", "matrix"] {
        let folder = tempfile::tempdir().unwrap();
        let told = python(folder.path(), &json!({"work": "collect", "name": "walk/scripted-v0", "space": space}));
        let read = Demonstrations::read(folder.path().join("walk/scripted-v0"), None).unwrap();
        let episodes = told["episodes"].as_array().unwrap();
        assert_eq!((read.episodes.len(), episodes.len()), (2, 2));
        for (ours, theirs) in read.episodes.iter().zip(episodes) {
            assert_eq!(ours.observations, floats(&theirs["observations"]), "{space}");
            assert_eq!(ours.actions, floats(&theirs["actions"]), "{space}");
            assert_eq!(ours.terminations, [false, false, false, false, false, false, true]);
        }
        let observations = read.meta.observation_space.clone().unwrap();
        assert_eq!((observations.low, observations.high), (bounds(&told["low"]), bounds(&told["high"])), "{space}");
        assert_eq!(read.meta.action_space, Some(BoxSpace { low: vec![-1.0, -2.0], high: vec![1.0, 2.0] }));

        read.write(folder.path().join("flat.hdf5")).unwrap();
        let loaded = python(folder.path(), &json!({"work": "load", "name": "flat-v0"}));
        for (ours, theirs) in read.episodes.iter().zip(loaded["episodes"].as_array().unwrap()) {
            assert_eq!(ours.observations, floats(&theirs["observations"]), "{space}");
            assert_eq!(ours.rewards, floats(&theirs["rewards"]), "{space}");
        }
        assert_eq!(read.episodes[0].observation(0), floats(&loaded["first"]), "{space}: the environment's reset");
        assert_eq!(Demonstrations::read(folder.path().join("flat-v0"), None).unwrap().episodes, read.episodes);
    }
}

/// A flat file without next observations has the transitions of `d4rl.qlearning_dataset`.
#[test]
fn flat_files_without_columns_are_read_as_by_d4rl() {
    const LIMIT: u32 = 8;
    let env = EnvSpec { id: "Any-v0".into(), max_episode_steps: Some(LIMIT), options: Options::new(), python: None };
    let (observation_space, action_space) = (BoxSpace::uniform(3, -9.0, 9.0), BoxSpace::uniform(2, -9.0, 9.0));
    let task = DemoSpec { env: &env, observation_space: &observation_space, action_space: &action_space };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.hdf5");
    for (seed, missing) in
        [(0, &["next_observations"][..]), (1, &["next_observations"]), (2, &["next_observations", "timeouts"])]
    {
        let request = json!({"work": "flat", "path": path, "seed": seed, "missing": missing, "limit": LIMIT});
        let told = python(folder.path(), &request);
        let read = Demonstrations::read(&path, Some(&task)).unwrap();
        let theirs = told["transitions"].as_array().unwrap();
        let ours = read.episodes.iter().flat_map(|episode| (0..episode.len()).map(move |step| (episode, step)));
        assert_eq!(ours.clone().count(), theirs.len(), "{missing:?}");
        for ((episode, step), row) in ours.zip(theirs) {
            assert_eq!(episode.observation(step), floats(&row[0]));
            assert_eq!(episode.action(step), floats(&row[1]));
            assert_eq!(episode.rewards[step], row[2].as_f64().unwrap());
            assert_eq!(episode.terminations[step], row[3].as_bool().unwrap());
            let after = if row[4].is_null() { episode.observation(step).to_vec() } else { floats(&row[4]) };
            assert_eq!(episode.observation(step + 1), after);
        }
        assert!(read.notes[0].starts_with("there are no next_observations"), "{:?}", read.notes);
        assert_eq!(read.notes.iter().any(|note| note.contains("after the 8 steps")), missing.len() == 2);
    }
    // Without a task nothing but terminals ends an episode.
    let read = Demonstrations::read(&path, None).unwrap();
    assert!(read.notes.iter().any(|note| note.contains("no task with a limit of steps")), "{:?}", read.notes);
}

/// With all columns nothing is left out, and a missing mark of the time limit is found in the rows.
#[test]
fn timeouts_are_found_by_next_observations() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.hdf5");
    python(folder.path(), &json!({"work": "flat", "path": path, "seed": 5, "missing": [], "limit": 8}));
    let whole = Demonstrations::read(&path, None).unwrap();
    assert!(whole.notes.is_empty());
    whole.write_d4rl(folder.path().join("again.hdf5")).unwrap();
    assert_eq!(Demonstrations::read(folder.path().join("again.hdf5"), None).unwrap().episodes, whole.episodes);
    python(folder.path(), &json!({"work": "flat", "path": path, "seed": 5, "missing": ["timeouts"], "limit": 8}));
    let marked = Demonstrations::read(&path, None).unwrap();
    assert!(marked.episodes.iter().all(|episode| episode.len() <= 8 && !episode.is_empty()));
    assert!(marked.notes[0].starts_with("resets without a mark: "), "{:?}", marked.notes);
}

#[test]
fn half_precision_is_that_of_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("half.hdf5");
    let values = floats(&python(folder.path(), &json!({"work": "half", "path": path}))["values"]);
    assert_eq!(values.len(), 65_536 - 2 * 1024, "all but infinities and NaN");
    let read = Demonstrations::read(&path, None).unwrap();
    assert_eq!(read.episodes.len(), 2, "little-endian and big-endian");
    for episode in read.episodes {
        assert_eq!((&episode.actions, &episode.rewards), (&values, &values));
        assert_eq!(episode.observations[..values.len()], values);
    }
}

#[test]
fn robomimics_demonstrations_are_read_by_keys_and_filters() {
    for next_obs in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("low_dim.hdf5");
        let told = python(folder.path(), &json!({"work": "robomimic", "path": path, "next_obs": next_obs}));
        let demos = told["demos"].as_array().unwrap();
        let (steps, rows) = if next_obs { (6, 7) } else { (5, 6) };
        let all = read(of_file(path.clone())).unwrap();
        assert_eq!(all.episodes.len(), 4);
        for (ours, theirs) in all.episodes.iter().zip(demos) {
            assert_eq!(ours.observations, floats(&theirs["all"])[..rows * 6]);
            assert_eq!(ours.actions, floats(&theirs["actions"])[..steps * 4]);
        }
        let ends: Vec<bool> = all.episodes.iter().map(|episode| episode.terminations[steps - 1]).collect();
        assert_eq!(ends, if next_obs { [true, false, true, true] } else { [false; 4] });
        let env = all.meta.env.as_ref().unwrap();
        assert_eq!((env.id.as_str(), &all.meta.extra["env_args"]["env_kwargs"]["limit"]), ("Lift", &json!("inf")));
        assert!(all.notes[0].ends_with("eef_pos, gripper, step"), "{:?}", all.notes);
        assert!(all.notes[1].starts_with("demonstrations that are done before their last step: 1"), "{:?}", all.notes);

        let obs_keys = Some(vec!["gripper".to_owned(), "eef_pos".to_owned()]);
        let (format, filter) = (Some(DemonstrationsFormat::Robomimic), Some("train".to_owned()));
        let chosen = DemonstrationsFile { format, obs_keys, filter, ..of_file(path.clone()) };
        let train = read(chosen.clone()).unwrap();
        for (ours, theirs) in train.episodes.iter().zip([&demos[1], &demos[3]]) {
            assert_eq!(ours.observations, floats(&theirs["gripper_eef"])[..rows * 5], "{}", theirs["name"]);
        }
        assert_eq!(train.episodes.len(), 2);
        let filtered = |name: &str| read(DemonstrationsFile { filter: Some(name.to_owned()), ..chosen.clone() });
        assert_eq!(filtered("valid").unwrap().episodes.len(), 2, "names of variable length");
        let missing = filtered("test").unwrap_err();
        assert!(
            missing.contains("low_dim.hdf5: mask: has no filter \"test\"; it has broken, train, valid"),
            "{missing}"
        );
        let broken = filtered("broken").unwrap_err();
        assert!(broken.contains("mask/broken: names \"demo_3\", which is not in data"), "{broken}");
        let keys =
            read(DemonstrationsFile { obs_keys: Some(vec!["eef".into()]), ..of_file(path.clone()) }).unwrap_err();
        assert!(keys.contains("data/demo_0/obs/eef: is missing"), "{keys}");
        let other = read(DemonstrationsFile { format: Some(DemonstrationsFormat::D4rl), ..of_file(path) }).unwrap_err();
        assert!(other.contains("has the layout robomimic, its `format` is set to d4rl"), "{other}");
    }
}

#[test]
fn settings_of_robomimic_are_refused_for_others() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.hdf5");
    demos_support::pendulum(1).write(&path).unwrap();
    let refusal = read(DemonstrationsFile { filter: Some("train".into()), ..of_file(path) }).unwrap_err();
    assert!(refusal.contains("is not a file of robomimic, with data/demo_0, which `filter` is for"), "{refusal}");
}

/// Files compressed by plugins that h5py does not bring: the number of gzip's filter is replaced.
#[test]
fn a_filter_that_is_not_read_is_named_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gzip.hdf5");
    python(folder.path(), &json!({"work": "compressed", "path": path, "libver": ["earliest", "v110"]}));
    Demonstrations::read(&path, None).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    // Filter 1, a name of 8 bytes, optional, one value.
    let message = b"\x01\x00\x08\x00\x01\x00\x01\x00deflate\x00";
    let at = bytes.windows(message.len()).position(|window| window == message).unwrap();
    for (id, name) in [(32001_u16, "blosc"), (32015, "zstd"), (32008, "bitshuffle"), (299, "an unknown filter")] {
        let mut other = bytes.clone();
        other[at..at + 2].copy_from_slice(&id.to_le_bytes());
        let path = folder.path().join("other.hdf5");
        std::fs::write(&path, other).unwrap();
        let refusal = Demonstrations::read(&path, None).unwrap_err().to_string();
        let words = format!("other.hdf5: episode_0/actions: is compressed with {name} (filter {id})");
        assert!(refusal.contains(&words) && refusal.contains("`h5repack -f GZIP=4 IN OUT`"), "{refusal}");
    }
    python(folder.path(), &json!({"work": "compressed", "path": path, "libver": "latest"}));
    let refusal = Demonstrations::read(&path, None).unwrap_err().to_string();
    let words = "gzip.hdf5: episode_0/actions: has the data layout version 5, of HDF5 2 and later; write it again by \
                 h5py.File(…, libver=('earliest', 'v110'))";
    assert!(refusal.contains(words), "{refusal}");
}

/// Minari's other storage formats are named with a command, and that command works.
#[test]
fn other_formats_of_minari_are_refused_with_the_command_that_converts() {
    for format in ["arrow", "parquet"] {
        let folder = tempfile::tempdir().unwrap();
        python(folder.path(), &json!({"work": "stored", "name": "classic/pendulum-v1", "data_format": format}));
        let refusal = Demonstrations::read(folder.path().join("classic/pendulum-v1"), None).unwrap_err().to_string();
        assert!(refusal.contains(&format!("is a Minari dataset in the format {format}")), "{refusal}");
        let command = refusal.split_once("python -c \"").unwrap().1.rsplit_once('"').unwrap().0;
        let converted =
            Command::new(program()).args(["-c", command]).env("MINARI_DATASETS_PATH", folder.path()).output().unwrap();
        assert!(converted.status.success(), "{}", String::from_utf8_lossy(&converted.stderr));
        let read = Demonstrations::read(folder.path().join("classic/pendulum-hdf5-v1"), None).unwrap();
        assert_eq!(read.episodes.len(), 2);
        assert_eq!((read.episodes[1].observation(3), read.episodes[1].action(2)), (&[1.0; 3][..], &[1.0][..]));
        assert_eq!(read.meta.env.unwrap().id, "Pendulum-v1");
    }
}
