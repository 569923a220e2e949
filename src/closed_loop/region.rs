//! The region that the bounds hold on, within a box: on a linear system the tube around the
//! expert's loops, on a nonlinear one the basin.

use liprl_control::bounds::Basin;
use liprl_numerics::neighbours::Tree;

/// A margin for rounding in distances.
const MARGIN: f64 = 1e-9;

pub(super) struct LoopRegion<'a> {
    pub(super) low: Vec<f64>,
    pub(super) high: Vec<f64>,
    body: Body<'a>,
}

enum Body<'a> {
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
            Body::Ellipsoid(basin) => {
                basin.norm(centre) > (basin.radius + basin.longest * radius) * (1.0 + MARGIN) + MARGIN
            }
        }
    }
}
