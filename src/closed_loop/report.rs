//! The bounds as a table or as JSON.

use std::{fmt::Write, process::ExitCode};

use liprl_control::bounds::{Constant, Provenance, Stability, decay_with_exact_equilibrium};
use serde_json::{Value, json};

use super::{
    bounds::{Bounds, Short},
    setting::Setting,
    simulate::Met,
};
use crate::{
    cli::CertifyArgs,
    commands::{print as write_out, rounded_down, rounded_up},
    saved::Saved,
};

/// One size of measurement errors.
pub(super) struct Row {
    pub(super) epsilon: f64,
    pub(super) bounds: Result<Bounds, Short>,
    pub(super) met: Met,
}

/// A bound and what was met of it.
struct Line {
    name: &'static str,
    epsilon: f64,
    bound: Option<Constant>,
    met: f64,
}

pub(super) fn print(
    args: &CertifyArgs,
    saved: &Saved,
    setting: &Setting,
    slope: (Constant, &'static str),
    rows: &[Row],
) -> anyhow::Result<ExitCode> {
    let (constants, lines) = (constants(setting, slope, rows)?, lines(rows));
    let identity = rows.iter().filter_map(|row| row.met.identity).reduce(f64::max);
    let text = if args.json {
        let report = json!({
            "run": saved.origin, "step": saved.step, "env": saved.env, "seed": args.seed, "runs": args.runs, "horizon": args.horizon,
            "constants": constants.iter().map(|(name, constant)| json!({"name": name, "value": constant.value, "provenance": constant.provenance})).collect::<Vec<Value>>(),
            "regions": rows.iter().map(Row::region).collect::<Vec<Value>>(),
            "bounds": lines.iter().map(Line::to_json).collect::<Vec<Value>>(),
            "regret_identity": identity,
        });
        format!("{report:#}\n")
    } else {
        table(args, saved, setting, (&constants, &lines, rows), identity)?
    };
    let code = write_out(&text)?;
    if let Some(row) = rows.iter().find(|row| row.met.broken) {
        let estimated = row.bounds.as_ref().is_ok_and(|bounds| bounds.tube.provenance == Provenance::Estimated);
        let why = if estimated { "an estimated constant is too small" } else { "this is a bug; please report it" };
        anyhow::bail!("a run at ε = {} went beyond a bound: {why}", row.epsilon);
    }
    Ok(code)
}

impl Row {
    /// Where the bounds hold, or what failed.
    fn region(&self) -> Value {
        match &self.bounds {
            Ok(bounds) => json!({"epsilon": self.epsilon, "low": bounds.low, "high": bounds.high}),
            Err(short) => json!({"epsilon": self.epsilon, "low": null, "high": null, "failed": short}),
        }
    }
}

impl Short {
    /// Which assumption fails, and by how much.
    fn explain(&self, epsilon: f64) -> String {
        let (error, disturbed) = (rounded_up(self.error), rounded_up(self.disturbed));
        let given = format!("ε = {epsilon}: none proven, as assumption A5 fails. ");
        if let Some(allowed) = self.allowed {
            let allowed = rounded_down(allowed);
            return given
                + &format!(
                    "The action may be off by e + αε = {disturbed} (e = {error}) in the basin; up to {allowed} the loop stays in it"
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

impl Line {
    fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "epsilon": self.epsilon,
            "bound": self.bound.map(|bound| bound.value),
            "provenance": self.bound.map(|bound| bound.provenance),
            "met": self.met,
            "ratio": self.bound.filter(|_| self.met > 0.0).map(|bound| bound.value / self.met),
        })
    }
}

fn constants(
    setting: &Setting,
    (alpha, _): (Constant, &'static str),
    rows: &[Row],
) -> anyhow::Result<Vec<(&'static str, Constant)>> {
    let sure = Constant::certified;
    let mut all = vec![("alpha_everywhere", alpha), ("expert", sure(setting.expert))];
    if let Some(basin) = &setting.basin {
        let stability = basin.stability()?;
        all.extend([
            ("kappa", sure(basin.overshoot)),
            ("rho", basin.rate),
            ("input_in_norm", basin.reach),
            ("basin_radius", Constant::from(basin.radius, &[basin.rate])),
        ]);
        let decay = decay_with_exact_equilibrium(&stability, alpha, sure(setting.expert))?;
        all.extend(decay.map(|rate| ("decay_with_exact_equilibrium", rate)));
    }
    if let Some(bounds) = rows.iter().find_map(|row| row.bounds.as_ref().ok()) {
        if let Stability::Linear { gain, .. } = &bounds.stability {
            all.push(("gain", *gain));
        }
        all.extend(bounds.by_rate.map(|sum| ("gain_by_rate", sure(sum))));
        all.push(("alpha", bounds.alpha));
        if let Some(learnt) = &bounds.learnt {
            all.extend([("residual", sure(learnt.residual)), ("coverage", learnt.coverage)]);
            all.push(("samples", sure(learnt.count as f64)));
        }
    }
    Ok(all)
}

fn lines(rows: &[Row]) -> Vec<Line> {
    let mut lines = Vec::new();
    for Row { epsilon, bounds, met } in rows {
        let bounds = bounds.as_ref().ok();
        let of = |pick: &dyn Fn(&Bounds) -> Constant| bounds.map(pick);
        let mut line = |name, bound, met| lines.push(Line { name, epsilon: *epsilon, bound, met });
        if *epsilon == 0.0 {
            let reached = bounds.map_or(met.error, |bounds| met.error.max(bounds.error_met));
            if let Some(learnt) = bounds.and_then(|bounds| bounds.learnt.as_ref()) {
                line("B1 error, from the data", Some(learnt.error), reached);
            }
            line("B1 error, by covering", of(&|bounds| bounds.error), reached);
            line("B2 tube", of(&|bounds| bounds.tube), met.strayed);
            line("B3 regret", of(&|bounds| bounds.regret), met.regret);
        } else {
            line("B4 error e + αε", of(&|bounds| bounds.disturbed), met.disturbed);
            line("B4 tube", of(&|bounds| bounds.tube), met.strayed);
            line("B4 from the learned loop", of(&|bounds| bounds.around_learned), met.from_learned);
            line("B4 regret", of(&|bounds| bounds.regret), met.regret);
        }
    }
    lines
}

fn table(
    args: &CertifyArgs,
    saved: &Saved,
    setting: &Setting,
    (constants, lines, rows): (&[(&'static str, Constant)], &[Line], &[Row]),
    identity: Option<f64>,
) -> anyhow::Result<String> {
    let mut text = String::new();
    let (origin, id) = (saved.origin.display(), &saved.env.id);
    writeln!(text, "closed loop of {origin} ({id}, step {}) against u = −Kx", saved.step)?;
    match &setting.basin {
        Some(basin) => {
            let half: Vec<String> = basin.half.iter().map(|half| format!("{half:.4}")).collect();
            writeln!(
                text,
                "nonlinear: bounds hold for starts in the inner half of an ellipsoid of half-widths {}",
                half.join(", ")
            )?;
        }
        None => {
            writeln!(text, "linear: bounds hold for these starts; the region is the tube around the expert's loops")?
        }
    }
    if let Err(why) = &setting.samples {
        writeln!(text, "no bound from the data: {why}")?;
    }
    writeln!(text, "\n{:30} {:>14}", "constant", "value")?;
    for (name, constant) in constants {
        writeln!(text, "{name:30} {:>14}  {}", rounded_up(constant.value), word(constant.provenance))?;
    }
    writeln!(text, "\n{:26} {:>8} {:>12} {:>14} {:>9}", "bound", "epsilon", "met", "at most", "ratio")?;
    for Line { name, epsilon, bound, met } in lines {
        let met_text = if *met > 0.0 { rounded_down(*met) } else { format!("{met:.4}") };
        match bound {
            Some(bound) => {
                let ratio = if *met > 0.0 { format!("{:.2}", bound.value / met) } else { "-".to_owned() };
                let (value, word) = (rounded_up(bound.value), word(bound.provenance));
                writeln!(text, "{name:26} {epsilon:>8} {met_text:>12} {value:>14} {ratio:>9}  {word}")?;
            }
            None => writeln!(text, "{name:26} {epsilon:>8} {met_text:>12} {:>14} {:>9}  none proven", "-", "-")?,
        }
    }
    let failed: Vec<String> =
        rows.iter().filter_map(|row| Some(row.bounds.as_ref().err()?.explain(row.epsilon))).collect();
    if !failed.is_empty() {
        writeln!(text, "\n{}", failed.join("\n"))?;
    }
    if let Some(identity) = identity {
        writeln!(text, "\nregret identity of LQR: off by at most {identity:.1e} of the cost")?;
    }
    writeln!(text, "met: the largest of {} runs of {} steps for each epsilon", args.runs, args.horizon)?;
    Ok(text)
}

fn word(provenance: Provenance) -> &'static str {
    match provenance {
        Provenance::Certified => "certified",
        Provenance::Estimated => "estimated",
    }
}
