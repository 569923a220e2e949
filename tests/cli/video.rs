//! Videos: their pictures are looked at, by readers that are not ours.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use liprl_envs::{Frame, Options, make, set_render_worker};
use serde_json::{Value, json};

use crate::runs::{
    SMALL, assert_same_traces, python, small_agent, small_run, start, train, train_through, wait_for_checkpoints,
    wait_until, write_config,
};
use crate::support::{finish, liprl, root, text};

/// Sets where EGL finds drivers: nowhere.
const WITHOUT_EGL: (&str, &str) = ("__EGL_VENDOR_LIBRARY_FILENAMES", "/nowhere.json");
const PACKAGES: &str = "apt-get install libegl1 libegl-mesa0 libgl1-mesa-dri";

/// A config whose policy, hardly trained, moves a MuJoCo robot for a few steps.
const HOPPER: &str = "
env: {id: Hopper-v5, max_episode_steps: 40}
steps: 120
eval: {every: 60, episodes: 2}
agent: {kind: td3, learning_starts: 50, batch_size: 16, actor: &net {hidden: [8]}, critic: *net}
";

/// A short run on Gymnasium's pendulum, which needs no EGL to be drawn.
fn pendulum(folder: &Path) -> PathBuf {
    let config = format!("{SMALL}{}", small_agent("td3"));
    small_run(folder, &config, "400")
}

fn ask(script: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(python());
    if let Some(ffmpeg) = ffmpeg() {
        command.env("IMAGEIO_FFMPEG_EXE", ffmpeg);
    }
    let output = command.arg(root().join("tests/cli").join(script)).args(arguments).output().expect("python starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output
}

/// Contents of a video, or of a run's event files, as a reader of another program finds them.
fn read(path: &Path) -> Value {
    serde_json::from_slice(&ask("read_video.py", &[text(path)]).stdout).expect("JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|x| x.as_f64().expect("a number")).collect()
}

/// The `ffmpeg` of this machine, or of the tests' Python.
fn ffmpeg() -> Option<PathBuf> {
    let places = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&places).map(|place| place.join("ffmpeg")).find(|path| path.is_file());
    installed.or_else(|| {
        let ask = "import imageio_ffmpeg; print(imageio_ffmpeg.get_ffmpeg_exe())";
        let output = Command::new(python()).args(["-c", ask]).output().ok()?;
        output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
    })
}

/// True if this machine can draw MuJoCo tasks. If not, says so, and checks that the program tells
/// the user.
fn can_draw() -> bool {
    set_render_worker(env!("CARGO_BIN_EXE_liprl"), &["render-worker"]);
    let mut env = make("Hopper-v5", &Options::new()).expect("the task");
    match env.render() {
        Ok(_) => true,
        Err(problem) => {
            assert!(problem.to_string().contains(PACKAGES), "{problem}");
            eprintln!("NOT TESTED, because this machine cannot draw: {problem}");
            false
        }
    }
}

fn evaluate(run: &Path, seed: &str, video: &Path) -> Command {
    liprl(["eval", text(run), "--episodes", "1", "--seed", seed, "--video", text(video)])
}

#[test]
fn a_gif_shows_the_first_episode_in_real_time() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = pendulum(folder.path());
    let film = |name: &str, seed: &str| {
        let path = folder.path().join(name);
        let (code, words, stderr) = finish(evaluate(&run, seed, &path));
        assert_eq!(code, 0, "{stderr}");
        assert!(words.contains(&format!("{}: 250×250, 201 pictures, 10.1 s\n", path.display())), "{words}");
        (read(&path), std::fs::read(&path).expect("the file"))
    };
    let (found, bytes) = film("one.gif", "7");
    // 201 states at 20 a second; Gymnasium's picture at half its size.
    assert_eq!((&found["size"], &found["frames"], &found["loops"]), (&json!([250, 250]), &json!(201), &json!(0)));
    assert_eq!(numbers(&found["delays"]).iter().sum::<f64>(), 10_050.0, "milliseconds");
    assert!(found["colours"].as_u64() >= Some(5), "{found}");
    // The rod moves: in nearly all pictures hundreds of pixels change.
    let moving = numbers(&found["moving"]);
    assert!(moving.iter().filter(|pixels| **pixels > 100.0).count() > 150, "{moving:?}");
    assert!(bytes.len() < 1_000_000, "{}", bytes.len());
    let same_seed = film("again.gif", "7").1;
    assert!(same_seed == bytes);
    assert!(film("other.gif", "8").1 != bytes);

    // JSON names the film; a sum over the episodes does not depend on it.
    let report = |more: &[&str]| {
        let mut command = liprl(["eval", text(&run), "--episodes", "2", "--json"]);
        let (code, words, stderr) = finish({
            command.args(more);
            command
        });
        assert_eq!(code, 0, "{stderr}");
        serde_json::from_str::<Value>(&words).expect("JSON")
    };
    let path = folder.path().join("two.gif");
    let (mut with, without) = (report(&["--video", text(&path)]), report(&[]));
    let video = with.as_object_mut().expect("an object").remove("video").expect("the film");
    assert_eq!((&video["file"], &video["frames"], &video["fps"]), (&json!(text(&path)), &json!(201), &json!(20.0)));
    assert_eq!(with, without);
}

/// The camera follows the robot, so the floor moves as well.
#[test]
fn mujoco_tasks_are_filmed() {
    if !can_draw() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), HOPPER, "120");
    let film = |seed: &str| {
        let path = folder.path().join(format!("{seed}.gif"));
        let (code, _, stderr) = finish(evaluate(&run, seed, &path));
        assert_eq!((code, &*stderr), (0, ""));
        (read(&path), std::fs::read(&path).expect("the file"))
    };
    let (found, bytes) = film("1");
    assert_eq!(found["size"], json!([240, 240]));
    assert!(found["frames"].as_u64() >= Some(3) && found["colours"].as_u64() > Some(30), "{found}");
    assert!(numbers(&found["moving"]).iter().all(|pixels| *pixels > 20.0), "{found}");
    // 125 steps a second, every fifth: 25 pictures a second.
    assert!(numbers(&found["delays"]).iter().all(|delay| *delay == 40.0), "{found}");
    assert!(film("1").1 == bytes && film("2").1 != bytes);
}

#[test]
fn an_mp4_shows_the_first_episode() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = pendulum(folder.path());
    let path = folder.path().join("film.mp4");
    let Some(ffmpeg) = ffmpeg() else {
        eprintln!("NOT TESTED, because neither this machine nor its Python has an ffmpeg");
        return;
    };
    let film = |seed: &str| {
        let mut command = evaluate(&run, seed, &path);
        command.env("IMAGEIO_FFMPEG_EXE", &ffmpeg);
        let (code, words, stderr) = finish(command);
        assert_eq!((code, &*stderr), (0, ""));
        assert!(words.contains("film.mp4: 500×500, 201 pictures, 10.1 s\n"), "{words}");
        std::fs::read(&path).expect("the file")
    };
    let bytes = film("7");
    let found = read(&path);
    assert_eq!((&found["size"], &found["frames"], &found["fps"]), (&json!([500, 500]), &json!(201), &json!(20.0)));
    assert!(found["pixels"].as_str().is_some_and(|format| format.starts_with("yuv420p")), "{found}");
    assert!(found["colours"].as_u64() >= Some(5), "{found}");
    assert!(numbers(&found["moving"]).iter().filter(|pixels| **pixels > 400.0).count() > 150, "{found}");
    assert!(film("7") == bytes && film("8") != bytes);
    // Nothing but the film and the run.
    let names = std::fs::read_dir(folder.path()).expect("the folder").map(|entry| entry.expect("one").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(names, ["film.mp4", "runs", "small.yaml"]);
}

#[test]
fn a_film_that_cannot_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = pendulum(folder.path());
    let tools = folder.path().join("tools");
    std::fs::create_dir(&tools).expect("a folder");
    let listing = || {
        let entries = std::fs::read_dir(folder.path()).expect("the folder");
        let mut names: Vec<_> = entries.map(|entry| entry.expect("one").file_name()).collect();
        names.sort();
        names
    };
    let before = listing();
    let fails = |name: &str, variables: &[(&str, &str)], code: i32, words: &[&str]| {
        let mut command = evaluate(&run, "0", &folder.path().join(name));
        command.env_remove("IMAGEIO_FFMPEG_EXE").env("PATH", &tools);
        let (found, stdout, stderr) = finish({
            command.envs(variables.iter().copied());
            command
        });
        assert_eq!((found, &*stdout), (code, ""), "{stderr}");
        assert!(words.iter().all(|words| stderr.contains(words)), "{stderr}");
        assert_eq!(listing(), before);
    };
    fails("film.avi", &[], 2, &["film.avi: the name of a video ends in .mp4 or .gif"]);
    fails("film", &[], 2, &["the name of a video ends in .mp4 or .gif"]);
    fails("nowhere/film.gif", &[], 1, &["nowhere/film.gif` cannot be written"]);
    let remedies = ["apt-get install ffmpeg", "pip install imageio-ffmpeg", "or write a .gif"];
    fails("film.mp4", &[], 1, &remedies);
    fails("film.mp4", &[("IMAGEIO_FFMPEG_EXE", "/nowhere/ffmpeg")], 1, &["/nowhere/ffmpeg cannot be started"]);
    // One that fails after some pictures, with a part of a file.
    let broken = "#!/bin/sh\nfor last; do :; done\n/usr/bin/head -c 2000000 > \"${last#file:}\"\n\
                  echo 'Unknown encoder' >&2\nexit 3\n";
    let ffmpeg = tools.join("ffmpeg");
    std::fs::write(&ffmpeg, broken).expect("a script");
    Command::new("chmod").arg("+x").arg(&ffmpeg).status().expect("chmod");
    fails("film.mp4", &[], 1, &["ffmpeg: exit status: 3: Unknown encoder"]);
    // An older film stays as it is.
    let film = folder.path().join("film.mp4");
    std::fs::write(&film, "an older film").expect("a file");
    let (code, _, _) = finish({
        let mut command = evaluate(&run, "0", &film);
        command.env_remove("IMAGEIO_FFMPEG_EXE").env("PATH", &tools);
        command
    });
    assert_eq!((code, &*std::fs::read(&film).expect("the film")), (1, &b"an older film"[..]));
}

#[test]
fn a_machine_without_egl_is_told_which_package() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = HOPPER.replace("episodes: 2", "episodes: 2, video_every: 1");
    let run = folder.path().join("run");
    let path = write_config(folder.path(), &config);
    let (code, _, stderr) = finish({
        let mut command = train(&path, &run, &["--quiet"]);
        command.env(WITHOUT_EGL.0, WITHOUT_EGL.1);
        command
    });
    assert_eq!((code, &*stderr), (0, ""), "a log never stops a run");
    let log = std::fs::read_to_string(run.join("run.log")).expect("a log");
    assert_eq!(log.matches("warning: no videos are made from here on: Hopper-v5: there is no picture").count(), 1);
    assert!(log.contains(PACKAGES), "{log}");
    assert_eq!(read(&run), json!({}));

    let film = folder.path().join("film.gif");
    let mut command = evaluate(&run, "0", &film);
    command.env(WITHOUT_EGL.0, WITHOUT_EGL.1);
    let (code, _, stderr) = finish(command);
    assert!(code == 1 && stderr.contains(PACKAGES) && !film.exists(), "{code} {stderr}");
}

/// Videos of evaluations are in TensorBoard's Images tab, and change nothing else: resumed or not.
#[test]
fn filmed_runs_equal_those_without_videos() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = format!("{SMALL}{}", small_agent("td3"));
    let path = write_config(folder.path(), &config);
    let (without, with) = (folder.path().join("without"), folder.path().join("with"));
    train_through(&path, &without, &["--quiet"]);
    let set = ["--quiet", "--set", "eval.video_every=2"];
    let mut child = start(&mut train(&path, &with, &set));
    wait_for_checkpoints(&mut child, &with, 900);
    child.kill().expect("killed");
    child.wait().expect("it ends");
    train_through(&path, &with, &[&set[..], &["--resume"]].concat());
    assert_same_traces(&without, &with);
    assert_eq!(read(&without), json!({}));
    let found = read(&with);
    let films = found["eval/video"].as_array().expect("films");
    // Evaluations every 400 steps, every second filmed.
    assert_eq!(films.iter().map(|film| film["step"].as_u64()).collect::<Vec<_>>(), [800, 1600, 2400].map(Some));
    for film in films {
        assert_eq!((&film["size"], &film["told"]), (&json!([166, 166]), &json!([166, 166])));
        // 201 states at 20 a second, every second one.
        assert_eq!(film["frames"], 101);
        assert!(film["bytes"].as_u64() < Some(1_000_000) && film["colours"].as_u64() >= Some(5), "{film}");
        assert!(numbers(&film["moving"]).iter().filter(|pixels| **pixels > 40.0).count() > 50, "{film}");
    }
}

#[test]
fn a_recording_is_filmed() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = "env: {id: UprightPendulum-v0, max_episode_steps: 30}\nsteps: 100\nagent: {kind: td3}\n";
    let config = write_config(folder.path(), config);
    let (plain, filmed, video) = ["plain.hdf5", "filmed.hdf5", "film.gif"].map(|name| folder.path().join(name)).into();
    let record = |out: &Path, more: &[&str]| {
        let mut command = liprl(["record", text(&config), "--expert", "lqr", "--episodes", "2", "--out", text(out)]);
        let (code, words, stderr) = finish({
            command.args(more);
            command
        });
        assert_eq!((code, &*stderr), (0, ""));
        words
    };
    record(&plain, &[]);
    let words = record(&filmed, &["--video", text(&video)]);
    assert!(words.ends_with("film.gif: 250×250, 31 pictures, 1.6 s\n"), "{words}");
    assert_eq!(read(&video)["frames"], 31);
    let inspect = |path: &Path| finish(liprl(["demos", "inspect", text(path)])).1.replace(text(path), "");
    assert_eq!(inspect(&plain), inspect(&filmed));
}

/// A killed program leaves no process that draws.
#[cfg(target_os = "linux")]
#[test]
fn no_process_outlives_the_program() {
    if !can_draw() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let run =
        small_run(folder.path(), &HOPPER.replace("max_episode_steps: 40", "terminate_when_unhealthy: false"), "60");
    let mark = format!("LIPRL_TEST_MARK={}", folder.path().display());
    let marked = || {
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let environments = processes.filter_map(|process| std::fs::read(process.path().join("environ")).ok());
        environments.filter(|all| all.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())).count()
    };
    let mut command = evaluate(&run, "0", &folder.path().join("film.gif"));
    let mut child = command.env("LIPRL_TEST_MARK", folder.path()).spawn().expect("the program starts");
    wait_until("it draws", || {
        assert!(child.try_wait().expect("asked").is_none(), "1000 steps are over before a process is seen");
        marked() == 2
    });
    child.kill().expect("killed");
    child.wait().expect("it ends");
    wait_until("the process that draws ends too", || marked() == 0);
}

/// Gymnasium's pictures and ours, under equal states: at the start, and some steps later.
#[test]
fn pictures_of_mujoco_tasks_are_gymnasiums() {
    if !can_draw() {
        return;
    }
    let (quiet, none) = (json!({ "reset_noise_scale": 0.0 }), json!({}));
    let follows = |id| (id, &quiet, json!({ "follows": true, "centred": false }));
    let still = |id| (id, &quiet, json!({ "follows": false, "centred": false }));
    let centred = |id| (id, &none, json!({ "follows": false, "centred": true }));
    let tasks = [
        follows("Hopper-v5"),
        follows("Walker2d-v5"),
        follows("HalfCheetah-v5"),
        follows("Ant-v5"),
        follows("Humanoid-v5"),
        follows("Swimmer-v5"),
        still("HumanoidStandup-v5"),
        still("InvertedPendulum-v5"),
        still("InvertedDoublePendulum-v5"),
        centred("Reacher-v5"),
        centred("Pusher-v5"),
    ];
    let (mut ours, mut asked) = (Vec::new(), Vec::new());
    for (id, options, mut task) in tasks {
        let given: Options = serde_json::from_value(options.clone()).expect("options");
        let mut env = make(id, &given).expect("the task");
        let mut obs = vec![0.0; env.observation_space().dim()];
        env.reset(Some(3), &Options::new(), &mut obs).expect("a reset");
        ours.push((id, env.render().expect("a picture")));
        let dim = env.action_space().dim();
        let actions: Vec<Vec<f64>> =
            (0..5).map(|step| (0..dim).map(|i| 0.3 * f64::from(step) * (i as f64 + 1.0).sin()).collect()).collect();
        for action in &actions {
            env.step(action, &mut obs).expect("a step");
        }
        ours.push((id, env.render().expect("a picture")));
        (task["id"], task["options"], task["actions"]) = (json!(id), options.clone(), json!(actions));
        asked.push(task);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("frames");
    ask("gymnasium_frames.py", &[&json!(asked).to_string(), text(&file)]);
    let theirs = std::fs::read(&file).expect("the frames");
    let theirs: Vec<&[u8]> = theirs.chunks_exact(480 * 480 * 3).collect();
    assert_eq!(theirs.len(), ours.len());
    let mut differences: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    for ((id, Frame { width, height, rgb }), theirs) in ours.iter().zip(&theirs) {
        assert_eq!((*width, *height), (480, 480));
        differences.entry(id).or_default().push(difference(rgb, theirs));
    }
    eprintln!("mean differences of a channel, of 255: {differences:?}");
    assert!(differences.values().flatten().all(|difference| *difference < 0.3), "{differences:?}");
    // The states are told apart: within a task, the two pictures differ by far more.
    let moved = ours.chunks(2).map(|pair| (pair[0].0, difference(&pair[0].1.rgb, &pair[1].1.rgb)));
    let moved: BTreeMap<&str, f64> = moved.collect();
    eprintln!("between two of our own: {moved:?}");
    for (id, pair) in &differences {
        assert!(pair.iter().all(|difference| moved[id] > 10.0 * difference), "{id}: {moved:?}");
    }
}

/// Mean of the absolute differences.
fn difference(a: &[u8], b: &[u8]) -> f64 {
    let total: u64 = a.iter().zip(b).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    total as f64 / a.len() as f64
}
