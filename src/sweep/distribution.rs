//! Distributions of the settings of random combinations and searches.

use liprl_numerics::{StreamRng, Streams};
use rand_distr::{Distribution as _, Normal, Uniform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The distribution of a setting.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Uniform between two numbers: density 1 / (high − low).
    Uniform(RealInterval),
    /// Its logarithm is uniform: density ∝ 1 / x. Both ends above 0.
    LogUniform(RealInterval),
    /// Normal with this mean and standard deviation.
    Normal(Moments),
    /// Its logarithm is normal with this mean and standard deviation.
    LogNormal(Moments),
    /// Uniform over the whole numbers from one to another, both included.
    Int(IntegerInterval),
    /// A whole number from one to another, both included; the logarithm of the number before
    /// rounding is uniform. Both ends at least 1.
    LogInt(IntegerInterval),
    /// Uniform over a list.
    Choice(Vec<Value>),
}

/// An interval of real numbers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RealInterval {
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// An interval of whole numbers.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct IntegerInterval {
    /// Lower end.
    pub low: i64,
    /// Upper end.
    pub high: i64,
}

/// Mean and standard deviation.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Moments {
    /// Mean.
    pub mean: f64,
    /// Standard deviation.
    pub std: f64,
}

impl Distribution {
    /// Draws `count` values for a path. They depend on seed, path and distribution alone: a larger
    /// count keeps the earlier ones, and other paths change nothing.
    ///
    /// # Errors
    /// A message if the distribution is empty or its parameters are out of range.
    pub fn draws(&self, seed: u64, path: &str, count: u32) -> Result<Vec<Value>, String> {
        let rng = &mut Streams::new(seed).rng(&format!("sweep/{path}"));
        (0..count).map(|_| self.draw(rng)).collect()
    }

    /// Draws one value.
    ///
    /// # Errors
    /// Those of [`draws`](Self::draws).
    pub(super) fn draw(&self, rng: &mut StreamRng) -> Result<Value, String> {
        Ok(match self {
            Self::Uniform(of) => uniform(of.low, of.high, rng)?.into(),
            Self::LogUniform(of) if of.low > 0.0 => {
                uniform(of.low.ln(), of.high.ln(), rng)?.exp().clamp(of.low, of.high).into()
            }
            Self::LogUniform(_) => return Err("`low` must be above 0".to_owned()),
            Self::Normal(of) => normal(of, rng)?.into(),
            Self::LogNormal(of) => normal(of, rng)?.exp().into(),
            Self::Int(of) => {
                let ends = Uniform::new_inclusive(of.low, of.high);
                ends.map_err(|_| "`low` must be at most `high`".to_owned())?.sample(rng).into()
            }
            Self::LogInt(of) if of.low >= 1 => {
                let (low, high) = ((of.low as f64 - 0.5).ln(), (of.high as f64 + 0.5).ln());
                (uniform(low, high, rng)?.exp().round() as i64).clamp(of.low, of.high).into()
            }
            Self::LogInt(_) => return Err("`low` must be at least 1".to_owned()),
            Self::Choice(of) => {
                let index = Uniform::new(0, of.len()).map_err(|_| "the list is empty".to_owned())?.sample(rng);
                of[index].clone()
            }
        })
    }
}

fn uniform(low: f64, high: f64, rng: &mut StreamRng) -> Result<f64, String> {
    let ends = Uniform::new(low, high).map_err(|_| "`low` must be below `high`".to_owned())?;
    Ok(ends.sample(rng))
}

fn normal(of: &Moments, rng: &mut StreamRng) -> Result<f64, String> {
    if of.std <= 0.0 {
        return Err("`std` must be above 0".to_owned());
    }
    Ok(Normal::new(of.mean, of.std).map_err(|error| error.to_string())?.sample(rng))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(of: &str, count: u32) -> Vec<f64> {
        let of: Distribution = serde_json::from_str(of).unwrap();
        of.draws(7, "agent.x", count).unwrap().iter().map(|value| value.as_f64().unwrap()).collect()
    }

    /// Mean and standard deviation of 20,000 draws lie within five standard errors of the closed
    /// forms.
    #[test]
    fn moments_are_those_of_the_distributions() {
        let count = 20_000;
        let check = |draws: Vec<f64>, mean: f64, std: f64| {
            let n = draws.len() as f64;
            let found = draws.iter().sum::<f64>() / n;
            let spread = (draws.iter().map(|x| (x - found).powi(2)).sum::<f64>() / (n - 1.0)).sqrt();
            assert!((found - mean).abs() < 5.0 * std / n.sqrt(), "mean {found}, expected {mean}");
            assert!((spread / std - 1.0).abs() < 5.0 / n.sqrt(), "std {spread}, expected {std}");
        };
        check(numbers(r#"{"uniform": {"low": -1, "high": 3}}"#, count), 1.0, (16.0_f64 / 12.0).sqrt());
        let logs = numbers(r#"{"log_uniform": {"low": 1e-4, "high": 1e-2}}"#, count);
        assert!(logs.iter().all(|x| (1e-4..=1e-2).contains(x)));
        let width = 100.0_f64.ln();
        check(logs.iter().map(|x| x.ln()).collect(), (1e-3_f64).ln(), width / 12.0_f64.sqrt());
        check(numbers(r#"{"normal": {"mean": 2, "std": 0.5}}"#, count), 2.0, 0.5);
        let logs = numbers(r#"{"log_normal": {"mean": -1, "std": 0.5}}"#, count);
        check(logs.iter().map(|x| x.ln()).collect(), -1.0, 0.5);
        check(numbers(r#"{"int": {"low": 1, "high": 6}}"#, count), 3.5, (35.0_f64 / 12.0).sqrt());
        check(numbers(r#"{"choice": [0, 1]}"#, count), 0.5, 0.5);
        // P(k) = ln((k + ½) / (k − ½)) / ln(4.5 / 0.5) for k in 1..=4.
        let weights: Vec<f64> =
            (1..=4).map(|k| ((f64::from(k) + 0.5) / (f64::from(k) - 0.5)).ln() / 9.0_f64.ln()).collect();
        let mean: f64 = (1..=4).zip(&weights).map(|(k, w)| f64::from(k) * w).sum();
        let var: f64 = (1..=4).zip(&weights).map(|(k, w)| (f64::from(k) - mean).powi(2) * w).sum();
        check(numbers(r#"{"log_int": {"low": 1, "high": 4}}"#, count), mean, var.sqrt());
    }

    #[test]
    fn more_points_keep_the_earlier_ones_and_paths_differ() {
        let of: Distribution = serde_json::from_str(r#"{"uniform": {"low": 0, "high": 1}}"#).unwrap();
        let (few, many) = (of.draws(1, "a", 3).unwrap(), of.draws(1, "a", 9).unwrap());
        assert_eq!(few[..], many[..3]);
        assert_ne!(few, of.draws(1, "b", 3).unwrap());
        assert_ne!(few, of.draws(2, "a", 3).unwrap());
    }

    #[test]
    fn what_nothing_can_be_drawn_from_is_refused() {
        for of in [
            r#"{"uniform": {"low": 1, "high": 1}}"#,
            r#"{"log_uniform": {"low": 0, "high": 1}}"#,
            r#"{"normal": {"mean": 0, "std": -1}}"#,
            r#"{"int": {"low": 2, "high": 1}}"#,
            r#"{"log_int": {"low": 0, "high": 1}}"#,
            r#"{"choice": []}"#,
        ] {
            let of: Distribution = serde_json::from_str(of).unwrap();
            assert!(of.draws(0, "a", 1).is_err(), "{of:?}");
        }
    }
}
