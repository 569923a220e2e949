//! A bound for given multipliers: the block elimination of the matrix inequality of Fazlyab et al. (2019, LipSDP, "neuron" form) for
//! activations with slopes in [0, 1].
//!
//! With Tₖ = diag(tₖ) > 0 and hidden weights W₁ … W_K, S_K = 2T_K − W_{K+1}ᵀW_{K+1} and Sₖ = 2Tₖ − W_{k+1}ᵀT_{k+1}S_{k+1}⁻¹T_{k+1}W_{k+1};
//! if every Sₖ ≻ 0, the map is √ρ-Lipschitz with ρ = λ_max(W₁ᵀT₁S₁⁻¹T₁W₁) (docs/derivations/lipschitz_layers.md).

use tch::{Kind, Tensor};

use crate::AgentError;

/// Multipliers grow by this, once per layer from the last: constructions sit on the boundary of the cone, and this moves them inside.
const INFLATE: f64 = 1e-7;

/// Added to the result, relative: more than f64's rounding of matrices of some hundred rows.
const SLACK: f64 = 1e-9;

/// √ρ for `weights` (`[outputs, inputs]` each, f64 on the CPU) and the hidden layers' `multipliers` (`[outputs]` each), a proven constant; `None`
/// where these multipliers prove nothing.
pub fn lmi_bound(weights: &[Tensor], multipliers: &[Tensor]) -> Result<Option<f64>, AgentError> {
    let Some((last, hidden)) = weights.split_last() else { return Ok(None) };
    if hidden.len() != multipliers.len() {
        return Ok(None);
    }
    // What the layers above leave: the quadratic form that must stay below.
    let mut form = last.f_tr()?.f_matmul(last)?;
    for (depth, (w, t)) in hidden.iter().zip(multipliers).rev().enumerate() {
        let t = t * (1.0 + INFLATE).powi(depth as i32 + 1);
        let s = Tensor::f_diag(&(&t * 2.0), 0)?.f_sub(&form)?;
        let size = s.f_abs()?.f_max()?.f_double_value(&[])?;
        let n = s.size()[0];
        // Positive definite with something left for Cholesky's own rounding.
        let shifted = s.f_sub(&(Tensor::f_eye(n, (Kind::Double, s.device()))? * (1e-15 * n as f64 * size)))?;
        let (factor, failed) = shifted.f_linalg_cholesky_ex(false, false)?;
        if failed.f_int64_value(&[])? != 0 {
            return Ok(None);
        }
        let tw = w.f_mul(&t.f_unsqueeze(1)?)?;
        let half = factor.f_linalg_solve_triangular(&tw, false, true, false)?;
        form = half.f_tr()?.f_matmul(&half)?;
    }
    let rho = form.f_linalg_eigvalsh("L")?.f_select(0, -1)?.f_double_value(&[])?;
    Ok(rho.is_finite().then(|| rho.max(0.0).sqrt() * (1.0 + SLACK)))
}
