//! The product of the layers' norms (Szegedy et al. 2014, arXiv 1312.6199, section 4.3): ‖W_{K+1}‖
//! β … β ‖W_1‖, β the activation's largest slope. ‖·‖ is the largest singular value, from a
//! singular value decomposition (or above it, if there is not the time for one), or the largest row
//! sum. A diagonal matrix of slopes has norm ≤ β in either norm, and the slopes of tanh after the
//! last layer are at most 1. max_min permutes, which has norm 1 in either norm.

use std::time::Duration;

use super::{
    algebra::largest_row_sum,
    bound::{Bound, Ended, MARGIN, Norm},
    error::CertifyError,
    network::Network,
    slopes::sector,
};

/// An upper bound on the network's Lipschitz constant everywhere.
///
/// # Errors
/// [`CertifyError::NotConverged`] if a decomposition fails.
pub fn product(network: &Network, norm: Norm) -> Result<f64, CertifyError> {
    Ok(product_within(network, norm, None)?.upper)
}

/// That bound; a larger one by ‖W‖₂² ≤ ‖W‖₁ ‖W‖∞ if the decompositions would take longer than
/// this.
///
/// # Errors
/// As [`product`].
pub fn product_within(network: &Network, norm: Norm, limit: Option<Duration>) -> Result<Bound, CertifyError> {
    let (alpha, beta) = sector(network.unit());
    let steepest = beta.abs().max(alpha.abs());
    let (norms, exact): (Vec<f64>, bool) = match norm {
        Norm::L2 => network.spectral_norms_within(limit)?,
        Norm::Linf => {
            let weights = network.layer_weights();
            (weights.iter().map(|weight| largest_row_sum(weight.as_ref())).collect(), true)
        }
    };
    let slopes = steepest.powi(norms.len() as i32 - 1);
    let ended = if exact { Ended::Finished } else { Ended::TimeLimit };
    Ok(Bound { upper: norms.into_iter().product::<f64>() * slopes * MARGIN, lower: 0.0, ended })
}

#[cfg(test)]
mod tests {
    use liprl_numerics::Activation;

    use super::{super::network::testing::*, *};

    #[test]
    fn products_by_hand() {
        // relu(3x) and relu(4x), summed: ‖(3, 4)‖₂ ‖(1, 1)‖₂ = 5 √2; row sums 4 · 2.
        let network = by_hand(&[(&[3.0, 4.0], &[0.0, 0.0]), (&[1.0, 1.0], &[0.0])], 1, Activation::Relu);
        assert!((product(&network, Norm::L2).unwrap() - 50f64.sqrt()).abs() < 1e-7);
        assert!((product(&network, Norm::Linf).unwrap() - 8.0).abs() < 1e-7);
    }

    #[test]
    fn without_the_time_for_a_decomposition_the_product_is_larger_but_there() {
        let network = gaussian(&[5, 40, 30, 3], Activation::Tanh, true, &mut rng("quick products"));
        let Bound { upper: quick, ended, .. } = product_within(&network, Norm::L2, Some(Duration::ZERO)).unwrap();
        assert_eq!(ended, Ended::TimeLimit);
        let by_hand: f64 = network
            .weights()
            .iter()
            .map(|w| (largest_row_sum(w.as_ref()) * largest_row_sum(w.transpose())).sqrt().min(w.norm_l2()))
            .product();
        let exact = product(&network, Norm::L2).unwrap();
        assert!(exact < quick && (quick / by_hand - 1.0).abs() < 1e-8, "{exact} {quick} {by_hand}");
        // Once known, the norms are used however short the time.
        assert_eq!(product_within(&network, Norm::L2, Some(Duration::ZERO)).unwrap().upper, exact);
        let row_sums = |limit| product_within(&network, Norm::Linf, limit).unwrap();
        assert_eq!(row_sums(None), row_sums(Some(Duration::ZERO)));
    }
}
