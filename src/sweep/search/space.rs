//! The space of a search: values drawn from its distributions, and their coordinates for TPE.

use liprl_numerics::Streams;
use serde_json::Value;

use super::config::{SearchConfig, SearchMethod};
use super::tpe::{self, Axis, Trial};
use crate::sweep::distribution::Distribution;

/// Attempts to find a point by TPE that was not tried before.
const BY_MODEL: usize = 10;

/// One value for each path, in the order of the paths.
pub(super) type Point = Vec<Value>;

/// The distributions of a search.
pub(super) struct Space<'a> {
    config: &'a SearchConfig,
}

impl<'a> Space<'a> {
    pub(super) fn new(config: &'a SearchConfig) -> Self {
        Self { config }
    }

    /// Proposes the point of this number. `told` has the result of each point before it, of which
    /// more is better: −∞ for one that failed or that is not known yet. Another attempt proposes
    /// another point.
    ///
    /// # Errors
    /// The path and a message if a distribution is empty or out of range.
    pub(super) fn propose(
        &self,
        index: usize,
        attempt: usize,
        points: &[Point],
        told: &[f64],
    ) -> Result<Point, (&'a str, String)> {
        let streams = Streams::new(self.config.seed);
        let stream = |path: &str| streams.rng(&format!("sweep/search/{index}/{attempt}/{path}"));
        let modelled = self.config.method == SearchMethod::Tpe && index >= self.config.startup && attempt < BY_MODEL;
        if !modelled || told.iter().all(|value| value.is_infinite()) {
            let draw = |(path, of): (&'a String, &Distribution)| {
                of.draw(&mut stream(path)).map_err(|problem| (path.as_str(), problem))
            };
            return self.config.draw.iter().map(draw).collect();
        }
        let trial = |(point, value): (&Point, &f64)| Trial { at: self.coordinates(point), value: *value };
        let trials: Vec<Trial> = points.iter().zip(told).map(trial).collect();
        let axes: Vec<Axis> = self.config.draw.values().map(axis).collect();
        let at = tpe::ask(&axes, &trials, &mut stream("tpe"));
        Ok(self.config.draw.values().zip(at).map(|(of, at)| value_at(of, at)).collect())
    }

    /// Points whose values are the ends of a distribution and its choices, in turn.
    pub(super) fn ends(&self) -> Vec<Point> {
        let ends: Vec<Vec<Value>> = self.config.draw.values().map(ends).collect();
        let first: Point = ends.iter().filter_map(|values| values.first().cloned()).collect();
        let with = |place: usize, value: &Value| {
            let mut point = first.clone();
            point[place] = value.clone();
            point
        };
        let of_place = |(place, values): (usize, &Vec<Value>)| {
            values.iter().map(|value| with(place, value)).collect::<Vec<Point>>()
        };
        // Without values in some place no point is complete.
        if first.len() < ends.len() { Vec::new() } else { ends.iter().enumerate().flat_map(of_place).collect() }
    }

    fn coordinates(&self, point: &Point) -> Vec<f64> {
        self.config.draw.values().zip(point).map(|(of, value)| coordinate(of, value)).collect()
    }
}

/// The axis of a distribution.
fn axis(of: &Distribution) -> Axis {
    match of {
        Distribution::Choice(values) => Axis::Categories(values.len()),
        _ => Axis::Interval,
    }
}

/// The ends that coordinates 0 and 1 stand for, and true if they are logarithms. A whole number
/// stands for the interval that is rounded to it.
fn scale(of: &Distribution) -> (f64, f64, bool) {
    match of {
        Distribution::Uniform(of) => (of.low, of.high, false),
        Distribution::LogUniform(of) => (of.low.ln(), of.high.ln(), true),
        Distribution::Int(of) => (of.low as f64 - 0.5, of.high as f64 + 0.5, false),
        Distribution::LogInt(of) => ((of.low as f64 - 0.5).ln(), (of.high as f64 + 0.5).ln(), true),
        // TPE refuses the first two before; categories have no ends.
        Distribution::Normal(_) | Distribution::LogNormal(_) | Distribution::Choice(_) => (0.0, 1.0, false),
    }
}

/// The value at a coordinate: from 0 to 1, or a category's index.
fn value_at(of: &Distribution, at: f64) -> Value {
    if let Distribution::Choice(values) = of {
        return values.get(at as usize).cloned().unwrap_or_default();
    }
    let (low, high, is_log) = scale(of);
    let x = low + at * (high - low);
    let x = if is_log { x.exp() } else { x };
    match of {
        Distribution::Int(of) | Distribution::LogInt(of) => (x.round() as i64).clamp(of.low, of.high).into(),
        Distribution::Uniform(of) | Distribution::LogUniform(of) => x.clamp(of.low, of.high).into(),
        _ => x.into(),
    }
}

/// The coordinate of a value.
fn coordinate(of: &Distribution, value: &Value) -> f64 {
    if let Distribution::Choice(values) = of {
        return values.iter().position(|choice| choice == value).unwrap_or(0) as f64;
    }
    let (low, high, is_log) = scale(of);
    let x = value.as_f64().unwrap_or_default();
    let x = if is_log { x.ln() } else { x };
    ((x - low) / (high - low)).clamp(0.0, 1.0)
}

/// The least and the greatest value of a distribution, or its choices; none for one without ends.
fn ends(of: &Distribution) -> Vec<Value> {
    match of {
        Distribution::Uniform(of) | Distribution::LogUniform(of) => vec![of.low.into(), of.high.into()],
        Distribution::Int(of) | Distribution::LogInt(of) => vec![of.low.into(), of.high.into()],
        Distribution::Choice(values) => values.clone(),
        Distribution::Normal(of) => vec![of.mean.into()],
        Distribution::LogNormal(of) => vec![of.mean.exp().into()],
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn distribution(of: Value) -> Distribution {
        serde_json::from_value(of).unwrap()
    }

    #[test]
    fn coordinates_are_shares_of_the_way_between_the_ends() {
        for (of, value, at) in [
            (json!({"uniform": {"low": -1, "high": 3}}), json!(0), 0.25),
            (json!({"log_uniform": {"low": 1e-4, "high": 1e-2}}), json!(1e-3), 0.5),
            // Five numbers of a fifth each.
            (json!({"int": {"low": 1, "high": 5}}), json!(2), 0.3),
            (json!({"choice": ["relu", "tanh", {"kind": "x"}]}), json!({"kind": "x"}), 2.0),
            // ln(2 / ½) / ln(4½ / ½)
            (json!({"log_int": {"low": 1, "high": 4}}), json!(2), 4.0_f64.ln() / 9.0_f64.ln()),
        ] {
            let of = distribution(of);
            assert!((coordinate(&of, &value) - at).abs() < 1e-12, "{of:?} {value}");
            let back = value_at(&of, at);
            match (back.as_f64(), value.as_f64()) {
                (Some(back), Some(value)) => assert!((back - value).abs() < 1e-12, "{back} {value}"),
                _ => assert_eq!(back, value),
            }
        }
    }

    proptest! {
        #[test]
        fn every_coordinate_has_a_value_within_the_ends(at in 0.0..=1.0_f64) {
            for of in [
                json!({"uniform": {"low": -1, "high": 3}}),
                json!({"log_uniform": {"low": 1e-4, "high": 1e-2}}),
                json!({"int": {"low": 1, "high": 5}}),
                json!({"log_int": {"low": 1, "high": 400}}),
            ] {
                let of = distribution(of);
                let [low, high] = [0, 1].map(|end| ends(&of)[end].as_f64().unwrap());
                let value = value_at(&of, at);
                let number = value.as_f64().unwrap();
                prop_assert!((low..=high).contains(&number));
                let back = coordinate(&of, &value);
                // Whole numbers come back to the middle of their share.
                prop_assert!(value.is_i64() || (back - at).abs() < 1e-9);
                prop_assert!((value_at(&of, back).as_f64().unwrap() - number).abs() < 1e-9 * number.abs().max(1.0));
            }
        }
    }

    #[test]
    fn the_ends_hold_every_choice_and_both_sides() {
        let config: SearchConfig = serde_json::from_value(json!({
            "points": 3,
            "draw": {"a": {"int": {"low": 1, "high": 9}}, "b": {"choice": ["x", "y", "z"]}},
        }))
        .unwrap();
        let ends = Space::new(&config).ends();
        assert_eq!(
            ends,
            [
                vec![json!(1), json!("x")],
                vec![json!(9), json!("x")],
                vec![json!(1), json!("x")],
                vec![json!(1), json!("y")],
                vec![json!(1), json!("z")],
            ]
        );
    }

    #[test]
    fn proposals_depend_on_seed_number_and_attempt_and_random_ones_on_no_result() {
        let config = |method: &str, seed: u64| -> SearchConfig {
            let draw = json!({"a": {"uniform": {"low": 0, "high": 1}}, "b": {"uniform": {"low": 0, "high": 1}}});
            serde_json::from_value(json!({"method": method, "points": 9, "startup": 2, "seed": seed, "draw": draw}))
                .unwrap()
        };
        let (tpe, random, other) = (config("tpe", 0), config("random", 0), config("tpe", 1));
        let of = |config, index, attempt, told: &[f64]| {
            let points: Vec<Point> = (0..told.len()).map(|n| vec![json!(n as f64 / 9.0), json!(0.5)]).collect();
            Space::new(config).propose(index, attempt, &points, told).unwrap()
        };
        let (one, two) = ([1.0, 2.0, 3.0], [3.0, 2.0, 1.0]);
        assert_eq!(of(&tpe, 3, 0, &one), of(&tpe, 3, 0, &one));
        // A point that is far from all may be best by both.
        let several = |told: &[f64]| (3..9).map(|index| of(&tpe, index, 0, told)).collect::<Vec<Point>>();
        assert_ne!(several(&one), several(&two));
        assert_ne!(of(&tpe, 3, 0, &one), of(&tpe, 3, 1, &one));
        assert_ne!(of(&tpe, 3, 0, &one), of(&other, 3, 0, &one));
        assert_eq!(of(&random, 3, 0, &one), of(&random, 3, 0, &two));
        // The first ones are random for TPE too.
        assert_eq!(of(&tpe, 1, 0, &one[..1]), of(&random, 1, 0, &two[..1]));
        // Without a result so far there is nothing to model.
        assert_eq!(of(&tpe, 3, 0, &[f64::NEG_INFINITY; 3]), of(&random, 3, 0, &one));
    }
}
