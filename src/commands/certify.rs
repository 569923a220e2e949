//! `liprl certify`: proven upper bounds on a trained network's Lipschitz constant, each beside a
//! lower bound.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use liprl_agents::demos::DemonstrationsConfig;
use liprl_control::PolicyHead;
use liprl_control::certify::{Network, Norm, Takes};

use super::certify_report::{json, report};
use crate::agent::networks;
use crate::certify::{
    BoundOptions, BoxChoice, MethodKind, bound_rows, constant_by_construction, demonstrated_inputs, visited_inputs,
};
use crate::cli::{CertifyArgs, CertifyMethod};
use crate::config::{Config, EnvConfig};
use crate::load::LoadedPolicy;
use crate::terminal::print;
use crate::usage::Usage;

/// A network to certify, and what a report tells about it.
pub(super) struct Subject {
    pub(super) network: Network,
    /// The checkpoint or file.
    pub(super) origin: PathBuf,
    /// The task and the steps of training; `None` for a network by itself.
    pub(super) task: Option<(EnvConfig, u64)>,
    pub(super) from: &'static str,
    pub(super) to: &'static str,
    /// True if outputs are clamped after the network.
    pub(super) clamped: bool,
    /// Inputs to search around, `[R, inputs]`.
    pub(super) inputs: Vec<f64>,
    /// The constant by construction.
    pub(super) construction: Option<f64>,
}

/// Certifies one network of a run or file, or a policy's closed loop.
pub fn certify(args: &CertifyArgs) -> anyhow::Result<ExitCode> {
    if args.net.is_none() && args.foreign.any() {
        return Err(
            Usage("--prefix, --activation, --squash and --normaliser are for the file of --net".to_owned()).into()
        );
    }
    if let Some(file) = &args.game {
        return super::game::certify(file, args.json);
    }
    if args.smooth.is_some() && args.method != CertifyMethod::Smoothing {
        return Err(Usage("--smooth is for --method smoothing".to_owned()).into());
    }
    let subject = match (&args.net, &args.run) {
        (Some(_), _) if args.method == CertifyMethod::Smoothing => {
            let problem = "--method smoothing runs the policy: name a run folder, a checkpoint or a policy file";
            return Err(Usage(problem.to_owned()).into());
        }
        (Some(file), _) => super::certify_net::subject(args, file)?,
        (None, Some(run)) if args.closed_loop => return super::closed_loop::certify(args, run),
        (None, Some(run)) if args.method == CertifyMethod::Smoothing => return super::smoothing::certify(args, run),
        (None, Some(run)) => of_run(args, run)?,
        (None, None) => {
            return Err(Usage(
                "name a run folder, a checkpoint or a policy file, by --net the file of a network, or by --game that of a game".to_owned(),
            )
            .into());
        }
    };
    let network = &subject.network;
    let rows = bound_rows(network, &subject.inputs, &options(args, subject.construction))?;
    if !args.json {
        return print(&report(&subject, &rows)?);
    }
    print(&format!("{:#}\n", json(&subject, args, &rows)))
}

/// The network of a run or policy file that the arguments name.
fn of_run(args: &CertifyArgs, run: &Path) -> anyhow::Result<Subject> {
    let mut loaded = super::open_policy(run)?;
    let (takes, network) = network(args, run, &loaded)?;
    check_boxes(args, &network)?;
    let inputs = match data(args, &loaded)? {
        Some(named) => demonstrated_inputs(&loaded.task.demonstrations(&named)?, takes),
        None => visited_inputs(&mut loaded, takes, args.visited_episodes(), args.seed)?,
    };
    let policy = args.network == "policy";
    Ok(Subject {
        from: input_label(takes),
        to: output_label(network.name()),
        network,
        inputs,
        clamped: policy && loaded.policy.head() == PolicyHead::Clamp,
        construction: if policy { constant_by_construction(&loaded.policy) } else { None },
        origin: loaded.origin,
        task: Some((loaded.env, loaded.step)),
    })
}

/// Checks that boxes in numbers have as many as the network has inputs.
pub(super) fn check_boxes(args: &CertifyArgs, network: &Network) -> Result<(), Usage> {
    for choice in &args.boxes {
        if let BoxChoice::Given(given) = choice {
            given.region(network.inputs()).map_err(|error| Usage(format!("--box: {error}")))?;
        }
    }
    Ok(())
}

/// The demonstrations that stand for visited states: those of the command line, or without an
/// environment those that the policy was learned from.
fn data(args: &CertifyArgs, loaded: &LoadedPolicy) -> anyhow::Result<Option<DemonstrationsConfig>> {
    if args.data.is_some() || loaded.task.spaces_alone().is_none() {
        return Ok(args.data.as_deref().map(DemonstrationsConfig::from));
    }
    let config = loaded.config.as_ref().map(|text| Config::parse("config.yaml", text, &[])).transpose()?;
    match config.as_ref().and_then(|config| config.agent.demonstrations()) {
        Some(named) => Ok(Some(named.clone())),
        None => Err(Usage(format!(
            "{} was learned without an environment, so no states can be visited; name demonstrations by --data FILE",
            loaded.origin.display()
        ))
        .into()),
    }
}

fn options(args: &CertifyArgs, construction: Option<f64>) -> BoundOptions {
    let methods = match args.method {
        CertifyMethod::All => MethodKind::ALL.to_vec(),
        CertifyMethod::Product => vec![MethodKind::Product],
        CertifyMethod::Lipsdp => vec![MethodKind::Lipsdp],
        CertifyMethod::Local => vec![MethodKind::Local],
        CertifyMethod::Smoothing => Vec::new(),
    };
    let without = args.boxes.is_empty() && args.net.is_none();
    BoundOptions {
        norms: args.norm.map_or_else(|| vec![Norm::L2, Norm::Linf], |norm| vec![norm]),
        methods,
        boxes: if without { BoxChoice::DEFAULT.to_vec() } else { args.boxes.clone() },
        boxes_around: args.states as usize,
        construction,
        seed: args.seed,
        time_limit: Duration::from_secs_f64(args.time_limit.unwrap_or(60.0)),
    }
}

/// Loads the network that the arguments name.
fn network(args: &CertifyArgs, run: &Path, loaded: &LoadedPolicy) -> anyhow::Result<(Takes, Network)> {
    if args.network == "policy" {
        let (_, half_width) = loaded.task.action_range();
        return Ok((Takes::State, loaded.policy.to_certify(half_width.to_vec())?));
    }
    let all = networks(run)?;
    let names: Vec<&str> = all.iter().map(|network| network.name.as_str()).chain(["policy"]).collect();
    let names = names.join(", ");
    match all.into_iter().find(|network| network.name == args.network) {
        Some(found) => Ok((found.takes, found.network?)),
        None => {
            Err(Usage(format!("there is no network `{}` in {}; it has {names}", args.network, run.display())).into())
        }
    }
}

fn input_label(takes: Takes) -> &'static str {
    match takes {
        Takes::State => "observation",
        Takes::StateAction => "observation and action in [-1, 1]",
        Takes::StateState => "observation and next observation",
        Takes::StateActionState => "observation, action in [-1, 1] and next observation",
    }
}

fn output_label(network: &str) -> &'static str {
    match network {
        "policy" => "action in the environment's units",
        "reward" => "logit of the discriminator",
        "model" => "next observation",
        "termination" => "logit of an episode's end",
        _ if network.ends_with("_log_variance") => {
            "log-variance of reward and change of observation, before its bounds"
        }
        _ if network.starts_with("model_") => "reward and change of observation",
        _ => "value",
    }
}
