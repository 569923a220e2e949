//! Environments in Python: against native ones, against Gymnasium itself, and those that misbehave.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)] // a test that cannot go on should say so

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use liprl_envs::python::{self, PythonConfig, PythonWrapper, Verdict, repetition};
use liprl_envs::{Env, EnvError, NumpyRng, Options, make};
use serde_json::{Value, json};

/// The Python that setup made, or LIPRL_PYTHON.
fn interpreter() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.deps/venv/bin/python");
    let python = std::env::var_os("LIPRL_PYTHON").map_or(own, PathBuf::from);
    assert!(python.is_file(), "no {}: run `cargo xtask setup --test`", python.display());
    python
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/environments")
}

fn config() -> PythonConfig {
    PythonConfig { interpreter: Some(interpreter()), folder: Some(folder()), ..PythonConfig::default() }
}

fn options(value: Value) -> Options {
    serde_json::from_value(value).unwrap()
}

/// A class of odd.py.
fn odd(class: &str, kwargs: Value) -> Result<Box<dyn Env>, EnvError> {
    odd_with(class, kwargs, config())
}

fn odd_with(class: &str, kwargs: Value, config: PythonConfig) -> Result<Box<dyn Env>, EnvError> {
    python::make(&format!("odd:{class}"), &options(kwargs), &PythonConfig { is_class: true, ..config })
}

fn refusal(made: Result<Box<dyn Env>, EnvError>) -> (Option<&'static str>, String) {
    match made.err().expect("it cannot be used") {
        EnvError::Python { setting, problem, .. } => (setting, problem),
        other => panic!("{other}"),
    }
}

fn actions(env: &dyn Env, steps: usize) -> Vec<Vec<f64>> {
    let mut rng = NumpyRng::derived(3, 1);
    let (low, high) = (&env.action_space().low, &env.action_space().high);
    // Gymnasium squares, sums and weighs f32 actions in f32, which is exact for numbers of few bits.
    let draw = |rng: &mut NumpyRng, i: usize| (64.0 * rng.uniform(low[i], high[i])).round() / 64.0;
    (0..steps).map(|_| (0..low.len()).map(|i| draw(&mut rng, i)).collect()).collect()
}

/// Observations, rewards and flags of an episode's beginning, as bits.
fn play(env: &mut dyn Env, seed: Option<u64>, actions: &[Vec<f64>]) -> Vec<u64> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(seed, &Options::new(), &mut obs).unwrap();
    let mut seen: Vec<u64> = obs.iter().map(|x| x.to_bits()).collect();
    seen.extend(go_on(env, actions));
    seen
}

fn go_on(env: &mut dyn Env, actions: &[Vec<f64>]) -> Vec<u64> {
    let (mut obs, mut seen) = (vec![0.0; env.observation_space().dim()], Vec::new());
    for action in actions {
        let step = env.step(action, &mut obs).unwrap();
        seen.extend(obs.iter().chain([&step.reward]).map(|x| x.to_bits()));
        seen.push(u64::from(step.terminated) + 2 * u64::from(step.truncated));
        if step.done() {
            env.reset(None, &Options::new(), &mut obs).unwrap();
            seen.extend(obs.iter().map(|x| x.to_bits()));
        }
    }
    seen
}

#[test]
fn hopper_in_python_equals_the_native_one() {
    let names = ["x_position", "x_velocity", "reward_forward", "reward_survive", "reward_ctrl"];
    let config = PythonConfig { info: names.map(str::to_owned).to_vec(), ..config() };
    let (mut largest, mut terminated) = (0.0f64, 0);
    for seed in [1, 7, 2_147_483_647] {
        let kwargs = options(json!({"ctrl_cost_weight": 0.007_812_5}));
        let mut ours = make("Hopper-v5", &kwargs).unwrap();
        let mut theirs = python::make("Hopper-v5", &kwargs, &config).unwrap();
        assert_eq!(ours.observation_space(), theirs.observation_space());
        assert_eq!(ours.action_space(), theirs.action_space());
        assert_eq!((theirs.spec().max_episode_steps, &theirs.spec().options), (Some(1000), &kwargs));
        let (mut a, mut b) = (vec![0.0; 11], vec![0.0; 11]);
        let mut same = |a: f64, b: f64, what: &str| {
            largest = largest.max((a - b).abs() / b.abs().max(1.0));
            assert!(largest <= 1e-10, "{what}: {a} {b}");
        };
        for (episode, actions) in actions(&*ours, 200).chunks(100).enumerate() {
            let seed = seed - episode as u64;
            ours.reset(Some(seed), &Options::new(), &mut a).unwrap();
            theirs.reset(Some(seed), &Options::new(), &mut b).unwrap();
            a.iter().zip(&b).for_each(|(a, b)| same(*a, *b, "reset"));
            for action in actions {
                let (one, other) = (ours.step(action, &mut a).unwrap(), theirs.step(action, &mut b).unwrap());
                a.iter().zip(&b).for_each(|(a, b)| same(*a, *b, "obs"));
                same(one.reward, other.reward, "reward");
                assert_eq!((one.terminated, one.truncated), (other.terminated, other.truncated));
                for (name, value) in theirs.info() {
                    let own = ours.info().iter().find(|(own, _)| own == name).unwrap().1;
                    same(own, *value, name);
                }
                assert_eq!(theirs.info().len(), names.len());
                if one.done() {
                    terminated += usize::from(one.terminated);
                    break;
                }
            }
        }
    }
    assert!(terminated > 0);
    println!("largest difference {largest:.1e}");
}

/// The order of keys, nested and not sorted, and parts of every shape and type.
#[test]
fn an_observation_of_parts_is_flattened_as_gymnasium_does() {
    let parts = equals_gymnasium("Odd/Nested-v0", "odd", &interpreter());
    assert_eq!(parts, ["a.0", "a.1", "m.b", "m.y", "z"]);
}

/// Compares a worker's numbers with Gymnasium's own, to the bit; returns the names of the parts.
fn equals_gymnasium(id: &str, import: &str, interpreter: &Path) -> Vec<String> {
    let config =
        PythonConfig { interpreter: Some(interpreter.to_owned()), import: vec![import.to_owned()], ..config() };
    let mut env = python::make(id, &Options::new(), &config).unwrap_or_else(|error| {
        panic!("{error}\n(`cargo xtask setup --test` installs what the tests need)");
    });
    let actions = actions(&*env, 40);
    let request = json!({"id": id, "import": [import], "seed": 5, "actions": actions}).to_string();
    let output = Command::new(interpreter).arg(folder().join("plain.py")).arg(request).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let theirs: Value = serde_json::from_slice(&output.stdout).unwrap();
    let numbers = |x: &[f64]| json!(x.iter().map(|x| x.is_finite().then_some(*x)).collect::<Vec<_>>());
    let space = env.observation_space();
    assert_eq!((numbers(&space.low), numbers(&space.high)), (theirs["low"].clone(), theirs["high"].clone()));
    let mut obs = vec![0.0; space.dim()];
    env.reset(Some(5), &Options::new(), &mut obs).unwrap();
    assert_eq!(json!(obs), theirs["rows"][0]);
    for (index, action) in actions.iter().enumerate() {
        let step = env.step(action, &mut obs).unwrap();
        let flags = [step.terminated, step.truncated].map(|flag| f64::from(u8::from(flag)));
        let row = [&obs[..], &[step.reward, flags[0], flags[1]]].concat();
        assert_eq!(json!(row), theirs["rows"][1 + index], "{id}, step {index}");
    }
    let parts = &env.spec().python.as_ref().unwrap().observation;
    parts.iter().map(|part| part.name.clone()).collect()
}

#[test]
fn dm_control_through_shimmy_equals_gymnasium() {
    let parts = equals_gymnasium("dm_control/cheetah-run-v0", "shimmy", &interpreter());
    assert_eq!(parts, ["position", "velocity"]);
}

/// Gymnasium-Robotics 1.4.2 does not build FetchReach with MuJoCo 3.17, which all else is compared
/// with, so it needs a Python of its own.
#[test]
#[ignore = "needs LIPRL_ROBOTICS_PYTHON, a Python with gymnasium 1.4.0, gymnasium-robotics 1.4.2 and mujoco 3.3.0"]
fn fetch_reach_of_gymnasium_robotics_equals_gymnasium() {
    let interpreter = std::env::var_os("LIPRL_ROBOTICS_PYTHON").expect("LIPRL_ROBOTICS_PYTHON names a Python");
    let parts = equals_gymnasium("FetchReach-v4", "gymnasium_robotics", Path::new(&interpreter));
    assert_eq!(parts, ["achieved_goal", "desired_goal", "observation"]);
}

#[test]
fn spaces_that_are_not_boxes_are_refused_by_name() {
    for (class, words) in [
        ("Moves", "its actions are Discrete (Discrete(4))"),
        ("Presses", "its actions are MultiBinary"),
        ("Unbounded", "its action 0 is in [-inf, inf]"),
        ("Sees", "its observation is an image (uint8, shape (8, 8, 3))"),
        ("Counts", "its observation `count` is Discrete (Discrete(5))"),
    ] {
        let (setting, problem) = refusal(odd(class, json!({})));
        assert!(setting == Some("entry") && problem.contains(words), "{class}: {setting:?} {problem}");
    }
}

#[test]
fn what_cannot_be_made_is_told_with_its_setting_and_remedy() {
    let made = |id: &str, config: PythonConfig| refusal(python::make(id, &Options::new(), &config));
    let with = |change: &dyn Fn(&mut PythonConfig)| {
        let mut config = config();
        change(&mut config);
        config
    };
    let cases = [
        (made("Hoper-v5", config()), "python", "Environment `Hoper` doesn't exist."),
        (made("Hopper-v9", config()), "python", "import: [module]"),
        (made("dm_nothing/x-v0", config()), "python", "import: [module]"),
        (made("Hopper-v5", with(&|c| c.import = vec!["no_such".into()])), "import", "No module named 'no_such'"),
        (made("Hopper-v5", with(&|c| c.interpreter = Some("/no/python".into()))), "interpreter", "cannot be started"),
        (
            made("Hopper-v5", with(&|c| c.interpreter = Some("/bin/true".into()))),
            "",
            "ended by itself with exit code 0",
        ),
        (refusal(odd("Nothing", json!({}))), "entry", "the module `odd` has no `Nothing`"),
        (refusal(odd("factory", json!({}))), "entry", "`odd:factory` is not an environment"),
        (refusal(odd("Well", json!({"size": 3}))), "entry", "unexpected keyword argument 'size'"),
        (refusal(odd_with("Well", json!({}), wrapped("odd:Well"))), "wrappers", "`odd:Well` is not a wrapper"),
        (refusal(odd_with("Well", json!({}), wrapped("Doubled"))), "wrappers", "has no `Doubled`"),
    ];
    for ((setting, problem), expected, words) in cases {
        assert!(
            setting.unwrap_or_default() == expected && problem.contains(words),
            "{expected}: {setting:?} {problem}"
        );
    }
}

fn wrapped(class: &str) -> PythonConfig {
    let wrapper = PythonWrapper { class: class.to_owned(), kwargs: Options::new() };
    PythonConfig { wrappers: vec![wrapper], ..config() }
}

#[test]
fn a_python_without_gymnasium_is_told_with_the_command_that_installs_it() {
    let folder = tempfile::tempdir().unwrap();
    let bare = folder.path().join("python");
    // Without its site-packages no Python has gymnasium.
    let text = format!("#!/bin/sh\nexec {} -S \"$@\"\n", interpreter().display());
    std::fs::write(&bare, text).unwrap();
    std::fs::set_permissions(&bare, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = PythonConfig { interpreter: Some(bare.clone()), ..config() };
    let (setting, problem) = refusal(python::make("Hopper-v5", &Options::new(), &config));
    assert_eq!(setting, Some("interpreter"));
    let command = format!("`{} -m pip install gymnasium`", bare.display());
    assert!(problem.contains("has no gymnasium") && problem.contains(&command), "{problem}");
}

/// Steps until something happens.
fn trouble(class: &str, config: PythonConfig) -> (String, Box<dyn Env>) {
    let mut env = odd_with(class, json!({}), config).unwrap();
    let mut obs = vec![0.0; env.observation_space().dim()];
    let action = vec![0.5; env.action_space().dim()];
    let mut over = true;
    for _ in 0..40 {
        let result = match over {
            true => env.reset(over.then_some(5), &Options::new(), &mut obs).map(|()| false),
            false => env.step(&action, &mut obs).map(|step| step.done()),
        };
        match result {
            Ok(done) => over = done,
            Err(error) => return (error.to_string(), env),
        }
    }
    panic!("{class}: nothing happened");
}

#[test]
fn each_misbehaviour_has_its_message() {
    for (class, words) in [
        (
            "Raises",
            &["odd:Raises: ValueError: the leg is broken", "odd.py:", "after 2 steps of the episode of seed 5"][..],
        ),
        ("Exits", &["SystemExit: 3"]),
        ("Vanishes", &["its Python process ended by itself with exit code 7", "after 2 steps"]),
        ("Crashes", &["crashed in native code (signal 11, SIGSEGV)", "about to crash", "Fatal Python error", "odd.py"]),
        ("Grows", &["its observation space has changed from Box(-inf, inf, (3,), float64) to Box(-inf, inf, (4,)"]),
        ("WrongShape", &["the observation has the shape (1,), its space says (3,)"]),
        ("Missing", &["the observation has no `m.y`, its space has"]),
        ("NoNumber", &["number 1 of the observation is NaN, after 2 steps"]),
        ("NoReward", &["the reward is NaN"]),
    ] {
        let (error, mut env) = trouble(class, config());
        for words in words {
            assert!(error.contains(words), "{class}: {words}\n{error}");
        }
        if class == "Raises" || class == "Vanishes" {
            let again = env.step(&[0.0], &mut [0.0; 3]).unwrap_err().to_string();
            assert!(again.contains("its Python process has ended"), "{again}");
        }
    }
}

#[test]
fn a_hang_ends_at_the_time_limit_and_shows_its_place() {
    let started = Instant::now();
    let config = PythonConfig { time_limit: Duration::from_secs(5), ..config() };
    let (error, _) = trouble("Hangs", config);
    assert!(started.elapsed() < Duration::from_secs(60));
    assert!(error.contains("no answer from Python within 5 s after 2 steps"), "{error}");
    assert!(error.contains("in happen") && error.contains("time_limit"), "{error}");
}

#[test]
fn prints_do_not_reach_the_wire_but_the_log() {
    let run = tempfile::tempdir().unwrap();
    let mut env = odd("Prints", json!({})).unwrap();
    let actions = actions(&*env, 3);
    let unheard = play(&mut *odd("Well", json!({})).unwrap(), Some(4), &actions);
    env.work_in(run.path()).unwrap();
    assert_eq!(play(&mut *env, Some(4), &actions), unheard);
    drop(env);
    let log = std::fs::read_to_string(run.path().join("python.log")).unwrap();
    for (line, count) in [("odd.py is imported\n", 1), ("a line on stdout\n", 3), ("a line of a child\n", 3)] {
        assert_eq!(log.matches(line).count(), count, "{log}");
    }
}

/// A start-up file prints before the worker's program begins.
#[test]
fn prints_of_an_interpreters_start_up_are_passed_over() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("sitecustomize.py"), "import os; os.write(1, b'welcome\\n')").unwrap();
    let loud = site.path().join("python");
    let text = format!("#!/bin/sh\nPYTHONPATH={} exec {} \"$@\"\n", site.path().display(), interpreter().display());
    std::fs::write(&loud, text).unwrap();
    std::fs::set_permissions(&loud, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = PythonConfig { interpreter: Some(loud), ..config() };
    let mut env = odd_with("Well", json!({}), config).unwrap();
    env.work_in(site.path()).unwrap();
    assert!(std::fs::read_to_string(site.path().join("python.log")).unwrap().contains("welcome\n"));
}

#[test]
fn wrappers_kwargs_time_limits_infos_and_reset_options_reach_the_environment() {
    let plain = PythonConfig { import: vec!["odd".into()], info: vec!["drift".into()], ..config() };
    let double = |kwargs: Value| PythonWrapper { class: "odd:Double".into(), kwargs: options(kwargs) };
    let wrapped = PythonConfig { wrappers: vec![double(json!({})), double(json!({"by": 5}))], ..plain.clone() };
    let mut one = python::make("Odd/Well-v0", &options(json!({"scale": 0.5})), &plain).unwrap();
    let mut other =
        python::make("Odd/Well-v0", &options(json!({"scale": 0.5, "max_episode_steps": 2})), &wrapped).unwrap();
    assert_eq!((one.spec().max_episode_steps, other.spec().max_episode_steps), (Some(15), Some(2)));
    let (mut a, mut b) = ([0.0; 3], [0.0; 3]);
    let first = options(json!({"first": 7.5}));
    one.reset(Some(1), &first, &mut a).unwrap();
    other.reset(Some(1), &first, &mut b).unwrap();
    assert_eq!((a[0], one.info().len()), (7.5, 0));
    for count in 1..=2 {
        let (own, theirs) = (one.step(&[1.0], &mut a).unwrap(), other.step(&[1.0], &mut b).unwrap());
        assert_eq!((10.0 * own.reward, a, own.truncated), (theirs.reward, b, false));
        assert_eq!(theirs.truncated, count == 2);
        assert_eq!(one.info(), [("drift", a[0])]);
    }
    let word = PythonConfig { info: vec!["word".into()], ..plain };
    let mut env = python::make("Odd/Well-v0", &Options::new(), &word).unwrap();
    env.reset(Some(1), &Options::new(), &mut a).unwrap();
    let error = env.step(&[0.0], &mut a).unwrap_err().to_string();
    assert!(error.contains("the info `word` is not a number but 'x'"), "{error}");
}

#[test]
fn a_saved_episode_goes_on_in_another_process_to_the_bit() {
    for (id, config) in [("Hopper-v5", config()), ("Pendulum-v1", config()), ("Odd/Well-v0", config())] {
        let config = PythonConfig { import: vec!["odd".into()], ..config };
        let new = || python::make(id, &Options::new(), &config).unwrap();
        let (mut whole, mut other) = (new(), new());
        let all = actions(&*whole, 70);
        play(&mut *whole, Some(11), &all[..30]);
        let saved = whole.save();
        let rest = go_on(&mut *whole, &all[30..]);
        play(&mut *other, Some(3), &all[..13]);
        other.restore(&saved).unwrap();
        assert_eq!(other.save(), saved);
        assert_eq!(go_on(&mut *other, &all[30..]), rest, "{id}");
    }
}

#[test]
fn an_episode_that_does_not_repeat_is_told_and_the_environment_goes_on() {
    for class in ["Remembers", "Random"] {
        let mut env = odd(class, json!({})).unwrap();
        let all = actions(&*env, 12);
        play(&mut *env, Some(1), &all);
        let saved = env.save();
        let mut other = odd(class, json!({})).unwrap();
        if class == "Remembers" {
            play(&mut *other, Some(2), &all[..1]);
        }
        let error = other.restore(&saved).unwrap_err();
        assert!(matches!(error, EnvError::Unrepeatable { steps: 12, .. }), "{error}");
        assert!(matches!(other.restore(&other.save()), Err(EnvError::Unrepeatable { .. }) | Ok(())));
        play(&mut *other, None, &all[..3]);
    }
}

#[test]
fn an_environments_own_state_is_used_unless_a_wrapper_would_lose_its_own() {
    let kwargs = json!({"max_episode_steps": 14});
    let mut env = odd("Keeps", kwargs.clone()).unwrap();
    let all = actions(&*env, 25);
    play(&mut *env, Some(1), &all[..10]);
    let saved = env.save();
    let rest = go_on(&mut *env, &all[10..]);
    let mut other = odd("Keeps", kwargs.clone()).unwrap();
    play(&mut *other, Some(9), &all[..5]);
    other.restore(&saved).unwrap();
    assert_eq!(go_on(&mut *other, &all[10..]), rest, "the time limit's count too");

    let mut wrapped = odd_with("Keeps", kwargs, wrapped("odd:Double")).unwrap();
    play(&mut *wrapped, Some(1), &all[..10]);
    let saved = wrapped.save();
    assert!(matches!(wrapped.restore(&saved), Err(EnvError::Unrepeatable { .. })), "it is replayed");
}

#[test]
fn an_environment_is_held_against_itself() {
    let verdict = |class: &str| {
        let config = PythonConfig { is_class: true, ..config() };
        repetition(&format!("odd:{class}"), &Options::new(), &config).unwrap().verdict
    };
    assert_eq!(verdict("Well"), Verdict::Repeats);
    assert_eq!(verdict("Random"), Verdict::ProcessesDiffer(1));
    assert_eq!(verdict("Remembers"), Verdict::HistoryMatters(1));
    assert!(matches!(verdict("Forgets"), Verdict::StateDiffers(_) | Verdict::HistoryMatters(_)));
    let hopper = repetition("Hopper-v5", &Options::new(), &config()).unwrap();
    assert_eq!((hopper.verdict, hopper.steps, hopper.saves_state), (Verdict::Repeats, 50, false));
}

#[test]
fn pictures_are_drawn_by_a_process_made_to_draw() {
    let mut env = odd("Well", json!({})).unwrap();
    let all = actions(&*env, 6);
    play(&mut *env, Some(1), &all[..4]);
    let mut plain = odd("Well", json!({})).unwrap();
    play(&mut *plain, Some(1), &all[..4]);
    let frame = env.render().unwrap();
    assert_eq!((frame.width, frame.height, frame.rgb.len()), (6, 4, 72));
    assert_eq!(go_on(&mut *env, &all[4..]), go_on(&mut *plain, &all[4..]), "drawing changes nothing");
    let mut obs = [0.0; 3];
    env.step(&[0.3], &mut obs).unwrap();
    let level = (100.0 + 50.0 * obs[0]).clamp(0.0, 255.0) as u8;
    assert!(env.render().unwrap().rgb.iter().all(|byte| *byte == level));
}

/// True if a process is there and has not ended.
fn lives(pid: &str) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

/// The workers that this process has started, by what they were told.
fn workers(pid: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("children")).ok());
    children.flat_map(|list| list.split_whitespace().map(str::to_owned).collect::<Vec<_>>()).collect()
}

#[test]
fn a_worker_ends_with_its_environment() {
    let before = workers(std::process::id());
    let mut env = odd("Well", json!({})).unwrap();
    env.reset(Some(1), &Options::new(), &mut [0.0; 3]).unwrap();
    let own: Vec<String> = workers(std::process::id()).into_iter().filter(|pid| !before.contains(pid)).collect();
    drop(env);
    // Tests run side by side, so others' workers may be among them for a while.
    let deadline = Instant::now() + Duration::from_secs(60);
    while own.iter().any(|pid| lives(pid)) {
        assert!(Instant::now() < deadline, "{own:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
