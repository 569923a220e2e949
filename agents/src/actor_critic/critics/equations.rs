//! The critics' equations, by autograd on any device.
//!
//! - backup: V(s') = w min(Q₁', Q₂') + (1 − w) max(Q₁', Q₂'); w = 1 is clipped double Q-learning
//!   (Fujimoto et al. 2018, eq. 10);
//! - loss: L = Σⱼ mean(wᵢ ℓ(Qⱼ(sᵢ, aᵢ) − yᵢ)), ℓ squared (½ δ²) or Huber, wᵢ the importance weights.
//!
//! The targets y are an algorithm's own: `sac/equations.rs` and `td3/equations.rs`.

use tch::Tensor;

use crate::{AgentError, actor_critic::CriticLoss};

/// The backup V `[B]` of one or two target critics' values `[B]`, w being `minimum_weight`.
pub(crate) fn backup(values: &[Tensor], minimum_weight: f64) -> Tensor {
    match values {
        [first, second] => {
            let low = first.minimum(second);
            match minimum_weight {
                1.0 => low,
                _ => low * minimum_weight + first.maximum(second) * (1.0 - minimum_weight),
            }
        }
        _ => values[0].shallow_clone(),
    }
}

/// The critics' summed loss, a scalar: `values` one `[B]` for each critic, `target` y `[B]`, `weight` `[B]`.
pub(crate) fn loss(values: &[Tensor], target: &Tensor, weight: &Tensor, kind: CriticLoss) -> Tensor {
    let each = values.iter().map(|value| {
        let error = value - target;
        let pointwise = match kind {
            CriticLoss::Squared => error.square() * 0.5,
            CriticLoss::Huber => error.huber_loss(&error.zeros_like(), tch::Reduction::None, 1.0),
        };
        (pointwise * weight).mean(None)
    });
    each.reduce(|sum, loss| sum + loss).unwrap_or_default()
}

/// Mean over the critics of |δ|, for each row: `values` one `[B]` for each critic, `target` `[B]`.
pub(crate) fn errors(values: &[Tensor], target: &Tensor) -> Result<Vec<f32>, AgentError> {
    let sum = values.iter().map(|value| (value - target).abs()).reduce(|a, b| a + b).unwrap_or_default();
    Ok(Vec::try_from((sum / values.len() as f64).f_detach()?.f_to(tch::Device::Cpu)?)?)
}

#[cfg(test)]
mod tests {
    use liprl_nets::testing::assert_close;
    use tch::Kind;

    use super::*;

    #[test]
    fn backup_and_losses_by_hand() {
        let (first, second) = (Tensor::from_slice(&[1.0, -2.0]), Tensor::from_slice(&[3.0, -4.0]));
        let read = |tensor: &Tensor| Vec::<f64>::try_from(tensor.to_kind(Kind::Double)).unwrap();
        assert_eq!(read(&backup(&[first.shallow_clone(), second.shallow_clone()], 1.0)), [1.0, -4.0]);
        // 0.75 · 1 + 0.25 · 3 and 0.75 · −4 + 0.25 · −2.
        assert_eq!(read(&backup(&[first.shallow_clone(), second], 0.75)), [1.5, -3.5]);
        // Errors 0.5 and −3 with weights 1 and 0.5: squared (0.125 + 0.5 · 4.5) / 2, Huber (0.125 + 0.5 · 2.5) / 2.
        let (target, weight) = (Tensor::from_slice(&[0.5, 1.0]), Tensor::from_slice(&[1.0, 0.5]));
        assert_close(loss(&[first.shallow_clone()], &target, &weight, CriticLoss::Squared).double_value(&[]), 1.1875);
        assert_close(loss(&[first], &target, &weight, CriticLoss::Huber).double_value(&[]), 0.6875);
    }
}
