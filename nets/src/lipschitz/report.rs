//! Names and statistics under which Lipschitz constants and norms are logged.

use liprl_numerics::Mlp;
use tch::Tensor;

use super::{Summary, layer_bounds, product_bound};
use crate::NetsError;

/// `lipschitz/<what>/<place>/<statistic>` of some norms.
pub fn summarise(what: &str, place: &str, norms: &[f64], metrics: &mut Vec<(String, f64)>) {
    let Some(Summary { mean, q05, q50, q95, max }) = Summary::of(norms) else { return };
    for (statistic, value) in [("mean", mean), ("q05", q05), ("q50", q50), ("q95", q95), ("max", max)] {
        metrics.push((format!("lipschitz/{what}/{place}/{statistic}"), value));
    }
}

/// Exact spectral norms and the product bound of a network with these parameters.
pub fn network_constants(
    name: &str,
    mlp: &Mlp,
    params: &Tensor,
    metrics: &mut Vec<(String, f64)>,
) -> Result<(), NetsError> {
    for (layer, bound) in layer_bounds(mlp, params)?.iter().enumerate() {
        metrics.push((format!("lipschitz/spectral_norm/{name}/{layer}"), bound.weight));
    }
    metrics.push((format!("lipschitz/product_bound/{name}"), product_bound(mlp, params)?));
    Ok(())
}
