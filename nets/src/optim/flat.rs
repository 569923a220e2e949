//! Flat buffers of the parameters of one or more networks: views, rescaling.

use liprl_numerics::Mlp;
use tch::{Device, Kind};

use crate::{Buffer, NetsError, Weights};

/// Views of each network's parameters.
pub(super) fn weights(mlps: &[Mlp], flat: &Buffer) -> Vec<Weights> {
    let mut offset = 0;
    mlps.iter()
        .map(|mlp| {
            let weights = Weights::new(mlp, flat, offset);
            offset += mlp.len();
            weights
        })
        .collect()
}

/// Changes the last layers so that every output o becomes `factor` o + `shift`.
pub(super) fn rescale_outputs(mlps: &[Mlp], params: &mut Buffer, factor: f64, shift: f64) -> Result<(), NetsError> {
    let mut offset = 0;
    for mlp in mlps {
        let Some(last) = mlp.layers.last() else { continue };
        for (range, shift) in [(last.start..last.bias(), 0.0), (last.bias()..last.scale(), shift)] {
            let (start, len) = (offset + range.start, range.len());
            if params.tensor().device() == Device::Cpu {
                let part = &mut params.slice_mut()[start..start + len];
                part.iter_mut().for_each(|p| *p = (factor * f64::from(*p) + shift) as f32);
            } else {
                let part = params.tensor().f_narrow(0, start as i64, len as i64)?;
                let rescaled = part.f_to_kind(Kind::Double)? * factor + shift;
                tch::no_grad(|| part.shallow_clone().f_copy_(&rescaled))?;
            }
        }
        offset += mlp.len();
    }
    Ok(())
}
