//! Boxes around the inputs that episodes visit.

use std::fmt;
use std::str::FromStr;

use liprl_control::certify::{CertifyError, Region};

/// The boxes of one local bound.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BoxChoice {
    /// The smallest box around all visited inputs.
    Data,
    /// Boxes around some of the visited inputs.
    Around {
        /// Reach in each coordinate.
        radius: f64,
        /// True if `radius` counts the coordinate's standard deviations over the visited inputs.
        relative: bool,
    },
}

impl BoxChoice {
    /// The choices of a report that names none.
    pub(crate) const DEFAULT: [Self; 2] = [Self::Data, Self::Around { radius: 0.1, relative: true }];

    /// Makes the boxes from inputs `[R, dim]`; [`BoxChoice::Around`] takes at most `count` evenly
    /// spaced rows.
    pub(super) fn regions(self, inputs: &[f64], dim: usize, count: usize) -> Result<Vec<Region>, CertifyError> {
        let Self::Around { radius, relative } = self else {
            return Ok(vec![Region::hull(inputs, dim)?]);
        };
        let units = if relative { standard_deviations(inputs, dim) } else { vec![1.0; dim] };
        let radii: Vec<f64> = units.into_iter().map(|unit| radius * unit).collect();
        let rows = inputs.chunks_exact(dim);
        let stride = rows.len().div_ceil(count).max(1);
        rows.step_by(stride).map(|centre| Region::around(centre, &radii)).collect()
    }
}

impl fmt::Display for BoxChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("data"),
            Self::Around { radius, relative } => write!(f, "state±{radius}{}", if *relative { "std" } else { "" }),
        }
    }
}

impl FromStr for BoxChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "data" {
            return Ok(Self::Data);
        }
        let number = text.strip_prefix("state").and_then(|rest| rest.strip_prefix('±').or(rest.strip_prefix("+-")));
        let number = number.ok_or("expected data, state±R or state±Rstd")?;
        let (number, relative) = number.strip_suffix("std").map_or((number, false), |number| (number, true));
        let radius: f64 = number.trim().parse().map_err(|_| format!("`{number}` is not a number"))?;
        let valid = radius.is_finite() && radius >= 0.0;
        if valid { Ok(Self::Around { radius, relative }) } else { Err(format!("`{number}` is not a valid radius")) }
    }
}

/// The standard deviation of each coordinate over `[R, dim]`.
fn standard_deviations(inputs: &[f64], dim: usize) -> Vec<f64> {
    let count = (inputs.len() / dim.max(1)).max(1) as f64;
    let column = |i: usize| inputs.iter().skip(i).step_by(dim);
    let deviation = |i: usize| {
        let mean = column(i).sum::<f64>() / count;
        (column(i).map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    (0..dim).map(deviation).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deviations_by_hand() {
        assert_eq!(standard_deviations(&[0.0, 5.0, 2.0, 5.0], 2), [1.0, 0.0]);
    }
}
