//! Demonstrations held against their task and against their own rows.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may stop here")]

mod demos_support;

use std::path::Path;

use demos_support::{pendulum, python};
use hdf5_pure::{AttrValue, FileBuilder};
use liprl_agents::demos::{Accept, DemoSpec, Demonstrations, DemonstrationsConfig, DemonstrationsFile};
use liprl_envs::{BoxSpace, Options, make};
use serde_json::{Value, json};

/// Reads for Pendulum-v1 with exceptions.
fn read(path: &Path, accept: &[Accept], skip_bad_episodes: bool) -> Result<Demonstrations, String> {
    let task = make("Pendulum-v1", &Options::new()).unwrap();
    let (file, accept) = (path.to_owned(), accept.to_vec());
    let settings = DemonstrationsFile { file, accept, skip_bad_episodes, ..DemonstrationsFile::default() };
    let (observation_space, action_space) = (task.observation_space(), task.action_space());
    let spec = DemoSpec { env: task.spec(), observation_space, action_space };
    DemonstrationsConfig::Settings(settings).read(Some(&spec)).map_err(|error| error.to_string())
}

/// Two episodes of Pendulum, changed and written.
fn written(folder: &Path, change: impl FnOnce(&mut Demonstrations)) -> std::path::PathBuf {
    let mut demonstrations = pendulum(2);
    change(&mut demonstrations);
    let path = folder.join("d.hdf5");
    demonstrations.write(&path).unwrap();
    path
}

/// Refused with these words, and read once the difference is accepted.
fn refused_unless(accept: Accept, words: &str, change: impl FnOnce(&mut Demonstrations)) {
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), change);
    let refusal = read(&path, &[], false).map(drop).unwrap_err();
    assert!(refusal.contains("d.hdf5: ") && refusal.contains(words), "{refusal}\nshould say: {words}");
    assert!(refusal.contains(&format!("accept: [{}]", json!(accept).as_str().unwrap())), "{refusal}");
    read(&path, &[accept], false).unwrap();
}

/// A torque of 1.6 N m is the action 0.8 behind a wrapper that makes the action space [-1, 1], and
/// 4 in one that goes from 0 to 5.
#[test]
fn actions_are_mapped_from_the_files_box_to_the_tasks() {
    for (low, high, action) in [(-1.0, 1.0, 0.8), (0.0, 5.0, 4.5), (-2.0, 2.0, 1.6)] {
        let folder = tempfile::tempdir().unwrap();
        let path = written(folder.path(), |demonstrations| {
            demonstrations.meta.action_space = Some(BoxSpace::uniform(1, low, high));
            demonstrations.meta.wrappers = vec![json!({"name": "RescaleAction"})];
            demonstrations.episodes.iter_mut().for_each(|episode| episode.actions.fill(action));
        });
        let read = read(&path, &[], false).unwrap();
        assert!(read.episodes.iter().flat_map(|episode| &episode.actions).all(|x| (x - 1.6).abs() < 1e-12));
        assert_eq!(read.meta.action_space, Some(BoxSpace::uniform(1, -2.0, 2.0)));
        let told = format!("[{low}, {high}], that of the task [-2, 2]");
        assert_eq!(read.notes.iter().any(|note| note.contains(&told)), low != -2.0, "{:?}", read.notes);
    }
}

#[test]
fn spaces_without_a_map_between_them_are_refused() {
    refused_unless(Accept::Spaces, "its actions has the bounds [-inf, inf], that of the task [-2, 2]", |odd| {
        odd.meta.action_space = Some(BoxSpace::uniform(1, f64::NEG_INFINITY, f64::INFINITY));
    });
    refused_unless(Accept::Spaces, "coordinate 2 of its observations has the bounds [-4, 8]", |odd| {
        odd.meta.observation_space = Some(BoxSpace { low: vec![-1.0, -1.0, -4.0], high: vec![1.0, 1.0, 8.0] });
    });
}

#[test]
fn wrappers_are_refused_unless_they_change_nothing() {
    refused_unless(Accept::Wrappers, "behind the wrapper NormalizeObservation, the task has none", |odd| {
        odd.meta.wrappers = vec![json!({"name": "RecordEpisodeStatistics"}), json!({"name": "NormalizeObservation"})];
        odd.meta.observation_space = Some(BoxSpace::uniform(3, f64::NEG_INFINITY, f64::INFINITY));
    });
    let folder = tempfile::tempdir().unwrap();
    let (path, rescaled) =
        (folder.path().join("d.hdf5"), r#"{"id": "Pendulum-v1", "additional_wrappers": [{"name": "RescaleAction"}]}"#);
    minari(&path, &["episode_0"], |builder| builder.set_attr("env_spec", AttrValue::String(rescaled.into())));
    assert!(read(&path, &[], false).map(drop).unwrap_err().contains("behind the wrapper RescaleAction, the task has"));
    let harmless = |odd: &mut Demonstrations| odd.meta.wrappers = vec![json!({"name": "RecordEpisodeStatistics"})];
    let read = read(&written(folder.path(), harmless), &[], false).unwrap();
    assert_eq!(read.meta.wrapper_names(), ["RecordEpisodeStatistics"]);
}

#[test]
fn options_are_compared_with_the_tasks_own_and_its_defaults() {
    let set = |name: &str, value: Value| {
        let name = name.to_owned();
        move |odd: &mut Demonstrations| {
            odd.meta.env.as_mut().unwrap().options.insert(name, value);
        }
    };
    refused_unless(Accept::Options, "with g: 9.81, the task has g: 10.0", set("g", json!(9.81)));
    refused_unless(Accept::Options, "with wind: 1, the task has wind: null", set("wind", json!(1)));
    for (name, value) in [("g", json!(10)), ("render_mode", json!("human")), ("max_episode_steps", json!(50))] {
        let folder = tempfile::tempdir().unwrap();
        read(&written(folder.path(), set(name, value)), &[], false).unwrap();
    }
}

/// One number an episode and step; `name` can be replaced.
fn minari(path: &Path, episodes: &[&str], spoil: impl Fn(&mut FileBuilder)) {
    let mut builder = FileBuilder::new();
    for name in episodes {
        let mut group = builder.create_group(name);
        group.create_dataset("observations").with_f64_data(&[0.5; 12]).with_shape(&[4, 3]);
        group.create_dataset("actions").with_f64_data(&[0.5; 3]).with_shape(&[3, 1]);
        group.create_dataset("rewards").with_f64_data(&[1.0; 3]);
        group.create_dataset("terminations").with_u8_data(&[0, 0, 0]);
        group.create_dataset("truncations").with_u8_data(&[0, 0, 0]);
        builder.add_group(group.finish());
    }
    spoil(&mut builder);
    builder.write(path).unwrap();
}

#[test]
fn attributes_of_the_root_are_the_metadata_of_older_files() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("main_data.hdf5");
    let spec = r#"{"id": "Hopper-v5", "kwargs": {"healthy_z_range": [0.7, Infinity]}, "additional_wrappers": [{"name": "X"}]}"#;
    let space = r#"{"type": "Box", "low": [-Infinity], "high": [1.0]}"#;
    minari(&path, &["episode_0"], |builder| {
        builder.set_attr("env_spec", AttrValue::VarLenString(spec.into()));
        builder.set_attr("action_space", AttrValue::String(space.into()));
        builder.set_attr("author", AttrValue::String("A".into()));
        builder.set_attr("total_episodes", AttrValue::I64(1));
    });
    let meta = Demonstrations::read(&path, None).unwrap().meta;
    let env = meta.env.as_ref().unwrap();
    assert_eq!((env.id.as_str(), &env.options["healthy_z_range"]), ("Hopper-v5", &json!([0.7, "inf"])));
    assert_eq!((meta.wrapper_names(), &meta.extra["author"]), (vec!["X"], &json!("A")));
    assert_eq!(meta.action_space, Some(BoxSpace { low: vec![f64::NEG_INFINITY], high: vec![1.0] }));
    assert!(read(&path, &[], false).unwrap_err().contains("holds demonstrations of Hopper-v5, expected Pendulum-v1"));
    // Since Minari 0.5 they stand beside the file.
    std::fs::write(folder.path().join("metadata.json"), r#"{"total_steps": 4, "best": NaN}"#).unwrap();
    let refusal = Demonstrations::read(&path, None).unwrap_err().to_string();
    assert!(refusal.contains("metadata: total_steps is 4, the file has 3 steps"), "{refusal}");
    std::fs::write(folder.path().join("metadata.json"), "{").unwrap();
    assert!(Demonstrations::read(&path, None).unwrap_err().to_string().contains("metadata.json: EOF"));
}

#[test]
fn missing_episodes_are_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.hdf5");
    minari(&path, &["episode_0", "episode_2"], |_| ());
    assert!(read(&path, &[], false).unwrap_err().contains("episode_1: is missing, and episode_2 is there"));
    let read_on = read(&path, &[], true).unwrap();
    assert_eq!(read_on.episodes.len(), 2);
    assert!(read_on.notes[0].starts_with("bad episodes left out: 1 of 3"), "{:?}", read_on.notes);
    minari(&path, &["episode_0"], |builder| builder.set_attr("total_episodes", AttrValue::I64(2)));
    let refusal = read(&path, &[], false).unwrap_err();
    assert!(refusal.contains("total_episodes is 2, the file has 1 episodes"), "{refusal}");
    read(&path, &[Accept::Totals], false).unwrap();
}

#[test]
fn links_are_named_and_files_of_zeros_refused() {
    let folder = tempfile::tempdir().unwrap();
    python(folder.path(), &json!({"work": "odd", "folder": folder.path()}));
    let refusal = |name: &str| {
        let refusal = Demonstrations::read(folder.path().join(name), None).unwrap_err().to_string();
        assert!(refusal.contains(name), "{refusal}");
        refusal
    };
    for name in ["external_earliest.hdf5", "external_latest.hdf5", "soft_latest.hdf5"] {
        assert!(refusal(name).contains("episode_1: is a link to another file or place"), "{}", refusal(name));
    }
    assert!(refusal("soft_earliest.hdf5").contains("are some of them links?"));
    assert!(refusal("linked_array.hdf5").contains("episode_0/actions: is missing (links"));
    let zeros = refusal("zeros.hdf5");
    assert!(zeros.contains("episode_0/rewards: claims the shape [50000000], more than recorded numbers"), "{zeros}");
    assert_eq!(Demonstrations::read(folder.path().join("removed.hdf5"), None).unwrap().episodes.len(), 1);
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let message = Demonstrations::read("/dev/zero", None).unwrap_err().to_string();
    assert_eq!(message, "/dev/zero: is not a regular file");
    let folder = tempfile::tempdir().unwrap();
    let path = written(folder.path(), |_| ());
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.pop();
    std::fs::write(&path, bytes).unwrap();
    assert!(read(&path, &[], false).unwrap_err().contains("is cut off: it has "));
}

#[test]
fn numbers_beyond_f32_are_refused_with_their_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut demonstrations = pendulum(1);
    demonstrations.episodes[0].actions[7] = 1e300;
    let refusal = demonstrations.write(folder.path().join("d.hdf5")).unwrap_err().to_string();
    assert!(
        refusal.ends_with("episode_0/actions: is 1e300 at row 7, coordinate 0, beyond the range of f32"),
        "{refusal}"
    );
}

/// Flags of the three steps of an episode.
fn with_flags(path: &Path, terminations: [u8; 3], truncations: [u8; 3]) {
    let mut builder = FileBuilder::new();
    for (name, flags) in [("episode_0", [[0, 0, 0], [0, 0, 1]]), ("episode_1", [terminations, truncations])] {
        let mut group = builder.create_group(name);
        group.create_dataset("observations").with_f64_data(&[0.5; 12]).with_shape(&[4, 3]);
        group.create_dataset("actions").with_f64_data(&[0.5; 3]).with_shape(&[3, 1]);
        group.create_dataset("rewards").with_f64_data(&[1.0; 3]);
        group.create_dataset("terminations").with_u8_data(&flags[0]);
        group.create_dataset("truncations").with_u8_data(&flags[1]);
        builder.add_group(group.finish());
    }
    builder.write(path).unwrap();
}

#[test]
fn an_end_in_the_middle_makes_an_episode_bad_and_no_end_cuts_it_off() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("d.hdf5");
    for (terminations, truncations, name) in
        [([0, 1, 0], [0, 0, 1], "terminations"), ([0, 0, 1], [0, 1, 0], "truncations")]
    {
        with_flags(&path, terminations, truncations);
        let refusal = read(&path, &[], false).unwrap_err();
        let words = format!("episode_1/{name}: is true at row 1, in the middle of the episode, which has 3 steps");
        assert!(refusal.contains(&words), "{refusal}");
        let sound = read(&path, &[], true).unwrap();
        assert_eq!(sound.episodes.len(), 1);
        assert!(sound.notes[0].contains("bad episodes left out: 1 of 2; the first: episode_1/"), "{:?}", sound.notes);
    }
    let end = |terminations, truncations| {
        with_flags(&path, terminations, truncations);
        let episode = &read(&path, &[], false).unwrap().episodes[1];
        (episode.terminations[2], episode.truncations[2])
    };
    assert_eq!(end([0, 0, 0], [0, 0, 0]), (false, true));
    assert_eq!(end([0, 0, 1], [0, 0, 1]), (true, true));
}

/// A flat file of one coordinate, from which each row leads to the value beside it.
fn flat(path: &Path, rows: &[(f64, f64)], terminals: &[u8], timeouts: &[u8]) {
    let (obs, next): (Vec<f64>, Vec<f64>) = rows.iter().copied().unzip();
    let (mut builder, n) = (FileBuilder::new(), rows.len() as u64);
    builder.create_dataset("observations").with_f64_data(&obs).with_shape(&[n, 1]);
    builder.create_dataset("next_observations").with_f64_data(&next).with_shape(&[n, 1]);
    builder.create_dataset("actions").with_f64_data(&obs).with_shape(&[n, 1]);
    builder.create_dataset("rewards").with_f64_data(&obs);
    builder.create_dataset("terminals").with_u8_data(terminals);
    builder.create_dataset("timeouts").with_u8_data(timeouts);
    builder.write(path).unwrap();
}

#[test]
fn flat_files_are_split_at_resets_without_a_mark() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.hdf5");
    // Rounded to f32, 0.1 is another number, but no other state.
    let rows = [(0.0, 0.1), (f64::from(0.1_f32), 0.2), (10.0, 10.1), (10.1, 10.2)];
    flat(&path, &rows, &[0; 4], &[0; 4]);
    let read = Demonstrations::read(&path, None).unwrap();
    let lengths: Vec<usize> = read.episodes.iter().map(|episode| episode.len()).collect();
    assert_eq!(lengths, [2, 2]);
    assert_eq!(read.episodes[0].observations[2], 0.2);
    assert!(read.episodes.iter().all(|episode| episode.truncations == [false, true]));
    assert!(read.notes[0].starts_with("resets without a mark: 1, the first after row 1,"), "{:?}", read.notes);
}

#[test]
fn a_terminal_from_which_a_flat_file_goes_on_makes_the_episode_bad() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flat.hdf5");
    let rows = [(0.0, 0.1), (5.0, 5.1), (5.1, 5.2), (5.2, 5.3), (7.0, 7.0), (7.0, 7.0)];
    flat(&path, &rows, &[1, 0, 1, 1, 1, 0], &[0; 6]);
    let refusal = Demonstrations::read(&path, None).unwrap_err().to_string();
    assert!(refusal.contains("episode 1: terminals: is true at row 2, step 1, but row 3 goes on"), "{refusal}");
    let settings = DemonstrationsFile { file: path, skip_bad_episodes: true, ..DemonstrationsFile::default() };
    let read = DemonstrationsConfig::Settings(settings).read(None).unwrap();
    // Where nothing moves, a reset cannot be told from going on: the mark holds.
    assert_eq!(read.episodes.iter().map(|episode| episode.observations[0]).collect::<Vec<_>>(), [0.0, 7.0, 7.0]);
}

#[test]
fn an_interval_without_an_end_is_infinity_in_pythons_json() {
    let folder = tempfile::tempdir().unwrap();
    let range = ("healthy_z_range".to_owned(), json!([0.7, "inf"]));
    let mut env = make("Hopper-v5", &[range.clone()].into()).unwrap();
    let (mut obs, action) = (vec![0.0; 11], [0.0; 3]);
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    let mut episode = liprl_agents::demos::Episode::begin(Some(0), &obs, &[]);
    let step = env.step(&action, &mut obs).unwrap();
    episode.push(&action, &step, &obs, &[]);
    let mut demonstrations = pendulum(1);
    demonstrations.meta.env = Some(env.spec().clone());
    demonstrations.meta.observation_space = Some(env.observation_space().clone());
    demonstrations.meta.action_space = Some(env.action_space().clone());
    episode.truncations = vec![true];
    demonstrations.episodes = vec![episode];
    demonstrations.write(folder.path().join("hopper.hdf5")).unwrap();
    let recovered = python(folder.path(), &json!({"work": "recover", "name": "hopper-v0"}));
    assert_eq!(recovered["kwargs"], "{'healthy_z_range': [0.7, inf]}");
    let read = Demonstrations::read(folder.path().join("hopper-v0"), None).unwrap();
    assert_eq!(read.meta.env.unwrap().options, [range].into());
    // As Gymnasium itself writes it.
    let theirs = python(folder.path(), &json!({"work": "spec", "kwargs": "{'healthy_z_range': (-inf, inf)}"}));
    let path = folder.path().join("theirs.hdf5");
    minari(&path, &["episode_0"], |builder| {
        builder.set_attr("env_spec", AttrValue::String(theirs["spec"].as_str().unwrap().to_owned()));
    });
    let options = Demonstrations::read(&path, None).unwrap().meta.env.unwrap().options;
    assert_eq!(options["healthy_z_range"], json!(["-inf", "inf"]));
}
