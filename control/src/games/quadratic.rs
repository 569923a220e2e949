//! Games of quadratic losses fᵢ = ½ xᵢᵀAᵢᵢxᵢ + xᵢᵀ Σⱼ Aᵢⱼxⱼ + bᵢᵀxᵢ: the pseudo-gradient is affine, with
//! the Jacobian J of the blocks Aᵢⱼ, and the certificate holds everywhere.

use faer::{Mat, MatRef};
use liprl_numerics::linalg::spectral_norm;

use super::SmallGain;
use crate::{
    ControlError,
    algebra::{check, symmetric},
    extreme_eigenvalues,
};

/// A quadratic game.
#[derive(Clone, Debug)]
pub struct QuadraticGame {
    /// First coordinate of each player, and the end.
    starts: Vec<usize>,
    jacobian: Mat<f64>,
}

/// Step sizes η of simultaneous descent xᵢ ← xᵢ − η ∇ᵢfᵢ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepSizes {
    /// β: Lipschitz constant of the pseudo-gradient in the weighted norm.
    pub lipschitz: f64,
    /// Proven: all η below 2α*/β² contract.
    pub proven: f64,
    /// Exact for this game: all η below converge, none above (least 2 Re λ/|λ|² of J's eigenvalues).
    pub exact: f64,
}

impl QuadraticGame {
    /// The game of players with so many coordinates each, and J, `[n, n]`.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] if the sizes do not fit or a number is not finite.
    pub fn new(sizes: &[usize], jacobian: Mat<f64>) -> Result<Self, ControlError> {
        if sizes.is_empty() || sizes.contains(&0) {
            return Err(ControlError::bad("players", "must have a size of at least 1 for each player"));
        }
        let mut starts = vec![0];
        starts.extend(sizes.iter().scan(0, |end, size| {
            *end += size;
            Some(*end)
        }));
        let n = starts[sizes.len()];
        check("jacobian", jacobian.as_ref(), n, n)?;
        Ok(Self { starts, jacobian })
    }

    fn block(&self, i: usize, j: usize) -> MatRef<'_, f64> {
        let (rows, columns) = (self.starts[i], self.starts[j]);
        self.jacobian.submatrix(rows, columns, self.starts[i + 1] - rows, self.starts[j + 1] - columns)
    }

    /// μᵢ = λ_min(½(Aᵢᵢ + Aᵢᵢᵀ)), Lᵢⱼ = ‖Aᵢⱼ‖₂.
    pub fn small_gain(&self) -> Result<SmallGain, ControlError> {
        let n = self.starts.len() - 1;
        let curvature = (0..n).map(|i| Ok(extreme_eigenvalues(symmetric(self.block(i, i)).as_ref())?.0));
        let influence = (0..n * n).map(|k| match (k / n, k % n) {
            (i, j) if i == j => Ok(0.0),
            (i, j) => Ok(spectral_norm(self.block(i, j))?),
        });
        let (curvature, influence): (Result<Vec<_>, ControlError>, Result<Vec<_>, ControlError>) =
            (curvature.collect(), influence.collect());
        SmallGain::new(curvature?, influence?)
    }

    /// M^½ J M^−½ with M = diag(wᵢI).
    fn scaled(&self, weights: &[f64]) -> Mat<f64> {
        let player = |k: usize| self.starts.partition_point(|&start| start <= k) - 1;
        Mat::from_fn(self.jacobian.nrows(), self.jacobian.ncols(), |i, j| {
            (weights[player(i)] / weights[player(j)]).sqrt() * self.jacobian[(i, j)]
        })
    }

    /// The exact rate of contraction in the norm of these weights: λ_min of the symmetric part.
    /// [`SmallGain::margin`] is at most this.
    pub fn rate(&self, weights: &[f64]) -> Result<f64, ControlError> {
        Ok(extreme_eigenvalues(symmetric(self.scaled(weights).as_ref()).as_ref())?.0)
    }

    /// The step sizes that a margin α* of these weights proves.
    pub fn step_sizes(&self, weights: &[f64], margin: f64) -> Result<StepSizes, ControlError> {
        let lipschitz = spectral_norm(self.scaled(weights).as_ref())?;
        let what = "an eigenvalue decomposition";
        let values = self.jacobian.as_ref().eigenvalues().map_err(|_| ControlError::NotConverged { what })?;
        let steps = values.iter().map(|l| 2.0 * l.re / (l.re * l.re + l.im * l.im));
        let exact = steps.fold(f64::INFINITY, f64::min).max(0.0);
        Ok(StepSizes { lipschitz, proven: (2.0 * margin / lipschitz.powi(2)).max(0.0), exact })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published game, scalar or with an orthogonal block of 8 (a cyclic shift).
    fn game(lambda: f64, size: usize) -> QuadraticGame {
        let jacobian = Mat::from_fn(2 * size, 2 * size, |i, j| {
            let shifted = (i % size + 1) % size == j % size;
            match (i < size, j < size) {
                _ if i == j => 1.0,
                (true, false) if shifted => 10.0 * lambda,
                (false, true) if (j % size + 1) % size == i % size => 0.05 * lambda,
                _ => 0.0,
            }
        });
        QuadraticGame::new(&[size, size], jacobian).unwrap()
    }

    #[test]
    fn the_published_game_has_its_step_sizes() {
        for size in [1, 8] {
            for (lambda, margin, beta, proven) in [
                (0.5, 0.646_447, 1.353_553, 0.705_687),
                (1.0, 0.292_893, 1.707_107, 0.201_010),
                (1.4, 0.010_051, 1.989_949, 0.005_076),
            ] {
                let (game, weights) = (game(lambda, size), [1.0, 200.0]);
                let alpha = game.small_gain().unwrap().margin(&weights).unwrap();
                let steps = game.step_sizes(&weights, alpha).unwrap();
                assert!((alpha - margin).abs() < 1e-6 && game.rate(&weights).unwrap() >= alpha - 1e-12);
                assert!((steps.lipschitz - beta).abs() < 1e-6, "{size} {lambda}: {steps:?}");
                assert!((steps.proven - proven).abs() < 1e-6, "{size} {lambda}: {steps:?}");
                assert!(steps.proven <= steps.exact);
            }
        }
        // The scalar game's eigenvalues are 1 ± λ√½: 2/(1 + λ√½).
        for (lambda, exact) in [(0.5, 1.477_592), (1.0, 1.171_573), (1.4, 1.005_051)] {
            let game = game(lambda, 1);
            assert!((game.step_sizes(&[1.0, 200.0], 0.0).unwrap().exact - exact).abs() < 1e-6);
        }
    }

    #[test]
    fn descent_converges_below_the_exact_step_and_not_above() {
        // A rotation with a pull to the middle: eigenvalues 0.3 ± 1.1i.
        let game = QuadraticGame::new(&[1, 1], faer::mat![[0.3, 1.1], [-1.1, 0.3]]).unwrap();
        let steps = game.step_sizes(&[1.0, 1.0], game.rate(&[1.0, 1.0]).unwrap()).unwrap();
        assert!((steps.exact - 0.6 / (0.09 + 1.21)).abs() < 1e-9 && (steps.proven - steps.exact).abs() < 1e-9);
        // The influences alone certify nothing here: the two cancel, which norms do not see.
        assert!(game.small_gain().unwrap().best_weights().unwrap().1 < 0.0);
        let length = |eta: f64| {
            let mut x = [1.0f64, 0.0];
            for _ in 0..400 {
                x = [x[0] - eta * (0.3 * x[0] + 1.1 * x[1]), x[1] - eta * (-1.1 * x[0] + 0.3 * x[1])];
            }
            x[0].hypot(x[1])
        };
        assert!(length(0.98 * steps.exact) < 1.0 && length(1.02 * steps.exact) > 1.0);
        assert!(QuadraticGame::new(&[2], faer::mat![[1.0]]).is_err());
        assert!(QuadraticGame::new(&[], Mat::new()).is_err());
    }
}
