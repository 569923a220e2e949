//! Lipschitz constants of networks in training, for evaluations.

use tch::{Device, Tensor};

use super::TrainState;
use crate::{NetsError, lipschitz::network_constants};

/// [`network_constants`], and the constant by construction if there is one, for every network of
/// `trained`, used with these parameters: `<name>`, or `<name>_<i>` if there are several.
pub fn constants(
    name: &str,
    trained: &TrainState,
    params: &Tensor,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), NetsError> {
    let (mut start, params, certified) = (0, params.f_to(Device::Cpu)?, trained.certified()?);
    for (index, mlp) in trained.mlps().iter().enumerate() {
        let name = if trained.mlps().len() > 1 { format!("{name}_{}", index + 1) } else { name.to_owned() };
        network_constants(&name, mlp, &params.f_narrow(0, start, mlp.len() as i64)?, metrics)?;
        start += mlp.len() as i64;
        if let Some(certified) = &certified {
            metrics.push((format!("lipschitz/by_construction/{name}"), certified[index]));
        }
    }
    Ok(())
}
