//! Pictures: drawings of the planar tasks, and the errors of a MuJoCo task that cannot be drawn. The
//! program's own tests look at MuJoCo's pictures.

#![allow(clippy::unwrap_used, clippy::panic)] // a test that cannot go on should say so

use std::collections::BTreeSet;

use liprl_envs::{Env, EnvError, Frame, Options, make, registry, set_render_worker};

/// Pictures after the reset and after some steps with small actions.
fn pictures(env: &mut dyn Env, seed: u64) -> Vec<Frame> {
    let mut obs = vec![0.0; env.observation_space().dim()];
    env.reset(Some(seed), &Options::new(), &mut obs).unwrap();
    let action: Vec<f64> = env.action_space().high.iter().map(|high| 0.1 * high).collect();
    let mut frames = vec![env.render().unwrap()];
    for _ in 0..8 {
        env.step(&action, &mut obs).unwrap();
        frames.push(env.render().unwrap());
    }
    frames
}

#[test]
fn planar_tasks_draw_their_state() {
    let mut drawn = 0;
    for entry in registry().into_iter().filter(|entry| !entry.id.ends_with("-v5")) {
        let id = entry.id;
        let frames = pictures(&mut *make(id, &Options::new()).unwrap(), 5);
        for frame in &frames {
            let side = |pixels: u32| (200..=600).contains(&pixels);
            assert!(side(frame.width) && side(frame.height), "{id}: {}×{}", frame.width, frame.height);
            assert_eq!(frame.rgb.len() as u32, 3 * frame.width * frame.height);
            let colours: BTreeSet<&[u8]> = frame.rgb.chunks(3).collect();
            assert!(colours.len() >= 3, "{id}: {} colours", colours.len());
        }
        assert!(frames.windows(2).all(|pair| pair[0] != pair[1]), "{id} does not move");
        assert_eq!(frames, pictures(&mut *make(id, &Options::new()).unwrap(), 5), "{id}");
        assert_ne!(frames, pictures(&mut *make(id, &Options::new()).unwrap(), 6), "{id}");
        drawn += 1;
    }
    assert_eq!(drawn, 9);
}

/// Steps a second, as Gymnasium's `render_fps` where it is the task's own clock.
#[test]
fn rates_are_those_of_the_tasks_clocks() {
    for (id, fps) in [
        ("Hopper-v5", 125.0),
        ("HalfCheetah-v5", 20.0),
        ("Humanoid-v5", 1.0 / 0.015),
        ("CartPoleContinuous-v0", 50.0),
        ("Pendulum-v1", 20.0),
        ("MountainCarContinuous-v0", 30.0),
        ("DoubleIntegrator-v0", 10.0),
        ("Linear-v0", 30.0),
    ] {
        let found = make(id, &Options::new()).unwrap().render_fps();
        assert!((found - fps).abs() < 1e-9, "{id}: {found}");
    }
}

/// The process that draws may be missing, fail, or be ended by MuJoCo: always an error with the
/// cause, never an end of this process. The next picture tries again.
#[cfg(unix)]
#[test]
fn a_process_that_cannot_draw_is_an_error() {
    let mut env = make("Hopper-v5", &Options::new()).unwrap();
    let mut obs = vec![0.0; 11];
    env.reset(Some(0), &Options::new(), &mut obs).unwrap();
    let mut problem = || match env.render() {
        Err(EnvError::NoPicture { id, problem }) => {
            assert_eq!(id, "Hopper-v5");
            problem
        }
        other => panic!("{other:?}"),
    };
    assert!(problem().contains("liprl_envs::set_render_worker"), "{}", problem());
    set_render_worker("/nowhere/liprl", &[]);
    assert!(problem().starts_with("/nowhere/liprl cannot be started: No such file"), "{}", problem());
    // As MuJoCo and its drivers end: some words, then an abort.
    set_render_worker("sh", &["-c", "echo 'OpenGL error 0x502' >&2; kill -ABRT $$"]);
    let words = problem();
    assert!(words.contains("ended by itself: signal: 6 (SIGABRT)"), "{words}");
    assert!(words.contains("OpenGL error 0x502") && words.contains("apt-get install libegl1"), "{words}");
    // A picture of the wrong size: the setup is answered, the state too.
    set_render_worker("sh", &["-c", r"printf '\001\0\0\0\0\0\0\0\0\004\0\0\0\0\0\0\0\0abc'; cat > /dev/null"]);
    assert_eq!(problem(), "the renderer sent 3 bytes for 480×480 pixels");
    set_render_worker("sh", &["-c", r"printf '\003\0\0\0\0\0\0\0\001no'; cat > /dev/null"]);
    assert_eq!(problem(), "no");
}
