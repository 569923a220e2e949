//! Residual constructions, multiplied out into the weights of `Mlp::dense`: layer k sees v = (x,
//! w₁, …, wₖ₋₁).

use tch::{Kind, Tensor};

use super::{
    Chain, Part,
    matrices::{self, LDLT_RIDGE},
};
use crate::NetsError;

/// h ↦ h − 2WᵀT σ(Wh + b) with tᵢ = 1/Σⱼ |WWᵀ|ᵢⱼ qⱼ/qᵢ (Araujo et al. 2023), between maps with
/// orthonormal rows or columns; multipliers 2T.
pub(super) fn sll(parts: &[Part]) -> Result<Chain, NetsError> {
    let Some((last, hidden)) = parts.split_last() else { return Ok((Vec::new(), None)) };
    // h as a linear function of v.
    let mut carried = matrices::semi_orthogonal(&parts[0][3])?;
    let (mut weights, mut multipliers) = (Vec::new(), Vec::new());
    for [w, _, log_q, _] in hidden {
        weights.push(w.f_matmul(&carried)?);
        let q = log_q.f_clamp(-20.0, 20.0)?.f_exp()?;
        let sums = w.f_matmul(&w.f_tr()?)?.f_abs()?.f_matmul(&q)?.f_div(&q)?;
        // A row of zeros has no effect, whatever its t.
        let t = sums.f_clamp_min(1e-300)?.f_reciprocal()?;
        let out = w.f_tr()?.f_mul(&t.f_unsqueeze(0)?)?;
        carried = Tensor::f_cat(&[carried, &out * -2.0], 1)?;
        multipliers.push(t.f_detach()? * 2.0);
    }
    weights.push(matrices::semi_orthogonal(&last[0])?.f_matmul(&carried)?);
    Ok((weights, Some(multipliers)))
}

/// y = Ax + Bwₙ beside an LDLᵀ chain; multipliers 1.
pub(super) fn ldlt(parts: &[Part]) -> Result<Chain, NetsError> {
    let Some((last, hidden)) = parts.split_last() else { return Ok((Vec::new(), None)) };
    let (options, free) = ((Kind::Double, last[0].device()), &last[3]);
    let n = free.size()[1];
    let identity = |size: i64| Tensor::f_eye(size, options);
    let a = matrices::contraction(free)?;
    // AᵀA = R⁻ᵀ(RᵀR − aI)R⁻¹, so D₀ = I − AᵀA = a R⁻ᵀR⁻¹, kept as its inverse RRᵀ/a (not RᵀR/a),
    // with Fᵀ = √a R⁻¹.
    let r = matrices::ridged(&free.f_tr()?.f_matmul(free)?)?.f_linalg_cholesky(true)?;
    let mut inverse = r.f_matmul(&r.f_tr()?)? / LDLT_RIDGE;
    let (mut gamma, mut sigma) = (identity(n)?, inverse.shallow_clone());
    let (mut weights, mut multipliers, mut width) = (Vec::new(), Vec::new(), n);
    for (k, [w, ..]) in hidden.iter().enumerate() {
        let contraction = matrices::contraction(w)?;
        let c = match k {
            0 => r.f_linalg_solve_triangular(&contraction, true, false, false)? * LDLT_RIDGE.sqrt(),
            _ => matrices::times_factor(&contraction, &hidden[k - 1][0])?,
        } * std::f64::consts::SQRT_2;
        gamma = gamma.f_matmul(&inverse)?.f_matmul(&c.f_tr()?)?;
        inverse = matrices::ridged(&w.f_matmul(&w.f_tr()?)?)? / (2.0 * LDLT_RIDGE);
        if k + 1 < hidden.len() {
            sigma = sigma.f_add(&gamma.f_matmul(&inverse)?.f_matmul(&gamma.f_tr()?)?)?;
        }
        let (outputs, inputs) = c.size2()?;
        weights.push(Tensor::f_cat(&[Tensor::f_zeros([outputs, width - inputs], options)?, c], 1)?);
        multipliers.push(Tensor::f_ones([outputs], options)?);
        width += outputs;
    }
    let Some([top, ..]) = hidden.last() else { return Ok((Vec::new(), None)) };
    let contraction = matrices::contraction(top)?;
    let d = identity(top.size()[0])? * 2.0 - contraction.f_matmul(&contraction.f_tr()?)? * 2.0;
    let across = a.f_matmul(&gamma)?;
    let m = identity(a.size()[0])?.f_add(&a.f_matmul(&sigma)?.f_matmul(&a.f_tr()?)?)?;
    let m_factor = m.f_linalg_cholesky(false)?;
    let half = m_factor.f_linalg_solve_triangular(&across, false, true, false)?;
    let q = d.f_add(&half.f_tr()?.f_matmul(&half)?)?;
    let through = matrices::contraction(&last[0])?.f_matmul(&q.f_linalg_cholesky(true)?)?;
    let upper = m_factor.f_tr()?;
    let back = |x: &Tensor| upper.f_linalg_solve_triangular(x, true, true, false);
    let b = back(&through)?.f_sub(&back(&half)?)?;
    let (outputs, inputs) = b.size2()?;
    let between = Tensor::f_zeros([outputs, width - n - inputs], options)?;
    weights.push(Tensor::f_cat(&[a, between, b], 1)?);
    Ok((weights, Some(multipliers)))
}
