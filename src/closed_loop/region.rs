//! The region that the bounds hold on, within a box: on a linear system the tube around the
//! expert's loops, of the runs or of all starts of a box; on a nonlinear one the basin.

use liprl_control::bounds::Basin;
use liprl_control::{ControlError, Lqr, spectral_norm};
use liprl_numerics::neighbours::Tree;

/// A margin for rounding in distances.
const MARGIN: f64 = 1e-9;

pub(super) struct LoopRegion<'a> {
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
    body: Body<'a>,
}

enum Body<'a> {
    /// All points x with √(xᵀPx) up to this, the second number being √λ_max(P).
    Level(&'a Lqr, f64, f64),
    /// All points within this distance of one of these states.
    Tube(&'a Tree<'a>, f64),
    Ellipsoid(&'a Basin),
}

impl<'a> LoopRegion<'a> {
    /// The balls of this radius around `states`, which lie in the box `low` … `high`.
    pub(super) fn tube(states: &'a Tree<'a>, (low, high): (&[f64], &[f64]), radius: f64) -> Self {
        let low = low.iter().map(|x| x - radius).collect();
        let high = high.iter().map(|x| x + radius).collect();
        Self { low, high, body: Body::Tube(states, radius) }
    }

    /// The balls of this radius around states with √(xᵀPx) up to `level`, which lie in the box `low` …
    /// `high`; and what else is that close in that norm.
    pub(super) fn level(
        lqr: &'a Lqr,
        level: f64,
        (low, high): (&[f64], &[f64]),
        radius: f64,
    ) -> Result<Self, ControlError> {
        let longest = spectral_norm(lqr.optimal.cost.as_ref())?.sqrt();
        let wider = |ends: &[f64], sign: f64| ends.iter().map(|x| x + sign * (radius + MARGIN * x.abs())).collect();
        let body = Body::Level(lqr, level + longest * radius, longest);
        Ok(Self { low: wider(low, -1.0), high: wider(high, 1.0), body })
    }

    pub(super) fn basin(basin: &'a Basin) -> Self {
        let low = basin.half.iter().map(|half| -half).collect();
        Self { low, high: basin.half.clone(), body: Body::Ellipsoid(basin) }
    }

    /// True if no point of the region is within `radius` of `centre`; false also if that is not
    /// known.
    pub(super) fn misses(&self, centre: &[f64], radius: f64) -> bool {
        match &self.body {
            Body::Tube(states, own) => {
                let reach = (own + radius) * (1.0 + MARGIN) + MARGIN;
                let (mut found, from) = (false, reach);
                states.visit(centre, from, |_, _| {
                    found = true;
                    0.0
                });
                !found
            }
            Body::Level(lqr, level, longest) => {
                lqr.optimal_cost(centre).max(0.0).sqrt() > (level + longest * radius) * (1.0 + MARGIN) + MARGIN
            }
            Body::Ellipsoid(basin) => {
                basin.norm(centre) > (basin.radius + basin.longest * radius) * (1.0 + MARGIN) + MARGIN
            }
        }
    }
}
