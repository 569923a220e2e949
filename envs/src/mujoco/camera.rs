//! Views of the tasks: those of Gymnasium 1.4, its `DEFAULT_CAMERA_CONFIG` where a task uses it.

/// A camera that looks along y. Gymnasium's stands still, and its robots walk out of the picture;
/// this one moves along with a body.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Camera {
    /// Point that it looks at in the initial pose, metres; `None`: the median of the geoms' places.
    pub(super) lookat: Option<[f64; 3]>,
    /// Distance from that point, metres; `None`: the model's extent.
    pub(super) distance: Option<f64>,
    /// Degrees, negative from above; `None`: MuJoCo's −45.
    pub(super) elevation: Option<f64>,
    /// Index of the body whose way on the ground it follows.
    pub(super) follows: Option<usize>,
}

impl Camera {
    /// Gymnasium's camera at this distance.
    pub(super) fn at(distance: f64) -> Self {
        Self { distance: Some(distance), ..Self::default() }
    }

    /// Gymnasium's camera at this distance from a point at this height, from 20 degrees above.
    pub(super) fn level(distance: f64, height: f64) -> Self {
        Self { lookat: Some([0.0, 0.0, height]), elevation: Some(-20.0), ..Self::at(distance) }
    }

    /// Follows the torso, which is the first body of Gymnasium's robots.
    pub(super) fn following(self) -> Self {
        Self { follows: Some(1), ..self }
    }
}
