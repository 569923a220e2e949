//! Archives of Stable-Baselines3: a ZIP of the facts in JSON and of weights by `torch.save`.

use liprl_control::PolicyHead;
use liprl_logbook::ZipArchive;
use liprl_numerics::Activation;
use serde_json::Value;

use super::activations::by_class;
use super::fault::Fault;
use super::found::{FoundLayer, FoundNetwork, Output, Told};
use super::tensors::STORAGE;
use super::{layouts, torch};

/// File of the facts, and of the weights.
const FACTS: &str = "data";
const WEIGHTS: &str = "policy.pth";
/// Most bytes of the facts.
const FACTS_SIZE: usize = 16 << 20;
/// Limit of the actions' means with `use_sde`, unless `clip_mean` is given.
const CLIP_MEAN: f64 = 2.0;
/// Kinds by the module of their policy.
const KINDS: &[&str] = &["sac", "td3", "ddpg", "tqc"];

/// True for an archive of Stable-Baselines3.
pub(super) fn is(zip: &ZipArchive<'_>) -> bool {
    zip.get(FACTS).is_some() && zip.get(WEIGHTS).is_some()
}

/// Reads the actor.
///
/// # Errors
/// If the archive is damaged, or the policy is not a chain of layers.
pub(super) fn read(
    zip: &ZipArchive<'_>,
    prefix: Option<&str>,
    sizes: Option<(usize, usize)>,
) -> Result<FoundNetwork, Fault> {
    let unpack = |name: &str, limit: usize| {
        let file = zip.get(name).ok_or_else(|| Fault::new("is missing").at(name))?;
        file.unpack(limit).map_err(|problem| Fault::new(problem).at(name))
    };
    let facts: Value =
        serde_json::from_slice(&unpack(FACTS, FACTS_SIZE)?).map_err(|error| Fault::new(error.to_string()).at(FACTS))?;
    let facts = Facts(&facts);
    facts.check()?;
    let weights = unpack(WEIGHTS, STORAGE)?;
    let found = ZipArchive::read(&weights)
        .map_err(|problem| if torch::is_legacy(&weights) { Fault::new(super::LEGACY) } else { Fault::new(problem) })
        .and_then(|zip| layouts::find(&torch::read(&zip)?, prefix, sizes));
    let mut found = found.map_err(|fault| fault.at(WEIGHTS))?;
    let version = zip.get("_stable_baselines3_version").and_then(|file| file.unpack(64).ok());
    let version = version.map(|version| format!(" {}", String::from_utf8_lossy(&version).trim())).unwrap_or_default();
    if found.origin.agent.is_none() && prefix.is_none() {
        let problem = "has no actor with continuous actions; --prefix chooses another network of it";
        return Err(Fault::usage(problem).at(WEIGHTS));
    }
    let kind = facts.kind(&found);
    found.source = format!("Stable-Baselines3{version}, {}", kind.to_uppercase());
    found.activation = facts.activation(found.activation)?;
    if facts.policy("squash_output").and_then(Value::as_bool) == Some(true) {
        found.output = Told::ByFile(Output::Unit(PolicyHead::Tanh));
    } else if let Told::ByDefault(output, _) = found.output {
        found.output = Told::ByFile(output);
    }
    let last = found.layers.last().is_some_and(|layer| layer.name.ends_with("actor.mu.0"));
    if facts.0["use_sde"].as_bool() == Some(true) && last && matches!(&kind[..], "sac" | "tqc") {
        let limit = facts.policy("clip_mean").map_or(Some(CLIP_MEAN), Value::as_f64).unwrap_or(CLIP_MEAN);
        if limit > 0.0 {
            clip_means(&mut found, limit)?;
        }
    }
    found.origin.agent = Some(kind);
    found.origin.step = facts.0["num_timesteps"].as_u64();
    found.origin.seed = facts.0["seed"].as_u64();
    Ok(found)
}

/// Clips the last layer's outputs to ± `limit`, as Stable-Baselines3 does before tanh with
/// state-dependent exploration: relu(z + limit) − relu(z − limit) − limit, a layer more.
fn clip_means(found: &mut FoundNetwork, limit: f64) -> Result<(), Fault> {
    let hidden = found.layers.len() > 1;
    if hidden && found.activation.get() != Some(&Activation::Relu) {
        let problem = "use_sde clips the actions' means, which a policy file can hold with relu alone; train without use_sde or with clip_mean=0";
        return Err(Fault::usage(problem).at(FACTS));
    }
    let Some(last) = found.layers.last_mut() else { return Ok(()) };
    let count = last.outputs();
    last.weight.extend_from_within(..);
    let below: Vec<f64> = last.bias.iter().map(|bias| bias - limit).collect();
    last.bias.iter_mut().for_each(|bias| *bias += limit);
    last.bias.extend(below);
    let mut weight = vec![0.0; count * 2 * count];
    for at in 0..count {
        weight[at * 2 * count + at] = 1.0;
        weight[at * 2 * count + count + at] = -1.0;
    }
    found.layers.push(FoundLayer {
        name: format!("clip_mean ±{limit}"),
        inputs: 2 * count,
        weight,
        bias: vec![-limit; count],
        norm: None,
    });
    if !hidden {
        found.activation = Told::ByFile(Activation::Relu);
    }
    Ok(())
}

/// The facts of an archive.
struct Facts<'f>(&'f Value);

impl<'f> Facts<'f> {
    /// An entry of the policy's settings.
    fn policy(&self, name: &str) -> Option<&'f Value> {
        self.0.get("policy_kwargs")?.get(name).filter(|value| !value.is_null())
    }

    /// Refuses policies that are not one chain of layers.
    fn check(&self) -> Result<(), Fault> {
        // The class itself is only there as a pickle; the name of its constructor tells it.
        let part = |name: &str| self.0["policy_class"][name].as_str().unwrap_or_default();
        let named = format!("{} {}", part("__module__"), part("__init__"));
        for (sign, problem) in [
            (
                "MultiInput",
                "takes observations of several parts (MultiInputPolicy), which environments here do not have",
            ),
            ("Cnn", "takes images (CnnPolicy); observations here are vectors of numbers"),
            ("recurrent", "is recurrent; a policy file has no memory"),
            ("dqn", "has discrete actions; actions here are vectors of numbers"),
        ] {
            if named.contains(sign) {
                return Err(Fault::usage(problem).at(FACTS));
            }
        }
        let extractor = self.policy("features_extractor_class").map(Value::to_string);
        if let Some(extractor) = extractor.filter(|extractor| !extractor.contains("FlattenExtractor")) {
            return Err(Fault::usage(format!("the policy has a features extractor of its own, {extractor}")).at(FACTS));
        }
        Ok(())
    }

    /// Kind of agent, from the policy's module; one of the layout's where the module is of several.
    fn kind(&self, found: &FoundNetwork) -> String {
        let module = self.0["policy_class"]["__module__"].as_str().unwrap_or_default();
        if let Some(named) = module.split('.').find(|part| KINDS.contains(part)) {
            return named.to_owned();
        }
        // PPO, A2C and TRPO have one policy; their settings differ.
        match &found.origin.agent {
            Some(_) if self.0.get("cg_max_steps").is_some() => "trpo".to_owned(),
            Some(agent) if agent == "ppo" && self.0.get("clip_range").is_none() => "a2c".to_owned(),
            other => other.clone().unwrap_or_default(),
        }
    }

    /// The activation of the settings, or the kind's default.
    fn activation(&self, default: Told<Activation>) -> Result<Told<Activation>, Fault> {
        let Some(named) = self.policy("activation_fn") else {
            return Ok(match default {
                Told::ByDefault(activation, _) => Told::ByDefault(activation, "Stable-Baselines3"),
                other => other,
            });
        };
        let text = named.as_str().map_or_else(|| named.to_string(), str::to_owned);
        let class = text.trim_start_matches("<class '").trim_end_matches("'>").rsplit('.').next().unwrap_or_default();
        by_class(class).map(Told::ByFile).ok_or_else(|| {
            Fault::usage(format!("the activation is `{text}`, which a policy file cannot have"))
                .at("data: policy_kwargs")
        })
    }
}
