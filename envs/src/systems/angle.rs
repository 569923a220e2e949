//! The two ways to observe a state with one angle.

/// The form in which the environment shows a state with one angle θ, measured from upright.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AngleObservation {
    /// The state itself, θ not wrapped.
    Angle,
    /// cos θ and sin θ in the place of θ.
    Trig,
}

impl AngleObservation {
    /// Numbers in an observation of a state with `n` numbers.
    pub(super) fn dim(self, n: usize) -> usize {
        n + usize::from(self == Self::Trig)
    }

    /// Writes the observation of a state whose angle is at `at`.
    pub(super) fn observe(self, at: usize, x: &[f64], obs: &mut [f64]) {
        match self {
            Self::Angle => obs.copy_from_slice(x),
            Self::Trig => {
                obs[..at].copy_from_slice(&x[..at]);
                (obs[at + 1], obs[at]) = x[at].sin_cos();
                obs[at + 2..].copy_from_slice(&x[at + 1..]);
            }
        }
    }

    /// Writes ∂(obs)/∂x, `[o, n]`, into `c`.
    pub(super) fn jacobian(self, at: usize, x: &[f64], c: &mut [f64]) {
        let n = x.len();
        c.fill(0.0);
        match self {
            Self::Angle => (0..n).for_each(|i| c[i * n + i] = 1.0),
            Self::Trig => {
                (0..at).for_each(|i| c[i * n + i] = 1.0);
                let (sin, cos) = x[at].sin_cos();
                (c[at * n + at], c[(at + 1) * n + at]) = (-sin, cos);
                (at + 1..n).for_each(|i| c[(i + 1) * n + i] = 1.0);
            }
        }
    }

    /// Writes the state behind an observation; a (cos, sin) off the circle counts as its direction.
    pub(super) fn state(self, at: usize, obs: &[f64], x: &mut [f64]) {
        match self {
            Self::Angle => x.copy_from_slice(obs),
            Self::Trig => {
                x[..at].copy_from_slice(&obs[..at]);
                x[at] = obs[at + 1].atan2(obs[at]);
                x[at + 1..].copy_from_slice(&obs[at + 2..]);
            }
        }
    }
}
