//! A bound for given multipliers: the block elimination of the matrix inequality of Fazlyab et al.
//! (2019, LipSDP, "neuron" form) for activations with slopes in [0, 1].
//!
//! With Tₖ = diag(tₖ) > 0 and hidden weights W₁ … W_K, S_K = 2T_K − W_{K+1}ᵀW_{K+1} and Sₖ = 2Tₖ −
//! W_{k+1}ᵀT_{k+1}S_{k+1}⁻¹T_{k+1}W_{k+1}; if every Sₖ ≻ 0, the map is √ρ-Lipschitz with ρ =
//! λ_max(W₁ᵀT₁S₁⁻¹T₁W₁) (docs/derivations/lipschitz_layers.md).

use tch::{Kind, Tensor};

use crate::NetsError;

/// Multipliers grow by this, once per layer from the last: constructions sit on the boundary of the
/// cone, and this moves them inside.
const INFLATE: f64 = 1e-7;

/// Added to the result, relative: more than f64's rounding of matrices of some hundred rows.
const SLACK: f64 = 1e-9;

/// √ρ for `weights` (`[outputs, inputs]` each, f64 on the CPU) and the hidden layers' `multipliers`
/// (`[outputs]` each), a proven constant; `None` where these multipliers prove nothing.
pub fn lmi_bound(weights: &[Tensor], multipliers: &[Tensor]) -> Result<Option<f64>, NetsError> {
    let Some((last, hidden)) = weights.split_last() else { return Ok(None) };
    if hidden.len() != multipliers.len() {
        return Ok(None);
    }
    // What the layers above leave: the quadratic form that must stay below.
    let mut form = last.f_tr()?.f_matmul(last)?;
    for (depth, (w, t)) in hidden.iter().zip(multipliers).rev().enumerate() {
        let t = t * (1.0 + INFLATE).powi(depth as i32 + 1);
        let s = Tensor::f_diag(&(&t * 2.0), 0)?.f_sub(&form)?;
        let Some(factor) = cholesky(&s)? else { return Ok(None) };
        let tw = w.f_mul(&t.f_unsqueeze(1)?)?;
        let half = factor.f_linalg_solve_triangular(&tw, false, true, false)?;
        form = half.f_tr()?.f_matmul(&half)?;
    }
    let rho = form.f_linalg_eigvalsh("L")?.f_select(0, -1)?.f_double_value(&[])?;
    Ok(rho.is_finite().then(|| rho.max(0.0).sqrt() * (1.0 + SLACK)))
}

/// √ρ for a dense network (`Mlp::dense`): `weights` act on (x, w₁, …), x of `inputs` numbers. One
/// elimination of all hidden units at once: with the form [[X, Yᵀ], [Y, −S]] in (x, w), S ≻ 0 and ρ
/// = λ_max(X + YᵀS⁻¹Y).
pub fn dense_bound(weights: &[Tensor], multipliers: &[Tensor], inputs: i64) -> Result<Option<f64>, NetsError> {
    let Some((last, hidden)) = weights.split_last() else { return Ok(None) };
    if hidden.len() != multipliers.len() {
        return Ok(None);
    }
    let total = last.size()[1];
    let mut lower = Tensor::f_zeros([total, total], (Kind::Double, last.device()))?;
    let mut start = inputs;
    for (w, t) in hidden.iter().zip(multipliers) {
        let t = t * (1.0 + INFLATE);
        let (units, given) = w.size2()?;
        lower.f_narrow(0, start, units)?.f_narrow(1, 0, given)?.f_copy_(&w.f_mul(&t.f_unsqueeze(1)?)?)?;
        lower.f_narrow(0, start, units)?.f_narrow(1, start, units)?.f_copy_(&Tensor::f_diag(&(&t * -1.0), 0)?)?;
        start += units;
    }
    lower = lower.f_add(&lower.f_tr()?)?.f_add(&last.f_tr()?.f_matmul(last)?)?;
    let units = total - inputs;
    let rest = lower.f_narrow(0, inputs, units)?;
    let (y, s) = (rest.f_narrow(1, 0, inputs)?, rest.f_narrow(1, inputs, units)? * -1.0);
    let Some(factor) = cholesky(&s)? else { return Ok(None) };
    let half = factor.f_linalg_solve_triangular(&y.f_contiguous()?, false, true, false)?;
    let x = lower.f_narrow(0, 0, inputs)?.f_narrow(1, 0, inputs)?;
    let rho = x.f_add(&half.f_tr()?.f_matmul(&half)?)?.f_linalg_eigvalsh("L")?.f_select(0, -1)?.f_double_value(&[])?;
    Ok(rho.is_finite().then(|| rho.max(0.0).sqrt() * (1.0 + SLACK)))
}

/// Cholesky's factor of `s` less what its own rounding may amount to, or `None` where that is not
/// positive definite.
fn cholesky(s: &Tensor) -> Result<Option<Tensor>, NetsError> {
    let (n, size) = (s.size()[0], s.f_abs()?.f_max()?.f_double_value(&[])?);
    let shifted = s.f_sub(&(Tensor::f_eye(n, (Kind::Double, s.device()))? * (1e-15 * n as f64 * size)))?;
    let (factor, failed) = shifted.f_linalg_cholesky_ex(false, false)?;
    Ok((failed.f_int64_value(&[])? == 0).then_some(factor))
}
