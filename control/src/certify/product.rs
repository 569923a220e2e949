//! The product of the layers' norms (Szegedy et al. 2014, arXiv 1312.6199, section 4.3): ‖W_{K+1}‖
//! β … β ‖W_1‖, β the activation's largest slope. ‖·‖ is the largest singular value, from a
//! singular value decomposition, or the largest row sum. A diagonal matrix of slopes has norm ≤ β
//! in either norm, and the slopes of tanh after the last layer are at most 1.

use super::{
    algebra::largest_row_sum,
    bound::{MARGIN, Norm},
    error::CertifyError,
    network::Network,
    slopes::sector,
};

/// An upper bound on the network's Lipschitz constant everywhere.
///
/// # Errors
/// [`CertifyError::NotConverged`] if a decomposition fails.
pub fn product(network: &Network, norm: Norm) -> Result<f64, CertifyError> {
    let (alpha, beta) = sector(network.activation());
    let steepest = beta.abs().max(alpha.abs());
    let norms: Vec<f64> = match norm {
        Norm::L2 => network.spectral_norms()?.to_vec(),
        Norm::Linf => {
            let hidden = network.weights().iter().take(network.weights().len() - 1);
            let norms = hidden.map(|weight| largest_row_sum(weight.as_ref()));
            norms.chain([largest_row_sum(network.last_weight().as_ref())]).collect()
        }
    };
    let slopes = steepest.powi(norms.len() as i32 - 1);
    Ok(norms.into_iter().product::<f64>() * slopes * MARGIN)
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
}
