//! B2, B3 and B4: deviation from the expert's loop of a loop whose actions are off by at most e,
//! and its cost.
//!
//! B4 needs no formula of its own. Under measurement errors of size ε the action is off by at most
//! e + αε (`disturbed_error`). With that error B2 and B3 hold against the undisturbed expert.

use faer::MatRef;
use liprl_numerics::linalg::spectral_norm;

use super::constant::Constant;
use crate::{algebra::extreme_eigenvalues, error::ControlError, gain::power_sum, lqr::Lqr};

/// Decay of a disturbance in the expert's loop (A1 and A2).
#[derive(Clone, Debug, PartialEq)]
pub enum Stability {
    /// ‖F*ᵗ(x) − F*ᵗ(y)‖ ≤ κρᵗ‖x − y‖, and the input moves the next state by at most L_u.
    Contracting {
        /// κ ≥ 1.
        overshoot: Constant,
        /// ρ < 1.
        rate: Constant,
        /// L_u.
        input: Constant,
    },
    /// A linear loop: the exact effect of unit errors over t steps.
    Linear {
        /// G = Σ_k ‖A_clᵏB‖ over all k.
        gain: Constant,
        /// Σ_{k<t} ‖A_clᵏB‖ for t = 0, 1, …; G beyond.
        partial: Vec<f64>,
    },
}

/// A4: Lipschitz constants of the stage cost on the tube, and of the expert.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// ℓ_x.
    pub state: Constant,
    /// ℓ_u.
    pub input: Constant,
    /// ℓ*.
    pub expert: Constant,
}

impl Stability {
    /// A contracting loop.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for κ < 1, ρ outside [0, 1) or L_u < 0.
    pub fn contracting(overshoot: Constant, rate: Constant, input: Constant) -> Result<Self, ControlError> {
        if overshoot.above_zero("κ")? < 1.0 {
            return Err(ControlError::bad("κ", format!("must be at least 1, found {}", overshoot.value)));
        }
        if rate.at_least_zero("ρ")? >= 1.0 {
            return Err(ControlError::bad("ρ", format!("must be below 1, found {}", rate.value)));
        }
        input.at_least_zero("L_u")?;
        Ok(Self::Contracting { overshoot, rate, input })
    }

    /// The linear loop A_cl with input matrix B, exact for the first `steps` and in total.
    ///
    /// # Errors
    /// [`ControlError::NotStable`] if the loop is not stable.
    pub fn linear(closed_loop: MatRef<'_, f64>, b: MatRef<'_, f64>, steps: usize) -> Result<Self, ControlError> {
        let gain = Constant::certified(power_sum(closed_loop, b)?);
        let (mut term, mut sum, mut partial) = (b.to_owned(), 0.0, vec![0.0]);
        for _ in 0..steps {
            sum += spectral_norm(term.as_ref())?;
            partial.push(f64::min(sum * (1.0 + 1e-12), gain.value));
            term = closed_loop * &term;
        }
        Ok(Self::Linear { gain, partial })
    }

    /// B2 after t steps: ‖x_t − x*_t‖ ≤ r_t = κ L_u e (1 − ρᵗ)/(1 − ρ), or Σ_{k<t}‖A_clᵏB‖ e. Both
    /// loops start at one state.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for a negative error.
    pub fn tube_after(&self, error: Constant, t: u64) -> Result<Constant, ControlError> {
        let e = error.at_least_zero("e")?;
        Ok(match self {
            Self::Contracting { overshoot, rate, input } => {
                let steps = (1.0 - rate.value.powf(t as f64)) / (1.0 - rate.value);
                Constant::from(overshoot.value * input.value * e * steps, &[*overshoot, *rate, *input, error])
            }
            Self::Linear { gain, partial } => {
                let sum = usize::try_from(t).ok().and_then(|t| partial.get(t)).copied().unwrap_or(gain.value);
                Constant::from(sum * e, &[*gain, error])
            }
        })
    }

    /// B2 for all times: κ L_u e/(1 − ρ), or G e.
    ///
    /// # Errors
    /// As `tube_after`.
    pub fn tube(&self, error: Constant) -> Result<Constant, ControlError> {
        self.tube_after(error, u64::MAX)
    }

    /// B4 against the undisturbed learned loop rather than the expert's: each is within its own
    /// tube around the expert's.
    ///
    /// # Errors
    /// As `tube_after`.
    pub fn tube_around_learned(&self, error: Constant, disturbed: Constant) -> Result<Constant, ControlError> {
        let (own, other) = (self.tube(error)?, self.tube(disturbed)?);
        Ok(Constant::from(own.value + other.value, &[own, other]))
    }

    /// B3 over `steps`: Σ_{t<T} γᵗ [(ℓ_x + ℓ_u ℓ*) r_t + ℓ_u e] bounds |J(π) − J(π*)|.
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for a negative constant or γ outside [0, 1].
    pub fn regret(&self, error: Constant, costs: Costs, gamma: f64, steps: u64) -> Result<Constant, ControlError> {
        if !(0.0..=1.0).contains(&gamma) {
            return Err(ControlError::bad("γ", format!("must be from 0 to 1, found {gamma}")));
        }
        let (state, input) = (costs.state.at_least_zero("ℓ_x")?, costs.input.at_least_zero("ℓ_u")?);
        let through_state = state + input * costs.expert.at_least_zero("ℓ*")?;
        let (mut sum, mut discount) = (0.0, 1.0);
        for t in 0..steps {
            sum += discount * (through_state * self.tube_after(error, t)?.value + input * error.value);
            discount *= gamma;
        }
        let tube = self.tube(error)?;
        Ok(Constant::from(sum, &[tube, costs.state, costs.input, costs.expert]))
    }

    /// B3 over an infinite horizon, γ < 1: e [ℓ_u/(1 − γ) + (ℓ_x + ℓ_u ℓ*) κ L_u γ/((1 − γ)(1 −
    /// γρ))]. For a linear loop the fraction is Gγ/(1 − γ).
    ///
    /// # Errors
    /// [`ControlError::BadInput`] for a negative constant or γ outside [0, 1).
    pub fn discounted_regret(&self, error: Constant, costs: Costs, gamma: f64) -> Result<Constant, ControlError> {
        if !(0.0..1.0).contains(&gamma) {
            return Err(ControlError::bad("γ", format!("must be at least 0 and below 1, found {gamma}")));
        }
        let (state, input) = (costs.state.at_least_zero("ℓ_x")?, costs.input.at_least_zero("ℓ_u")?);
        let through_state = state + input * costs.expert.at_least_zero("ℓ*")?;
        let deviation = match self {
            Self::Contracting { overshoot, rate, input, .. } => {
                overshoot.value * input.value * gamma / ((1.0 - gamma) * (1.0 - gamma * rate.value))
            }
            Self::Linear { gain, .. } => gain.value * gamma / (1.0 - gamma),
        };
        let value = error.at_least_zero("e")? * (input / (1.0 - gamma) + through_state * deviation);
        let tube = self.tube(error)?;
        Ok(Constant::from(value, &[tube, costs.state, costs.input, costs.expert]))
    }
}

/// The rate ρ + κ L_u (α + ℓ*) at which a learned loop decays that has the expert's equilibrium
/// exactly. Only a rate below 1 proves decay, which is rare. `None` for a linear loop's gain, which
/// has no rate.
///
/// # Errors
/// [`ControlError::BadInput`] for a negative α or ℓ*.
pub fn decay_with_exact_equilibrium(
    stability: &Stability,
    alpha: Constant,
    expert: Constant,
) -> Result<Option<Constant>, ControlError> {
    let slopes = alpha.at_least_zero("α")? + expert.at_least_zero("ℓ*")?;
    Ok(match stability {
        Stability::Contracting { overshoot, rate, input } => {
            let value = rate.value + overshoot.value * input.value * slopes;
            Some(Constant::from(value, &[*overshoot, *rate, *input, alpha, expert]))
        }
        Stability::Linear { .. } => None,
    })
}

/// B3 of a linear system with quadratic cost, from the regret identity: J_T(π) − J_T(π*) ≤
/// x*_TᵀPx*_T + T λ_max(R + BᵀPB) e², where ‖π(x) − π*(x)‖ ≤ e at every state on the way and `left`
/// is x*_TᵀPx*_T, the optimal cost from where the expert's loop ends.
///
/// # Errors
/// [`ControlError::BadInput`] for a negative error; [`ControlError::NotConverged`] if a
/// decomposition fails.
pub fn linear_regret(lqr: &Lqr, error: Constant, left: f64, steps: u64) -> Result<Constant, ControlError> {
    let excess = lqr.excess_rate()? * error.at_least_zero("e")?.powi(2);
    // P solves its equation only up to rounding.
    Ok(Constant::from((left + steps as f64 * excess) * (1.0 + 1e-9), &[error]))
}

impl Costs {
    /// The constants of xᵀQx + uᵀRu for ‖x‖ ≤ `states` and ‖u‖ ≤ `inputs`: 2‖Q‖ and 2‖R‖ times
    /// these, and ℓ* = ‖K‖₂ of the optimal feedback.
    ///
    /// # Errors
    /// [`ControlError::NotConverged`] if a decomposition fails.
    pub fn quadratic(lqr: &Lqr, states: Constant, inputs: Constant) -> Result<Self, ControlError> {
        let (q, r) = (extreme_eigenvalues(lqr.q.as_ref())?.1, extreme_eigenvalues(lqr.r.as_ref())?.1);
        Ok(Self {
            state: Constant::from(2.0 * q * states.at_least_zero("the states' radius")?, &[states]),
            input: Constant::from(2.0 * r * inputs.at_least_zero("the inputs' radius")?, &[inputs]),
            expert: Constant::certified(lqr.slope()?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sure(value: f64) -> Constant {
        Constant::certified(value)
    }

    #[test]
    fn closed_forms_are_the_sums_they_stand_for() {
        let loop_ = Stability::contracting(sure(2.0), sure(0.9), sure(0.5)).unwrap();
        let error = sure(0.1);
        // r₁ = κ L_u e, r₂ = κ L_u e (1 + ρ).
        assert!((loop_.tube_after(error, 1).unwrap().value - 0.1).abs() < 1e-15);
        assert!((loop_.tube_after(error, 2).unwrap().value - 0.19).abs() < 1e-15);
        assert!((loop_.tube(error).unwrap().value - 1.0).abs() < 1e-12);
        let costs = Costs { state: sure(3.0), input: sure(0.7), expert: sure(1.5) };
        let forever = loop_.discounted_regret(error, costs, 0.95).unwrap().value;
        let long = loop_.regret(error, costs, 0.95, 2000).unwrap().value;
        assert!((forever - long).abs() < 1e-9 * forever, "{forever} {long}");
        // One step: only the input differs.
        assert!((loop_.regret(error, costs, 1.0, 1).unwrap().value - 0.07).abs() < 1e-15);
        let guess = Stability::contracting(sure(2.0), Constant::estimated(0.9), sure(0.5)).unwrap();
        assert_eq!(guess.tube(error).unwrap(), Constant::estimated(loop_.tube(error).unwrap().value));
    }

    #[test]
    fn constants_out_of_range_are_refused() {
        for (found, problem) in [
            (Stability::contracting(sure(0.5), sure(0.9), sure(1.0)), "κ: must be at least 1"),
            (Stability::contracting(sure(2.0), sure(1.0), sure(1.0)), "ρ: must be below 1"),
            (Stability::contracting(sure(2.0), sure(0.9), sure(-1.0)), "L_u: must be a finite number of at least 0"),
        ] {
            let error = found.unwrap_err().to_string();
            assert!(error.starts_with(problem), "{error}");
        }
        let loop_ = Stability::contracting(sure(1.0), sure(0.5), sure(1.0)).unwrap();
        let costs = Costs { state: sure(1.0), input: sure(1.0), expert: sure(1.0) };
        assert!(loop_.discounted_regret(sure(0.1), costs, 1.0).is_err());
        let rate = decay_with_exact_equilibrium(&loop_, sure(0.1), sure(0.2)).unwrap().unwrap();
        assert!((rate.value - 0.8).abs() < 1e-15);
        let constant = decay_with_exact_equilibrium(&loop_, sure(0.0), sure(0.2)).unwrap().unwrap();
        assert!((constant.value - 0.7).abs() < 1e-15);
        assert!(decay_with_exact_equilibrium(&loop_, sure(-0.1), sure(0.2)).is_err());
    }
}
