//! `liprl certify`: proven upper bounds on how steep a trained network is, each beside a lower bound, as a table or as JSON.

use std::{
    fmt::Write,
    process::ExitCode,
    time::{Duration, Instant},
};

use liprl_control::{
    PolicyHead,
    certify::{
        Bound, CertifyError, Ended, LocalOptions, LowerOptions, Network, Norm, Region, SdpBound, SdpOptions, Takes,
        lipsdp, lipsdp_on, local_bound, lower_bound, product,
    },
};
use liprl_numerics::Streams;
use serde_json::{Value, json};

use crate::{
    Usage,
    cli::{CertifyArgs, CertifyBox, CertifyMethod},
    rollout,
    saved::{Saved, networks},
};

/// Certifies one network of a run.
pub fn certify(args: &CertifyArgs) -> anyhow::Result<ExitCode> {
    if args.closed_loop {
        return crate::closed_loop::certify(args);
    }
    let mut saved = Saved::open(&args.run)?;
    let (takes, network) = network(args, &saved)?;
    let points = points(args, &mut saved, takes)?;
    let rows = Search { args, network: &network, points: &points }.rows()?;
    let cut = args.network == "policy" && saved.policy.head() == PolicyHead::Clamp;
    if args.json {
        let report = json!({
            "run": saved.origin,
            "step": saved.step,
            "env": saved.env,
            "network": {
                "name": network.name(),
                "inputs": network.inputs(),
                "hidden": network.hidden(),
                "outputs": network.outputs(),
                "activation": network.activation(),
                "tanh": network.squashed(),
                "cut_off": cut,
                "from": from(takes),
                "to": to(network.name()),
            },
            "episodes": args.episodes,
            "seed": args.seed,
            "points": points.len() / network.inputs(),
            "bounds": rows.iter().map(Row::to_json).collect::<Vec<Value>>(),
        });
        return super::print(&format!("{report:#}\n"));
    }
    super::print(&table(&saved, takes, (&network, cut), &rows)?)
}

/// The network asked for.
fn network(args: &CertifyArgs, saved: &Saved) -> anyhow::Result<(Takes, Network)> {
    if args.network == "policy" {
        let (_, half_width) = saved.task.action_range();
        return Ok((Takes::State, saved.policy.to_certify(half_width.to_vec())?));
    }
    let all = networks(&args.run)?;
    let names: Vec<&str> = all.iter().map(|network| network.name.as_str()).chain(["policy"]).collect();
    let names = names.join(", ");
    match all.into_iter().find(|network| network.name == args.network) {
        Some(found) => Ok((found.takes, found.network?)),
        None => {
            Err(Usage(format!("there is no network `{}` in {}; it has {names}", args.network, args.run.display()))
                .into())
        }
    }
}

/// What the network was given in greedy episodes, `[R, inputs]`.
fn points(args: &CertifyArgs, saved: &mut Saved, takes: Takes) -> anyhow::Result<Vec<f64>> {
    let (centre, half_width) = saved.task.action_range();
    let (centre, half_width) = (centre.to_vec(), half_width.to_vec());
    let (mut points, mut last) = (Vec::new(), Vec::new());
    for index in 0..u64::from(args.episodes) {
        let seed = args.seed.wrapping_add(index);
        rollout::episode(&mut saved.task, &mut saved.policy, seed, |task, step| {
            if step.is_some() {
                points.extend_from_slice(&last);
                let scale = centre.iter().zip(&half_width);
                if matches!(takes, Takes::StateAction | Takes::StateActionState) {
                    points.extend(task.raw_action().iter().zip(scale).map(|(a, (c, h))| (a - c) / h));
                }
                if matches!(takes, Takes::StateState | Takes::StateActionState) {
                    points.extend_from_slice(task.raw_obs());
                }
            }
            last = task.raw_obs().to_vec();
        })?;
    }
    Ok(points)
}

/// One line of the report.
struct Row {
    norm: Norm,
    region: String,
    method: &'static str,
    lower: f64,
    bound: Bound,
    seconds: f64,
    /// Each box with its own numbers.
    boxes: Vec<(Region, f64, Bound)>,
}

impl Row {
    /// Upper over lower; none where no slope was found.
    fn ratio(&self) -> Option<f64> {
        (self.lower > 0.0).then(|| self.bound.upper / self.lower)
    }

    fn to_json(&self) -> Value {
        let boxes = self.boxes.iter().map(|(region, lower, bound)| {
            json!({
                "low": region.low(),
                "high": region.high(),
                "lower": lower,
                "upper": bound.upper,
                "finished": bound.finished(),
                "ended": bound.ended,
            })
        });
        json!({
            "norm": self.norm,
            "region": self.region,
            "method": self.method,
            "lower": self.lower,
            "upper": self.bound.upper,
            "ratio": self.ratio(),
            "finished": self.bound.finished(),
            "ended": self.bound.ended,
            "seconds": self.seconds,
            "boxes": boxes.collect::<Vec<Value>>(),
        })
    }
}

/// What finds the rows.
struct Search<'a> {
    args: &'a CertifyArgs,
    network: &'a Network,
    points: &'a [f64],
}

impl Search<'_> {
    fn rows(&self) -> anyhow::Result<Vec<Row>> {
        let mut rows = Vec::new();
        let default = [CertifyBox::Data, CertifyBox::State { radius: 0.1, relative: true }];
        let boxes = if self.args.boxes.is_empty() { &default[..] } else { &self.args.boxes };
        for norm in [Norm::L2, Norm::Linf] {
            let mut everywhere = self.everywhere(norm)?;
            let best = everywhere.iter().map(|row| row.bound.upper).fold(f64::INFINITY, f64::min);
            let mut over = Vec::new();
            for kind in boxes {
                over.extend(self.over(*kind, norm, best)?);
            }
            // A slope met in a box is one met.
            let met = over.iter().map(|row: &Row| row.lower).fold(0.0, f64::max);
            everywhere.iter_mut().for_each(|row| row.lower = row.lower.max(met));
            rows.extend(everywhere);
            rows.extend(over);
        }
        if let Some(row) = rows.iter().find(|row| !row.bound.upper.is_finite()) {
            anyhow::bail!("{}: its {} bound is beyond what f64 can hold", self.network.name(), row.method);
        }
        Ok(rows)
    }

    fn wants(&self, method: CertifyMethod) -> bool {
        self.args.method == CertifyMethod::All || self.args.method == method
    }

    fn everywhere(&self, norm: Norm) -> anyhow::Result<Vec<Row>> {
        let wants_sdp = self.wants(CertifyMethod::Lipsdp) && norm == Norm::L2;
        if !wants_sdp && !self.wants(CertifyMethod::Product) {
            return Ok(Vec::new());
        }
        let lower = self.lower(norm, None)?;
        let mut rows = Vec::new();
        let mut row = |method, bound: &dyn Fn() -> Result<Bound, CertifyError>| -> anyhow::Result<()> {
            let (bound, seconds) = timed(bound)?;
            rows.push(Row { norm, region: "everywhere".into(), method, lower, bound, seconds, boxes: Vec::new() });
            Ok(())
        };
        if self.wants(CertifyMethod::Product) {
            row("product", &|| Ok(Bound { upper: product(self.network, norm)?, ended: Ended::Finished }))?;
        }
        if wants_sdp {
            row("lipsdp", &|| {
                Ok(in_time(lipsdp(
                    self.network,
                    &SdpOptions { time_limit: Some(self.limit(1)), ..SdpOptions::default() },
                )?))
            })?;
        }
        Ok(rows)
    }

    /// Rows over the boxes of one kind; what holds everywhere, at most `everywhere`, holds there too.
    fn over(&self, kind: CertifyBox, norm: Norm, everywhere: f64) -> anyhow::Result<Vec<Row>> {
        let local = self.wants(CertifyMethod::Local);
        let sdp = self.wants(CertifyMethod::Lipsdp) && norm == Norm::L2;
        if !local && !sdp {
            return Ok(Vec::new());
        }
        let regions = self.regions(kind)?;
        let lowers = regions.iter().map(|region| self.lower(norm, Some(region))).collect::<Result<Vec<f64>, _>>()?;
        let name = match kind {
            CertifyBox::Data => "data".to_owned(),
            CertifyBox::State { radius, relative } => {
                format!("state±{radius}{} ×{}", if relative { "std" } else { "" }, regions.len())
            }
        };
        let mut rows = Vec::new();
        for (method, _) in [("local", local), ("lipsdp", sdp)].into_iter().filter(|(_, wanted)| *wanted) {
            let (mut boxes, mut seconds) = (Vec::new(), 0.0);
            for (region, &lower) in regions.iter().zip(&lowers) {
                let (found, took) = timed(&|| self.bound_over(region, norm, method, regions.len()))?;
                seconds += took;
                boxes.push((region.clone(), lower, Bound { upper: found.upper.min(everywhere), ..found }));
            }
            let upper = boxes.iter().map(|(_, _, bound)| bound.upper).fold(0.0, f64::max);
            let ended = boxes.iter().map(|(_, _, bound)| bound.ended).max().unwrap_or(Ended::Finished);
            let lower = lowers.iter().copied().fold(0.0, f64::max);
            let bound = Bound { upper, ended };
            rows.push(Row { norm, region: name.clone(), method, lower, bound, seconds, boxes });
        }
        Ok(rows)
    }

    fn bound_over(&self, region: &Region, norm: Norm, method: &str, count: usize) -> Result<Bound, CertifyError> {
        let time_limit = Some(self.limit(count));
        if method == "local" {
            return local_bound(self.network, region, norm, &LocalOptions { time_limit, ..LocalOptions::default() });
        }
        Ok(in_time(lipsdp_on(self.network, region, &SdpOptions { time_limit, ..SdpOptions::default() })?))
    }

    /// A share of the time for one bound.
    fn limit(&self, count: usize) -> Duration {
        Duration::from_secs_f64(self.args.time_limit / count.max(1) as f64)
    }

    fn lower(&self, norm: Norm, region: Option<&Region>) -> Result<f64, CertifyError> {
        let inputs = self.network.inputs();
        let within = |region: &Region| -> Vec<f64> {
            self.points.chunks_exact(inputs).filter(|point| region.contains(point)).flatten().copied().collect()
        };
        let points = region.map_or_else(|| self.points.to_vec(), within);
        let mut rng = Streams::new(self.args.seed).rng("certify");
        let options = LowerOptions { region, points: &points, time_limit: Some(self.limit(1)) };
        Ok(lower_bound(self.network, norm, &options, &mut rng)?.lower)
    }

    fn regions(&self, kind: CertifyBox) -> Result<Vec<Region>, CertifyError> {
        let inputs = self.network.inputs();
        let CertifyBox::State { radius, relative } = kind else {
            return Ok(vec![Region::hull(self.points, inputs)?]);
        };
        let radii = if relative { deviations(self.points, inputs) } else { vec![1.0; inputs] };
        let radii: Vec<f64> = radii.into_iter().map(|deviation| radius * deviation).collect();
        let rows = self.points.chunks_exact(inputs);
        let stride = rows.len().div_ceil(self.args.states as usize).max(1);
        rows.step_by(stride).map(|centre| Region::around(centre, &radii)).collect()
    }
}

/// LipSDP's bound, whose only limit is that of time.
fn in_time(found: SdpBound) -> Bound {
    Bound { upper: found.upper, ended: if found.finished { Ended::Finished } else { Ended::TimeLimit } }
}

fn timed(bound: &dyn Fn() -> Result<Bound, CertifyError>) -> Result<(Bound, f64), CertifyError> {
    let start = Instant::now();
    let bound = bound()?;
    Ok((bound, start.elapsed().as_secs_f64()))
}

/// The standard deviation of each coordinate over `[R, n]`.
fn deviations(points: &[f64], n: usize) -> Vec<f64> {
    let count = (points.len() / n.max(1)).max(1) as f64;
    let column = |i: usize| points.iter().skip(i).step_by(n);
    let deviation = |i: usize| {
        let mean = column(i).sum::<f64>() / count;
        (column(i).map(|x| (x - mean).powi(2)).sum::<f64>() / count).sqrt()
    };
    (0..n).map(deviation).collect()
}

fn from(takes: Takes) -> &'static str {
    match takes {
        Takes::State => "observation",
        Takes::StateAction => "observation and action in [-1, 1]",
        Takes::StateState => "observation and next observation",
        Takes::StateActionState => "observation, action in [-1, 1] and next observation",
    }
}

fn to(name: &str) -> &'static str {
    match name {
        "policy" => "action in the environment's units",
        "reward" => "logit of the discriminator",
        "model" => "next observation",
        "termination" => "logit of an episode's end",
        _ if name.ends_with("_log_variance") => "log-variance of reward and change of observation, before its bounds",
        _ if name.starts_with("model_") => "reward and change of observation",
        _ => "value",
    }
}

fn table(saved: &Saved, takes: Takes, (network, cut): (&Network, bool), rows: &[Row]) -> anyhow::Result<String> {
    let mut text = String::new();
    let hidden: String = network.hidden().iter().map(|units| format!("{units} → ")).collect();
    let activation = serde_json::to_value(network.activation())?;
    let activation = activation.as_str().map_or_else(|| activation.to_string(), str::to_owned);
    let tanh = if network.squashed() { ", tanh at the end" } else { "" };
    let tanh = if cut { ", actions cut off at their bounds" } else { tanh };
    writeln!(
        text,
        "{} of {} ({}, step {}): {} → {hidden}{}, {activation}{tanh}",
        network.name(),
        saved.origin.display(),
        saved.env.id,
        saved.step,
        network.inputs(),
        network.outputs()
    )?;
    writeln!(text, "Lipschitz constants from {} to {}", from(takes), to(network.name()))?;
    if cut {
        writeln!(
            text,
            "proven: of the policy, and of its network before the cut; met: of the network alone, which the cut can make less steep"
        )?;
    }
    writeln!(text)?;
    let width = rows.iter().map(|row| row.region.chars().count()).max().unwrap_or(0).max("region".len());
    writeln!(text, "norm  {:width$}  method   lower (met)  upper (proven)   ratio  seconds", "region")?;
    for row in rows {
        let ratio = row.ratio().map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.3}"));
        writeln!(
            text,
            "{:4}  {:width$}  {:7} {:>12}  {:>14}{} {:>6}  {:7.2}",
            row.norm.name(),
            row.region,
            row.method,
            rounded_down(row.lower),
            rounded_up(row.bound.upper),
            mark(row.bound.ended),
            ratio,
            row.seconds
        )?;
    }
    text.push_str(&footnotes(rows));
    Ok(text)
}

/// What a table shows behind a bound whose search ended so.
fn mark(ended: Ended) -> char {
    match ended {
        Ended::Finished => ' ',
        Ended::LeafLimit => '†',
        Ended::TimeLimit => '*',
    }
}

/// What those marks that the rows have mean.
fn footnotes(rows: &[Row]) -> String {
    let mut notes = String::new();
    for (ended, meaning) in [
        (Ended::TimeLimit, "the time limit came first: valid, and more time may lower it (--time-limit)".to_owned()),
        (
            Ended::LeafLimit,
            format!(
                "the limit of {} parts of a box came first: valid, and more time changes nothing; a smaller box may lower it (--box)",
                LocalOptions::default().leaves
            ),
        ),
    ] {
        if rows.iter().any(|row| row.bound.ended == ended) {
            let space = if notes.is_empty() { "\n" } else { "" };
            notes += &format!("{space}{} {meaning}\n", mark(ended));
        }
    }
    notes
}

/// Six digits, not above the number.
pub(crate) fn rounded_down(x: f64) -> String {
    rounded(x, f64::floor)
}

/// Six digits, not below the number.
pub(crate) fn rounded_up(x: f64) -> String {
    rounded(x, f64::ceil)
}

fn rounded(x: f64, to_whole: fn(f64) -> f64) -> String {
    if x == 0.0 {
        return "0".to_owned();
    }
    let digits = 5 - x.abs().log10().floor() as i32;
    let scale = 10f64.powi(digits);
    let value = to_whole(x * scale) / scale;
    let places = digits.clamp(0, 12) as usize;
    if (1e-6..1e9).contains(&x.abs()) { format!("{value:.places$}") } else { format!("{value:.5e}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_safe_side() {
        assert_eq!((rounded_up(1.234_567_1), rounded_down(1.234_567_9)), ("1.23457".into(), "1.23456".into()));
        assert_eq!((rounded_up(1_234_567.1), rounded_down(0.001_234_567_9)), ("1234570".into(), "0.00123456".into()));
        assert_eq!(rounded_up(0.0), "0");
        for x in [3.3e-9, 7.7, 123.456_789, 9.999_999_9, 2.0, 4.4e12] {
            assert!(rounded_up(x).parse::<f64>().unwrap() >= x && rounded_down(x).parse::<f64>().unwrap() <= x, "{x}");
        }
    }

    #[test]
    fn a_mark_is_explained_where_a_row_has_it() {
        let row = |ended| {
            let (norm, region, bound) = (Norm::L2, "data".to_owned(), Bound { upper: 2.0, ended });
            Row { norm, region, method: "local", lower: 1.0, bound, seconds: 0.0, boxes: Vec::new() }
        };
        let (finished, late, full) = (row(Ended::Finished), row(Ended::TimeLimit), row(Ended::LeafLimit));
        let json = full.to_json();
        assert_eq!((&json["finished"], &json["ended"]), (&json!(false), &json!("leaf_limit")));
        assert_eq!(finished.to_json()["finished"], true);
        let rows = [finished, late, full];
        assert_eq!(footnotes(&rows[..1]), "");
        let (late, full) = (footnotes(&rows[..2]), footnotes(&rows[2..]));
        assert!(late.starts_with("\n* the time limit came first") && late.lines().count() == 2, "{late}");
        assert!(
            full.starts_with("\n† the limit of 200000 parts") && full.contains("more time changes nothing"),
            "{full}"
        );
        assert_eq!(footnotes(&rows), format!("{late}{}", full.trim_start_matches('\n')));
    }

    #[test]
    fn deviations_by_hand() {
        assert_eq!(deviations(&[0.0, 5.0, 2.0, 5.0], 2), [1.0, 0.0]);
    }
}
