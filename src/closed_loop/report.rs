//! The bounds as a table or as JSON.

use std::fmt::Write;

use liprl_control::bounds::{Constant, Provenance, Stability, decay_with_exact_equilibrium};
use serde_json::{Value, json};

use super::bounds::{Bounds, Unproven};
use super::system::Starts;
use super::{LoopResult, LoopStudy};
use crate::load::LoadedPolicy;
use crate::terminal::{rounded_down, rounded_up, table};

/// A bound and the largest value observed.
struct BoundLine {
    name: &'static str,
    epsilon: f64,
    bound: Option<Constant>,
    observed: f64,
}

impl LoopStudy {
    pub(crate) fn to_json(&self, loaded: &LoadedPolicy) -> anyhow::Result<Value> {
        let constants = self.constants()?.into_iter();
        let constants = constants.map(|(name, Constant { value, provenance })| {
            json!({"name": name, "value": value, "provenance": provenance, "meaning": meaning(name)})
        });
        Ok(json!({
            "run": loaded.origin,
            "step": loaded.step,
            "env": loaded.env,
            "seed": self.options.seed,
            "runs": self.options.runs,
            "horizon": self.options.horizon,
            "constants": constants.collect::<Vec<Value>>(),
            "alpha_everywhere_by": self.alpha_by,
            "regions": self.results.iter().map(LoopResult::region).collect::<Vec<Value>>(),
            "bounds": self.lines().iter().map(BoundLine::to_json).collect::<Vec<Value>>(),
            "regret_identity": self.identity(),
        }))
    }

    pub(crate) fn to_text(&self, loaded: &LoadedPolicy) -> anyhow::Result<String> {
        let mut text = String::new();
        let (origin, id) = (loaded.origin.display(), &loaded.env.id);
        writeln!(text, "closed loop of {origin} ({id}, step {}) against u = −Kx", loaded.step)?;
        match &self.system.basin {
            Some(basin) => {
                let half: Vec<String> = basin.half.iter().map(|half| format!("{half:.4}")).collect();
                let half = half.join(", ");
                writeln!(
                    text,
                    "nonlinear: bounds hold for starts in the inner half of an ellipsoid of half-widths {half}"
                )?;
            }
            None => text += &self.linear_starts(),
        }
        if let Err(why) = &self.system.samples {
            writeln!(text, "no bound from the data: {why}")?;
        }
        let rows = self.constants()?.into_iter();
        let rows = rows.map(|(name, found)| [name.to_owned(), rounded_up(found.value), word(found.provenance).into()]);
        writeln!(text, "\n{}", table(["constant", "value", ""], 1..2, rows.collect()))?;
        writeln!(text, "alpha_everywhere is proven by: {}\n", self.alpha_by)?;
        let rows = self.lines().iter().map(BoundLine::cells).collect();
        text += &table(["bound", "epsilon", "observed", "at most", "ratio", ""], 1..5, rows);
        let failed = self.results.iter().filter_map(|one| Some(one.bounds.as_ref().err()?.explain(one.epsilon)));
        let failed: Vec<String> = failed.collect();
        if !failed.is_empty() {
            writeln!(text, "\n{}", failed.join("\n"))?;
        }
        if let Some(identity) = self.identity() {
            writeln!(text, "\nregret identity of LQR: off by at most {identity:.1e} of the cost")?;
        }
        text += &self.legend()?;
        let (runs, horizon) = (self.options.runs, self.options.horizon);
        writeln!(text, "observed: the largest of {runs} runs of {horizon} steps for each epsilon")?;
        Ok(text)
    }

    /// The starts that the bounds hold for on a linear system.
    fn linear_starts(&self) -> String {
        let of = |starts: Starts| -> Vec<String> {
            let fits = |one: &&LoopResult| one.bounds.as_ref().is_ok_and(|bounds| bounds.starts == starts);
            self.results.iter().filter(fits).map(|one| one.epsilon.to_string()).collect()
        };
        let (all, some) = (of(Starts::Box).join(", "), of(Starts::Runs).join(", "));
        let mut text = String::new();
        if !all.is_empty() {
            text += &format!("linear: for ε = {all} bounds hold for every start in the environment's box\n");
        }
        if !some.is_empty() {
            text += &format!(
                "linear: for ε = {some} bounds hold for these runs' starts alone; \
                 from another start the loop can stray further\n"
            );
        }
        text + "the region is what is near the expert's loops from these starts\n"
    }

    /// The meaning of each name above.
    fn legend(&self) -> anyhow::Result<String> {
        let constants = self.constants()?.into_iter().map(|(name, _)| name);
        let mut names: Vec<&'static str> = constants.chain(self.lines().iter().map(|line| line.name)).collect();
        let mut seen = std::collections::HashSet::new();
        names.retain(|name| seen.insert(*name));
        names.push("A5");
        let rows = names.into_iter().map(|name| [name.to_owned(), meaning(name).to_owned()]);
        Ok(format!("\n{}", table(["name", "meaning"], 2..2, rows.collect())))
    }

    /// Checks the bounds against the simulated runs.
    ///
    /// # Errors
    /// If a run broke a bound.
    pub(crate) fn check(&self) -> anyhow::Result<()> {
        if let Some(result) = self.results.iter().find(|result| result.observed.broken) {
            let estimated = matches!(&result.bounds, Ok(bounds) if bounds.tube.provenance == Provenance::Estimated);
            let why = if estimated { "an estimated constant is too small" } else { "this is a bug; please report it" };
            anyhow::bail!("a run at ε = {} went beyond a bound: {why}", result.epsilon);
        }
        Ok(())
    }

    fn identity(&self) -> Option<f64> {
        self.results.iter().filter_map(|result| result.observed.identity).reduce(f64::max)
    }

    fn constants(&self) -> anyhow::Result<Vec<(&'static str, Constant)>> {
        let certified = Constant::certified;
        let (system, alpha) = (&self.system, self.alpha);
        let mut all = vec![("alpha_everywhere", alpha), ("expert", certified(system.expert_constant))];
        if let Some(basin) = &system.basin {
            let stability = basin.stability()?;
            all.extend([
                ("kappa", certified(basin.overshoot)),
                ("rho", basin.rate),
                ("input_in_norm", basin.reach),
                ("basin_radius", Constant::from(basin.radius, &[basin.rate])),
            ]);
            let decay = decay_with_exact_equilibrium(&stability, alpha, certified(system.expert_constant))?;
            all.extend(decay.map(|rate| ("decay_with_exact_equilibrium", rate)));
        }
        if let Some(bounds) = self.results.iter().find_map(|result| result.bounds.as_ref().ok()) {
            if let Stability::Linear { gain, .. } = &bounds.stability {
                all.push(("gain", *gain));
            }
            all.extend(bounds.by_rate.map(|sum| ("gain_by_rate", certified(sum))));
            all.push(("alpha", bounds.alpha));
            if let Some(data) = &bounds.data {
                all.extend([("residual", certified(data.residual)), ("coverage", data.coverage)]);
                all.push(("samples", certified(data.count as f64)));
            }
        }
        Ok(all)
    }

    fn lines(&self) -> Vec<BoundLine> {
        let mut lines = Vec::new();
        for LoopResult { epsilon, bounds, observed } in &self.results {
            let bounds = bounds.as_ref().ok();
            let of = |pick: &dyn Fn(&Bounds) -> Constant| bounds.map(pick);
            let mut line = |name, bound, observed| lines.push(BoundLine { name, epsilon: *epsilon, bound, observed });
            if *epsilon == 0.0 {
                let error = bounds.map_or(observed.error, |bounds| observed.error.max(bounds.error_observed));
                if let Some(data) = bounds.and_then(|bounds| bounds.data.as_ref()) {
                    line("B1 error, from the data", Some(data.error), error);
                }
                line("B1 error, by covering", of(&|bounds| bounds.error), error);
                line("B2 tube", of(&|bounds| bounds.tube), observed.deviation);
                line("B3 regret", of(&|bounds| bounds.regret), observed.regret);
            } else {
                line("B4 error e + αε", of(&|bounds| bounds.disturbed), observed.disturbed);
                line("B4 tube", of(&|bounds| bounds.tube), observed.deviation);
                line("B4 from the learned loop", of(&|bounds| bounds.around_learned), observed.from_learned);
                line("B4 regret", of(&|bounds| bounds.regret), observed.regret);
            }
        }
        lines
    }
}

impl LoopResult {
    /// The box that the bounds hold on, or the reason why there are none.
    fn region(&self) -> Value {
        match &self.bounds {
            Ok(bounds) => {
                json!({"epsilon": self.epsilon, "starts": bounds.starts, "low": bounds.low, "high": bounds.high})
            }
            Err(unproven) => {
                json!({"epsilon": self.epsilon, "starts": null, "low": null, "high": null, "failed": unproven})
            }
        }
    }
}

impl Unproven {
    /// Tells which assumption fails, and by how much.
    fn explain(&self, epsilon: f64) -> String {
        let (error, disturbed) = (rounded_up(self.error), rounded_up(self.disturbed));
        let given = format!("ε = {epsilon}: none proven, as assumption A5 fails. ");
        if let Some(allowed) = self.allowed {
            let allowed = rounded_down(allowed);
            return given
                + &format!(
                    "In the basin the action may be off by e + αε = {disturbed} (e = {error}); the loop stays in it up to {allowed}"
                );
        }
        let (radius, tube) = (rounded_up(self.radius.unwrap_or(0.0)), rounded_up(self.tube));
        given
            + &format!(
                "Within {radius} of the expert's loops the action may be off by e + αε = {disturbed} (e = {error}), and the loop then by {tube}: no region \
                 that was tried holds its own tube"
            )
    }
}

impl BoundLine {
    fn ratio(&self) -> Option<f64> {
        self.bound.filter(|_| self.observed > 0.0).map(|bound| bound.value / self.observed)
    }

    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "epsilon": self.epsilon,
            "bound": self.bound.map(|bound| bound.value),
            "provenance": self.bound.map(|bound| bound.provenance),
            "meaning": meaning(self.name),
            "met": self.observed,
            "ratio": self.ratio(),
        })
    }

    fn cells(&self) -> [String; 6] {
        let none = || "-".to_owned();
        let observed = if self.observed > 0.0 { rounded_down(self.observed) } else { format!("{:.4}", self.observed) };
        [
            self.name.to_owned(),
            self.epsilon.to_string(),
            observed,
            self.bound.map_or_else(none, |bound| rounded_up(bound.value)),
            self.ratio().map_or_else(none, |ratio| format!("{ratio:.2}")),
            self.bound.map_or("none proven", |bound| word(bound.provenance)).to_owned(),
        ]
    }
}

/// The meaning of a constant's or a bound's name.
fn meaning(name: &str) -> &'static str {
    match name {
        "alpha_everywhere" => "α: the policy's proven Lipschitz constant",
        "alpha" => "the same over the region and its measurements",
        "expert" => "ℓ*: that of the expert u = −Kx",
        "kappa" => "κ: the expert's loop forgets a distance as κρᵗ",
        "rho" => "ρ, the rate of that",
        "input_in_norm" => "how far an input's error moves the next state, in the norm √(xᵀPx)",
        "basin_radius" => "size of the basin in that norm",
        "decay_with_exact_equilibrium" => "rate of the learned loop if both have one equilibrium; proves decay below 1",
        "gain" => "G = Σ‖AᵏB‖: how far the loop can stray per unit of the action's error",
        "gain_by_rate" => "the same by κL_u/(1 − ρ), to compare: what is proven of nonlinear loops",
        "residual" => "ê: the policy's largest error at a demonstrated state",
        "coverage" => "δ: no point of the region is further from a demonstrated state",
        "samples" => "demonstrated states in the region",
        "B1 error, from the data" => "e ≤ ê + (α + ℓ*)δ: how far the policy is off the expert in the region",
        "B1 error, by covering" => "e again, by asking the expert all over the region",
        "B2 tube" => "distance from the expert's loop, without measurement errors",
        "B3 regret" => "cost above the expert's, without measurement errors",
        "B4 error e + αε" => "the same as B1 with measurement errors up to ε",
        "B4 tube" => "the same as B2 with them",
        "B4 from the learned loop" => "distance from the policy's own loop without them",
        "B4 regret" => "the same as B3 with them",
        "A5" => "the assumption of all bounds that the loop stays in the region",
        _ => "",
    }
}

fn word(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Certified => "certified",
        Provenance::Estimated => "estimated",
    }
}
