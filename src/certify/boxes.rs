//! Boxes around the inputs that episodes visit, or with given ends.

use std::fmt;
use std::str::FromStr;

use liprl_control::certify::{CertifyError, Region};

/// The boxes of one local bound.
#[derive(Clone, Debug, PartialEq)]
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
    /// One box, whatever the inputs visited.
    Given(GivenBox),
}

/// A box in numbers; a list of one number holds for all coordinates.
#[derive(Clone, Debug, PartialEq)]
pub struct GivenBox {
    /// The argument.
    text: String,
    /// Lower and upper ends, or centres and reaches.
    sides: [Vec<f64>; 2],
    /// True for centres and reaches.
    centred: bool,
}

impl BoxChoice {
    /// The choices of a report that names none.
    pub(crate) const DEFAULT: [Self; 2] = [Self::Data, Self::Around { radius: 0.1, relative: true }];

    /// Makes the boxes from inputs `[R, dim]`; [`BoxChoice::Around`] takes at most `count` evenly
    /// spaced rows.
    pub(super) fn regions(&self, inputs: &[f64], dim: usize, count: usize) -> Result<Vec<Region>, CertifyError> {
        let (radius, relative) = match self {
            Self::Data => return Ok(vec![Region::hull(inputs, dim)?]),
            Self::Given(given) => return Ok(vec![given.region(dim)?]),
            Self::Around { radius, relative } => (*radius, *relative),
        };
        let units = if relative { standard_deviations(inputs, dim) } else { vec![1.0; dim] };
        let radii: Vec<f64> = units.into_iter().map(|unit| radius * unit).collect();
        let rows = inputs.chunks_exact(dim);
        let stride = rows.len().div_ceil(count).max(1);
        rows.step_by(stride).map(|centre| Region::around(centre, &radii)).collect()
    }
}

impl GivenBox {
    /// The box for inputs of `dim` numbers.
    ///
    /// # Errors
    /// [`CertifyError::BadRegion`] for lists of another length.
    pub(crate) fn region(&self, dim: usize) -> Result<Region, CertifyError> {
        let spread = |side: &[f64]| match side {
            [one] => Ok(vec![*one; dim]),
            _ if side.len() == dim => Ok(side.to_vec()),
            _ => {
                let problem =
                    format!("`{}` has {} numbers for {dim} inputs; give one, or one for each", self.text, side.len());
                Err(CertifyError::BadRegion { problem })
            }
        };
        let [first, second] = [spread(&self.sides[0])?, spread(&self.sides[1])?];
        if self.centred { Region::around(&first, &second) } else { Region::new(first, second) }
    }

    /// Reads `LOW:HIGH` or `CENTRE±R`, lists with commas on either side.
    fn read(text: &str) -> Result<Self, String> {
        let sides = |mark| text.split_once(mark);
        let (centred, (first, second)) = match (sides(":"), sides("±").or_else(|| sides("+-"))) {
            (Some(sides), None) => (false, sides),
            (None, Some(sides)) => (true, sides),
            _ => return Err("expected data, state±R, state±Rstd, LOW:HIGH or CENTRE±R".to_owned()),
        };
        let numbers = |side: &str| {
            let each = side.split(',').map(|number| match number.trim().parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(number),
                _ => Err(format!("`{number}` is not a finite number")),
            });
            each.collect::<Result<Vec<f64>, String>>()
        };
        let (first, second) = (numbers(first)?, numbers(second)?);
        let count = first.len().max(second.len());
        let at = |side: &[f64], i: usize| if side.len() == 1 { side[0] } else { side[i] };
        if first.len().min(second.len()) < count && first.len().min(second.len()) != 1 {
            return Err(format!("{} numbers before the sign and {} after it", first.len(), second.len()));
        }
        for i in 0..count {
            if centred && at(&second, i) < 0.0 {
                return Err(format!("the reach {} is negative", at(&second, i)));
            }
            if !centred && at(&first, i) > at(&second, i) {
                return Err(format!("the lower end {} is above the upper one, {}", at(&first, i), at(&second, i)));
            }
        }
        Ok(Self { text: text.replace("+-", "±"), sides: [first, second], centred })
    }
}

impl fmt::Display for BoxChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data => f.write_str("data"),
            Self::Given(given) => f.write_str(&given.text),
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
        let Some(number) =
            text.strip_prefix("state").and_then(|rest| rest.strip_prefix('±').or(rest.strip_prefix("+-")))
        else {
            return GivenBox::read(text).map(Self::Given);
        };
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

    #[test]
    fn given_boxes_by_hand() {
        for (text, low, high) in [
            ("-1:2", [-1.0, -1.0], [2.0, 2.0]),
            ("0.5+-0.25", [0.25, 0.25], [0.75, 0.75]),
            ("1,-1±2", [-1.0, -3.0], [3.0, 1.0]),
            ("-1,0 : 1", [-1.0, 0.0], [1.0, 1.0]),
            ("0±1,2e-1", [-1.0, -0.2], [1.0, 0.2]),
        ] {
            let BoxChoice::Given(given) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!(given.region(2).unwrap(), Region::new(low.to_vec(), high.to_vec()).unwrap(), "{text}");
            assert_eq!(given.region(3).is_err(), text.contains(','), "{text}");
        }
        for text in ["", "1", "2:1", "0±-1", "a:b", "0:inf", "1,2:3,4,5", "1:2±3", "0,3:1,2", "±1"] {
            assert!(text.parse::<BoxChoice>().is_err(), "{text}");
        }
    }
}
