//! Critics as networks that can be certified.

use liprl_control::certify::{Certifiable, CertifyError, Input, Network, OutputMap, Takes};
use liprl_numerics::RunningNormaliser;

use super::Critics;
use crate::AgentError;

/// The critics Q(s, a) of an actor–critic in units of reward; not one that puts out a distribution.
pub(crate) fn critics_to_certify(
    critics: &Critics,
    normaliser: Option<&RunningNormaliser>,
    (obs_dim, act_dim): (usize, usize),
) -> Result<Vec<Certifiable>, AgentError> {
    let mut inputs = normaliser.map_or_else(|| vec![Input::RAW; obs_dim], Input::standardised);
    inputs.extend(vec![Input::RAW; act_dim]);
    let (scale, mut start) = (critics.output_scale(), 0);
    let params = Vec::<f32>::try_from(critics.params().f_detach()?.f_to(tch::Device::Cpu)?.f_contiguous()?)?;
    let each = critics.networks().mlps().iter().enumerate().map(|(index, mlp)| {
        let name = format!("critic_{index}");
        let own = &params[start..start + mlp.len()];
        start += mlp.len();
        let network = match scale {
            Some(scale) => Network::new(&name, mlp, own, &inputs, OutputMap::Linear(vec![scale])),
            None => Err(CertifyError::Unsupported {
                network: name.clone(),
                problem: "puts out a distribution of returns, whose mean is no linear function of its outputs".into(),
            }),
        };
        Certifiable { name, takes: Takes::StateAction, network }
    });
    Ok(each.collect())
}
