use liprl_envs::systems::{Linear, Matrix, Quadratic};

use super::*;

/// The planner of a double integrator.
fn planner() -> Mpc {
    let weights = Quadratic { state: Matrix::diagonal(&[1.0, 1.0]), input: Matrix::diagonal(&[1.0]) };
    let a = Matrix::from_rows(&[&[1.0, 0.1], &[0.0, 1.0]]).unwrap();
    let b = Matrix::from_rows(&[&[0.005], &[0.1]]).unwrap();
    let model = Linear::new(a, b, weights).unwrap();
    Mpc::new(&model, MpcConfig { horizon: 30, ..MpcConfig::default() }).unwrap()
}

/// The square of 1e200 is beyond f64, so every plan from there costs infinity, whatever was planned
/// before.
#[test]
fn where_every_guess_diverges_there_is_no_plan() {
    let mut action = [7.0];
    let (mut fresh, mut used) = (planner(), planner());
    used.action(&[1.0, 0.0], &mut action).unwrap();
    let answer = action;
    for planner in [&mut fresh, &mut used] {
        let error = planner.action(&[1e200, 0.0], &mut action).unwrap_err();
        assert!(matches!(error, ControlError::NotConverged { .. }), "{error}");
        assert_eq!(planner.plan(&[1e200, 0.0]), (0.0, f64::INFINITY));
        // A later state that has a plan gets one.
        planner.action(&[1.0, 0.0], &mut action).unwrap();
        assert_eq!(action, answer);
    }
}

/// A plan that diverges is dropped: the answer is that of a planner without one.
#[test]
fn a_plan_that_diverges_is_made_anew() {
    let mut used = planner();
    used.plan(&[1.0, 0.0]);
    let next = used.plan.states[2..4].to_vec();
    used.plan.inputs[5] = 1e200;
    assert!(used.is_predicted(&next));
    assert_eq!(used.plan(&next), planner().plan(&next));
}
