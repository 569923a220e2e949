//! Bounds on the Jacobian over a box from its value in the middle and the second derivatives over
//! the box. Their error falls with the square of the box's size, that of slopes taken apart from
//! their inputs only with the size.
//!
//! Layer by layer, F = ∂z/∂x and G = ∂²z/∂x² follow from those before: F' = W diag(φ'(z)) F and, with
//! all pairs of inputs side by side, G' = W (diag(φ''(z)) F ⊗ F + diag(φ'(z)) G). The output map is
//! one more layer. By the mean value theorem z(x) = z(c) + F (x − c) and F(x) = F(c) + G (x − c),
//! for F and G between their bounds; so each bound tightens the one before.

use faer::Mat;
use liprl_numerics::Activation;

use super::{
    algebra::UNIT_ROUNDOFF,
    error::CertifyError,
    lines::Interval,
    local::{SlopeRanges, slopes_on},
    network::Network,
    region::Region,
    slopes::{curvature_between, slopes_between},
};

/// Most products in the second derivatives for which they are worth the time.
const MOST_PRODUCTS: usize = 30_000_000;

/// A matrix between middle ± radius, entry by entry.
#[derive(Clone)]
struct Ball {
    middle: Mat<f64>,
    radius: Mat<f64>,
}

impl Ball {
    fn new(middle: Mat<f64>) -> Self {
        let radius = Mat::zeros(middle.nrows(), middle.ncols());
        Self { middle, radius }
    }

    /// |middle| + radius.
    fn sizes(&self) -> Mat<f64> {
        absolute(&self.middle) + &self.radius
    }

    /// diag(factors) · self.
    fn scaled(&self, factors: &[(f64, f64)]) -> Self {
        let sizes = self.sizes();
        let middle = |i: usize| 0.5 * (factors[i].0 + factors[i].1);
        let radius = |i: usize| 0.5 * (factors[i].1 - factors[i].0) + 2.0 * UNIT_ROUNDOFF * middle(i).abs();
        Self {
            middle: Mat::from_fn(sizes.nrows(), sizes.ncols(), |i, j| middle(i) * self.middle[(i, j)]),
            radius: Mat::from_fn(sizes.nrows(), sizes.ncols(), |i, j| {
                let (middle, radius) = (middle(i).abs(), radius(i));
                (middle * self.radius[(i, j)] + radius * sizes[(i, j)]) * (1.0 + 8.0 * UNIT_ROUNDOFF)
                    + 2.0 * UNIT_ROUNDOFF * middle * sizes[(i, j)]
            }),
        }
    }

    /// Row by row, the products of all pairs of entries.
    fn pairs(&self) -> Self {
        let (n, sizes) = (self.middle.ncols(), self.sizes());
        let each =
            |of: &dyn Fn(usize, usize, usize) -> f64| Mat::from_fn(sizes.nrows(), n * n, |i, p| of(i, p / n, p % n));
        Self {
            middle: each(&|i, j, k| self.middle[(i, j)] * self.middle[(i, k)]),
            radius: each(&|i, j, k| {
                let spread = self.middle[(i, j)].abs() * self.radius[(i, k)] + self.radius[(i, j)] * sizes[(i, k)];
                raised(spread) + 2.0 * UNIT_ROUNDOFF * sizes[(i, j)] * sizes[(i, k)]
            }),
        }
    }

    /// leftᵀ · self.
    fn left(&self, left: &Self) -> Self {
        let (own, theirs) = (self.sizes(), left.sizes());
        let sizes = theirs.transpose() * &own;
        let spread = absolute(&left.middle).transpose() * &self.radius + left.radius.transpose() * &own;
        let unit = 4.0 * UNIT_ROUNDOFF * (own.nrows() + 8) as f64;
        Self {
            middle: left.middle.transpose() * &self.middle,
            radius: Mat::from_fn(sizes.nrows(), sizes.ncols(), |i, j| spread[(i, j)] + unit * sizes[(i, j)]),
        }
    }
}

fn absolute(a: &Mat<f64>) -> Mat<f64> {
    Mat::from_fn(a.nrows(), a.ncols(), |i, j| a[(i, j)].abs())
}

/// Bounds on the outputs' derivatives.
pub(super) struct Centred {
    /// Of each entry of the Jacobian.
    pub(super) entries: Vec<Interval>,
    /// On each row's ℓ1 norm.
    pub(super) sums: Vec<f64>,
    /// Share of each input's width in the entries' widths.
    pub(super) shares: Vec<f64>,
}

/// Values and derivatives of one layer over the box, and in its middle.
struct Layer {
    z: Interval,
    first: Ball,
    second: Ball,
    at_middle: Ball,
}

/// Bounds on the Jacobian over `slopes`' box; `None` where a kink leaves no second derivative or
/// it is not worth the time.
pub(super) fn centred(network: &Network, slopes: &SlopeRanges) -> Result<Option<Centred>, CertifyError> {
    let (weights, inputs, activation) = (network.weights(), network.inputs(), network.activation());
    let products: usize = weights[1..].iter().map(|weight| weight.nrows() * weight.ncols() * inputs * inputs).sum();
    let linear = matches!(activation, Activation::Relu | Activation::LeakyRelu(_));
    let unsure = slopes.hidden.iter().flatten().any(|(least, most)| least < most);
    if products > MOST_PRODUCTS || (linear && (unsure || network.squash().is_none())) {
        return Ok(None);
    }
    let middle = slopes.region.centre();
    let Some(there) = slopes_on(network, &Region::new(middle.clone(), middle.clone())?, &[])? else { return Ok(None) };
    let reach: Vec<f64> =
        slopes.region.ends().zip(&middle).map(|((low, high), c)| raised((c - low).max(high - c))).collect();
    let exact = Ball::new(weights[0].clone());
    let none = Ball::new(Mat::zeros(weights[0].nrows(), inputs * inputs));
    let mut layer = Layer { z: slopes.inputs[0].clone(), at_middle: exact.clone(), first: exact, second: none };
    layer.tighten(&there.inputs[0], &reach);
    for (k, weight) in weights[1..].iter().enumerate() {
        let map = Ball::new(weight.transpose().to_owned());
        let (first, second) = layer.after(activation);
        let at_middle = layer.at_middle.scaled(&there.hidden[k]);
        let z = slopes.inputs[k + 1].clone();
        layer = Layer { z, first: first.left(&map), second: second.left(&map), at_middle: at_middle.left(&map) };
        layer.tighten(&there.inputs[k + 1], &reach);
    }
    if let Some(scale) = network.squash() {
        let scale: Vec<(f64, f64)> = scale.iter().map(|&scale| (scale, scale)).collect();
        let (first, second) = layer.after(Activation::Tanh);
        layer.at_middle = layer.at_middle.scaled(&there.head);
        (layer.first, layer.second) = (first.scaled(&scale), second.scaled(&scale));
        layer.tighten_first(&reach);
    }
    Ok(Some(layer.bounds(&reach)))
}

impl Layer {
    /// Takes what the mean value theorem says of z and F, if it says more.
    fn tighten(&mut self, z_at_middle: &Interval, reach: &[f64]) {
        self.tighten_first(reach);
        let sizes = self.first.sizes();
        for (i, (low, high)) in z_at_middle.ends().enumerate() {
            let spread = raised((0..reach.len()).map(|j| sizes[(i, j)] * reach[j]).sum::<f64>());
            self.z.low[i] = self.z.low[i].max(low - spread - 4.0 * UNIT_ROUNDOFF * (low.abs() + spread));
            self.z.high[i] = self.z.high[i].min(high + spread + 4.0 * UNIT_ROUNDOFF * (high.abs() + spread));
        }
    }

    /// That of F alone.
    fn tighten_first(&mut self, reach: &[f64]) {
        let (sizes, n) = (self.second.sizes(), reach.len());
        for i in 0..self.first.middle.nrows() {
            for j in 0..n {
                let spread = raised((0..n).map(|k| sizes[(i, j * n + k)] * reach[k]).sum::<f64>());
                let radius = spread + self.at_middle.radius[(i, j)];
                if radius < self.first.radius[(i, j)] {
                    self.first.middle[(i, j)] = self.at_middle.middle[(i, j)];
                    self.first.radius[(i, j)] = raised(radius);
                }
            }
        }
    }

    /// First and second derivatives of φ(z).
    fn after(&self, activation: Activation) -> (Ball, Ball) {
        let slopes: Vec<(f64, f64)> = self.z.ends().map(|(low, high)| slopes_between(activation, low, high)).collect();
        let bends: Vec<(f64, f64)> =
            self.z.ends().map(|(low, high)| curvature_between(activation, low, high)).collect();
        let mut second = self.first.pairs().scaled(&bends);
        let carried = self.second.scaled(&slopes);
        let sizes = second.sizes() + carried.sizes();
        second.middle += &carried.middle;
        second.radius += &carried.radius;
        second.radius += sizes * faer::Scale(8.0 * UNIT_ROUNDOFF);
        (self.first.scaled(&slopes), second)
    }

    /// Bounds on the Jacobian of the outputs.
    fn bounds(&self, reach: &[f64]) -> Centred {
        let (n, sizes) = (reach.len(), self.second.sizes());
        let mut found = Centred { entries: Vec::new(), sums: Vec::new(), shares: vec![0.0; n] };
        for i in 0..self.first.middle.nrows() {
            let ends = |j: usize| {
                let (middle, radius) = (self.first.middle[(i, j)], self.first.radius[(i, j)]);
                let spare = 4.0 * UNIT_ROUNDOFF * (middle.abs() + radius);
                (middle - radius - spare, middle + radius + spare)
            };
            let entries: Interval = (0..n).map(ends).collect();
            // Entries of a certain sign are summed before absolute values are taken.
            let sign: Vec<f64> = entries
                .ends()
                .map(|(low, high)| f64::from(u8::from(low > 0.0)) - f64::from(u8::from(high < 0.0)))
                .collect();
            let mut sum: f64 = (0..n)
                .map(|j| if sign[j] == 0.0 { entries.low[j].abs().max(entries.high[j].abs()) } else { 0.0 })
                .sum();
            sum += (0..n)
                .map(|j| sign[j].abs() * (self.at_middle.middle[(i, j)].abs() + self.at_middle.radius[(i, j)]))
                .sum::<f64>();
            for (k, reach) in reach.iter().enumerate() {
                let column = (0..n).map(|j| j * n + k);
                let total: f64 = column.clone().zip(&sign).map(|(p, sign)| sign * self.second.middle[(i, p)]).sum();
                let size: f64 = column.clone().zip(&sign).map(|(p, sign)| sign.abs() * sizes[(i, p)]).sum();
                let radius: f64 =
                    column.clone().zip(&sign).map(|(p, sign)| sign.abs() * self.second.radius[(i, p)]).sum();
                sum += (total.abs() + raised(radius) + 4.0 * UNIT_ROUNDOFF * (n + 8) as f64 * size) * reach;
                found.shares[k] += column.map(|p| sizes[(i, p)]).sum::<f64>() * reach;
            }
            found.sums.push(raised(sum.min(entries.sizes().iter().sum())));
            found.entries.push(entries);
        }
        found
    }
}

/// A sum of numbers that are not negative, moved above its rounding.
fn raised(sum: f64) -> f64 {
    sum * (1.0 + 1e-12)
}
