//! One upper bound by one method.

use std::time::Duration;

use liprl_control::certify::{
    Bound, CertifyError, Ended, LocalOptions, Network, Norm, Region, SdpBound, SdpOptions, lipsdp, lipsdp_on,
    local_bound, product_within,
};

/// A method for an upper bound, with the inputs that the bound holds for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum BoundMethod<'a> {
    /// The product of the layers' norms, everywhere.
    Product,
    /// LipSDP everywhere, in the Euclidean norm alone.
    Lipsdp,
    /// LipSDP over a box, in the Euclidean norm alone.
    LipsdpOn(&'a Region),
    /// Jacobian bounds over a box, refined by branch and bound until the relative gap is below
    /// `tolerance`.
    Local { region: &'a Region, tolerance: f64 },
}

impl<'a> BoundMethod<'a> {
    /// Jacobian bounds with the default tolerance.
    pub(crate) fn local(region: &'a Region) -> Self {
        Self::Local { region, tolerance: LocalOptions::default().tolerance }
    }
}

/// Finds an upper bound on the network's Lipschitz constant. It is valid also when the time limit
/// ends the search.
///
/// # Errors
/// [`CertifyError::BadRegion`] for a box of another dimension, [`CertifyError::NotConverged`] if a
/// decomposition fails.
pub(crate) fn upper_bound(
    network: &Network,
    norm: Norm,
    method: BoundMethod<'_>,
    time_limit: Duration,
) -> Result<Bound, CertifyError> {
    let time_limit = Some(time_limit);
    match method {
        BoundMethod::Product => product_within(network, norm, time_limit),
        BoundMethod::Lipsdp => Ok(sdp_bound(lipsdp(network, &SdpOptions { time_limit, ..SdpOptions::default() })?)),
        BoundMethod::LipsdpOn(region) => {
            Ok(sdp_bound(lipsdp_on(network, region, &SdpOptions { time_limit, ..SdpOptions::default() })?))
        }
        BoundMethod::Local { region, tolerance } => {
            let options = LocalOptions { time_limit, tolerance, ..LocalOptions::default() };
            local_bound(network, region, norm, &options)
        }
    }
}

/// LipSDP has no limit but that of time.
fn sdp_bound(found: SdpBound) -> Bound {
    let ended = if found.finished { Ended::Finished } else { Ended::TimeLimit };
    Bound { upper: found.upper, lower: 0.0, ended }
}
