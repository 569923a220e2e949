//! Critics as networks that can be certified.

use liprl_control::certify::{Certifiable, CertifyError, Input, Network, OutputMap, Takes};
use liprl_nets::optim::Trained;
use liprl_numerics::RunningNormaliser;
use tch::Tensor;

use crate::AgentError;

/// The critics Q(s, a) of an actor–critic, used with these parameters, in units of reward: their outputs times `scale`, or none of them where an output is no value.
pub(crate) fn critics_to_certify(
    critics: &Trained,
    params: &Tensor,
    normaliser: Option<&RunningNormaliser>,
    (obs_dim, act_dim): (usize, usize),
    scale: Option<f64>,
) -> Result<Vec<Certifiable>, AgentError> {
    let mut inputs = normaliser.map_or_else(|| vec![Input::RAW; obs_dim], Input::standardised);
    inputs.extend(vec![Input::RAW; act_dim]);
    let (params, mut start) = (Vec::<f32>::try_from(params.f_detach()?.f_to(tch::Device::Cpu)?.f_contiguous()?)?, 0);
    let each = critics.mlps().iter().enumerate().map(|(index, mlp)| {
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
