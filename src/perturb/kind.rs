//! Kinds and sizes of perturbations, as `--disturb` gives them.

use std::fmt;
use std::str::FromStr;

use liprl_analysis::nearest;

/// A kind of perturbation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PerturbationKind {
    /// Uniform in the ball, anew at each step.
    Uniform,
    /// One direction for the whole episode.
    Bias,
    /// The worst for each step's action.
    Pgd,
    /// The worst for each step's value, as estimated by the agent's critic.
    Critic,
    /// The worst along the trajectory.
    Trajectory,
}

impl PerturbationKind {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Uniform, "uniform"),
        (Self::Bias, "bias"),
        (Self::Pgd, "pgd"),
        (Self::Critic, "critic"),
        (Self::Trajectory, "trajectory"),
    ];
}

impl fmt::Display for PerturbationKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(kind, _)| kind == self).map_or("", |(_, name)| name);
        f.pad(name)
    }
}

/// A kind of perturbation and the sizes to try: `pgd:0.05,0.1`.
#[derive(Clone, Debug, PartialEq)]
pub struct Perturbations {
    /// The kind.
    pub kind: PerturbationKind,
    /// ε, each above 0, ascending.
    pub sizes: Vec<f64>,
}

impl Perturbations {
    /// The kind with each of the sizes.
    pub fn each(&self) -> impl Iterator<Item = (PerturbationKind, f64)> {
        self.sizes.iter().map(|size| (self.kind, *size))
    }
}

impl FromStr for Perturbations {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let names = PerturbationKind::ALL.map(|(_, name)| name);
        let (name, sizes) = text.split_once(':').ok_or("expected KIND:EPS[,EPS…], such as pgd:0.05,0.1")?;
        let kind = PerturbationKind::ALL.iter().find(|(_, known)| *known == name.trim()).map(|(kind, _)| *kind);
        let kind = kind.ok_or_else(|| match nearest(name, names) {
            Some(near) => format!("there is no disturbance `{name}`; did you mean `{near}`?"),
            None => format!("there is no disturbance `{name}`; there are {}", names.join(", ")),
        })?;
        let size = |text: &str| match text.trim().parse::<f64>() {
            Ok(size) if size.is_finite() && size > 0.0 => Ok(size),
            Ok(size) => {
                Err(format!("ε must be a finite number above 0, found {size} (the undisturbed result is always shown)"))
            }
            Err(_) => Err(format!("`{text}` is not a number")),
        };
        let mut sizes = sizes.split(',').map(size).collect::<Result<Vec<_>, _>>()?;
        sizes.sort_by(f64::total_cmp);
        sizes.dedup();
        Ok(Self { kind, sizes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn perturbations_are_read_and_wrong_ones_explained() {
        let read: Perturbations = "pgd:0.2,0.05,0.2".parse().unwrap();
        assert_eq!(read, Perturbations { kind: PerturbationKind::Pgd, sizes: vec![0.05, 0.2] });
        for (text, problem) in [
            ("pgd", "expected KIND:EPS"),
            ("noise:0.1", "there is no disturbance `noise`; there are uniform, bias, pgd, critic, trajectory"),
            ("unifrm:0.1", "did you mean `uniform`?"),
            ("bias:0", "above 0, found 0"),
            ("bias:-0.1", "above 0, found -0.1"),
            ("bias:nan", "above 0"),
            ("bias:0.1,big", "`big` is not a number"),
        ] {
            let error = text.parse::<Perturbations>().unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
    }
}
