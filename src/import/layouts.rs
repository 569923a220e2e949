//! Names that the actors of known libraries have in their files.

use liprl_control::PolicyHead;
use liprl_numerics::Activation;

use super::chain::{Module, layers, modules, only_chain};
use super::fault::Fault;
use super::found::{FoundNetwork, Origin, Output, Standardisation, Told};
use super::tensors::Tensors;

/// Map to actions that a library applies after the last layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    /// tanh, then scaled to the bounds by the library.
    Tanh,
    /// tanh, then `action_scale` and `action_bias` of the file.
    TanhScaled,
    /// Nothing; clipped to the bounds.
    Clip,
}

/// One library's names.
#[derive(Clone, Copy, Debug)]
struct Layout {
    /// The library and kind, in words.
    name: &'static str,
    /// Kind of agent.
    agent: &'static str,
    /// End of the name before the stems.
    within: &'static str,
    /// Names of the actor's modules in their order; of all but the last there may be none.
    stems: &'static [&'static str],
    /// Names, relative to the stems', of which one has to be there.
    beside: &'static [&'static str],
    activation: Activation,
    after: After,
    /// A sentence for the user.
    note: Option<&'static str>,
}

/// rsl_rl's modules for actions, of old and new versions, and their companions.
const STD: &[&str] = &["std", "log_std"];
const NO_MOMENTS: &str = "CleanRL standardises observations in a wrapper whose moments are not in the file; without them the policy acts otherwise than in training";

/// The layouts; the first that fits counts.
const LAYOUTS: &[Layout] = &[
    Layout {
        name: "Stable-Baselines3, SAC or TQC",
        agent: "sac",
        within: "",
        stems: &["actor.latent_pi", "actor.mu"],
        beside: &["actor.log_std.weight", "actor.log_std"],
        activation: Activation::Relu,
        after: After::Tanh,
        note: None,
    },
    Layout {
        name: "Stable-Baselines3, TD3 or DDPG",
        agent: "td3",
        within: "",
        stems: &["actor.mu"],
        beside: &["critic.qf0.0.weight"],
        activation: Activation::Relu,
        after: After::Tanh,
        note: None,
    },
    Layout {
        name: "Stable-Baselines3, PPO or A2C",
        agent: "ppo",
        within: "",
        stems: &["mlp_extractor.shared_net", "mlp_extractor.policy_net", "action_net"],
        beside: &["log_std"],
        activation: Activation::Tanh,
        after: After::Clip,
        note: None,
    },
    Layout {
        name: "CleanRL, TD3 or DDPG",
        agent: "td3",
        within: "",
        stems: &["fc1", "fc2", "fc_mu"],
        beside: &["action_scale"],
        activation: Activation::Relu,
        after: After::TanhScaled,
        note: None,
    },
    Layout {
        name: "CleanRL, SAC",
        agent: "sac",
        within: "",
        stems: &["fc1", "fc2", "fc_mean"],
        beside: &["action_scale"],
        activation: Activation::Relu,
        after: After::TanhScaled,
        note: None,
    },
    Layout {
        name: "CleanRL, PPO",
        agent: "ppo",
        within: "",
        stems: &["actor_mean"],
        beside: &["actor_logstd"],
        activation: Activation::Tanh,
        after: After::Clip,
        note: Some(NO_MOMENTS),
    },
    Layout {
        name: "FastTD3",
        agent: "td3",
        within: "actor_state_dict.",
        stems: &["net", "fc_mu"],
        beside: &["fc_mu.0.weight"],
        activation: Activation::Relu,
        after: After::Tanh,
        note: None,
    },
    Layout {
        name: "rsl_rl",
        agent: "ppo",
        within: "actor_state_dict.",
        stems: &["mlp"],
        beside: &["mlp.0.weight"],
        activation: Activation::Elu,
        after: After::Clip,
        note: None,
    },
    Layout {
        name: "rsl_rl",
        agent: "ppo",
        within: "model_state_dict.",
        stems: &["actor"],
        beside: STD,
        activation: Activation::Elu,
        after: After::Clip,
        note: None,
    },
];

/// Names, relative to the actor's scope or to the file, of moments of observations.
const MOMENTS: &[&str] = &["obs_normalizer", "actor_obs_normalizer"];
const MOMENTS_OF_FILE: &[&str] = &["obs_norm_state_dict", "obs_normalizer_state"];

/// Finds the actor among the arrays. `prefix` are the first letters of its arrays' names, `sizes`
/// the environment's observations and actions.
///
/// # Errors
/// If there is none or several, or if it has parts that cannot be imported.
pub(super) fn find(
    tensors: &Tensors<'_>,
    prefix: Option<&str>,
    sizes: Option<(usize, usize)>,
) -> Result<FoundNetwork, Fault> {
    let modules = modules(tensors);
    let chosen = |module: &Module| prefix.is_none_or(|prefix| module.name.starts_with(prefix));
    for layout in LAYOUTS {
        let Some((scope, chain)) = layout.chain(tensors, &modules) else { continue };
        if chain.iter().all(|module| chosen(module)) {
            return layout.network(tensors, scope, &chain);
        }
    }
    let own: Vec<Module> = modules.into_iter().filter(chosen).collect();
    if let (Some(prefix), true) = (prefix, own.is_empty()) {
        return Err(Fault::usage(format!("has no layer whose name begins with `{prefix}`")));
    }
    let chain = only_chain(tensors, &own, sizes)?;
    Ok(FoundNetwork {
        source: "PyTorch names".to_owned(),
        layers: layers(tensors, &chain)?,
        dense: false,
        activation: Told::Unknown,
        output: Told::Unknown,
        standardise: None,
        origin: Origin::default(),
        notes: Vec::new(),
    })
}

impl Layout {
    /// The name before the stems, and the modules; `None` if the file is of another layout.
    fn chain<'m>(&self, tensors: &Tensors<'_>, modules: &'m [Module]) -> Option<(&'m str, Vec<&'m Module>)> {
        let last = self.stems.last()?;
        let scopes = modules.iter().filter_map(|module| {
            let (stem, _) = if module.name.ends_with(last) { (&module.name[..], None) } else { module.numbered() };
            let scope = stem.strip_suffix(last)?;
            (scope.is_empty() || scope.ends_with('.')).then_some(scope)
        });
        let fits = |scope: &&str| {
            scope.ends_with(self.within)
                && self.beside.iter().any(|name| tensors.find(&format!("{scope}{name}")).is_some())
        };
        let scope = scopes.into_iter().find(fits)?;
        let mut chain = Vec::new();
        for stem in self.stems {
            let full = format!("{scope}{stem}");
            let mut of_stem: Vec<(Option<usize>, &Module)> = Vec::new();
            for module in modules {
                match module.numbered() {
                    (name, Some(number)) if name == full => of_stem.push((Some(number), module)),
                    _ if module.name == full => of_stem.push((None, module)),
                    _ => {}
                }
            }
            of_stem.sort_by_key(|(number, _)| *number);
            chain.extend(of_stem.into_iter().map(|(_, module)| module));
        }
        Some((scope, chain))
    }

    fn network(&self, tensors: &Tensors<'_>, scope: &str, chain: &[&Module]) -> Result<FoundNetwork, Fault> {
        let part = |name: &str| tensors.numbers_of(&format!("{scope}{name}"));
        let output = match self.after {
            After::Tanh => Output::Unit(PolicyHead::Tanh),
            After::Clip => Output::Raw(None),
            After::TanhScaled => Output::Scaled {
                head: PolicyHead::Tanh,
                centre: part("action_bias")?.unwrap_or_default(),
                half_width: part("action_scale")?.unwrap_or_default(),
            },
        };
        let own = MOMENTS.iter().map(|name| format!("{scope}{name}"));
        let of_file = MOMENTS_OF_FILE.iter().map(|name| (*name).to_owned());
        let standardise = own.chain(of_file).find_map(|name| empirical(tensors, &name).transpose()).transpose()?;
        Ok(FoundNetwork {
            source: self.name.to_owned(),
            layers: layers(tensors, chain)?,
            dense: false,
            activation: Told::ByDefault(self.activation, self.name),
            output: if self.after == After::Clip { Told::ByDefault(output, self.name) } else { Told::ByFile(output) },
            standardise,
            origin: Origin { agent: Some(self.agent.to_owned()), ..Origin::default() },
            notes: self.note.iter().map(|note| (*note).to_owned()).collect(),
        })
    }
}

/// The standardisation of rsl_rl and FastTD3, (x − mean) / (std + 0.01), under this name.
fn empirical(tensors: &Tensors<'_>, name: &str) -> Result<Option<Standardisation>, Fault> {
    /// `eps` of `EmpiricalNormalization`, which files do not have.
    const SPARE: f64 = 1e-2;
    let (Some(mean), Some(std)) =
        (tensors.numbers_of(&format!("{name}._mean"))?, tensors.numbers_of(&format!("{name}._std"))?)
    else {
        return Ok(None);
    };
    let scale = std.iter().map(|std| 1.0 / (std + SPARE)).collect();
    Ok(Some(Standardisation { from: format!("`{name}`"), mean, scale, clip: f64::INFINITY }))
}
