//! The derivative of a simulator by finite differences.

use crate::env::Env;
use crate::error::EnvError;

/// ∂s'/∂(s, a) of one step from the present state, row-major `[O, O + A]`, by central differences
/// of size `increment`.
///
/// Coordinates of the observation that are not state variables (contact forces) have columns of
/// zeros. The environment is left as it was. `None` if no coordinate is a state variable
/// ([`Env::nudge`]).
///
/// # Errors
/// Those of `step` and `restore`.
pub fn jacobian(env: &mut dyn Env, action: &[f64], increment: f64) -> Result<Option<Vec<f64>>, EnvError> {
    let (outputs, state) = (env.observation_space().dim(), env.save());
    let columns = outputs + action.len();
    let (mut matrix, mut any) = (vec![0.0; outputs * columns], false);
    let (mut ahead, mut behind, mut moved) = (vec![0.0; outputs], vec![0.0; outputs], action.to_vec());
    for column in 0..columns {
        let mut reach = |by: f64, obs: &mut [f64]| {
            env.restore(&state)?;
            match column.checked_sub(outputs) {
                None if !env.nudge(column, by) => return Ok(false),
                None => any = true,
                Some(index) => moved[index] = action[index] + by,
            }
            env.step(&moved, obs)?;
            moved.copy_from_slice(action);
            Ok(true)
        };
        if reach(increment, &mut ahead)? && reach(-increment, &mut behind)? {
            for (row, (ahead, behind)) in ahead.iter().zip(&behind).enumerate() {
                matrix[row * columns + column] = (ahead - behind) / (2.0 * increment);
            }
        }
    }
    env.restore(&state)?;
    Ok(any.then_some(matrix))
}
