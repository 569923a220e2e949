//! Policies and networks of other programs: archives of Stable-Baselines3, checkpoints of CleanRL
//! and rsl_rl, PyTorch's state dicts, safetensors, ONNX.
//!
//! | file | content |
//! | --- | --- |
//! | `pickle` | Python's pickles as data; nothing is ever executed |
//! | `tensors` | named arrays: types, strides, limits |
//! | `torch`, `safe` | the arrays of `torch.save` and of safetensors |
//! | `sb3` | archives of Stable-Baselines3 |
//! | `vec_normalize` | its standardisation of observations |
//! | `layouts` | names that known libraries give their actors |
//! | `chain` | chains of linear layers among named arrays |
//! | `onnx` | models of ONNX |
//! | `activations` | activations by name |
//! | `found` | the network that all of these lead to |
//! | `policy` | it as a policy for an environment, or as a network to certify |
//! | `report` | the mapping in words |

pub(crate) mod activations;
mod chain;
mod fault;
mod found;
mod layouts;
mod onnx;
mod pickle;
mod policy;
mod report;
mod safe;
mod sb3;
mod tensors;
mod torch;
mod vec_normalize;

use std::path::{Path, PathBuf};

use liprl_logbook::{ZipArchive, read_file};
use liprl_numerics::Activation;

pub use fault::Fault;
pub(crate) use found::FoundNetwork;
pub(crate) use policy::{certifiable, policy};
pub(crate) use report::report;

use found::{Output, Standardisation, Told};
use liprl_control::PolicyHead;

/// Most bytes of a file.
const FILE: u64 = 256 << 20;
/// The hint about files of old versions of torch.
const LEGACY: &str = "is a file of torch before 1.6; load it and save it again with a current torch";

/// Choices about a file that it does not make itself.
#[derive(Clone, Debug, Default)]
pub struct ImportOptions {
    /// First letters of the names of the network's arrays.
    pub prefix: Option<String>,
    /// The activation of hidden layers.
    pub activation: Option<Activation>,
    /// Map from outputs to actions.
    pub squash: Option<Squash>,
    /// A file with the standardisation of observations.
    pub normaliser: Option<PathBuf>,
}

/// Maps from outputs to actions that a user can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Squash {
    /// tanh; actions in [-1, 1] are scaled to the environment's bounds
    Tanh,
    /// None; actions are in the environment's units and clipped to its bounds
    None,
}

/// True if a file is a policy of this program.
pub(crate) fn is_policy(path: &Path) -> anyhow::Result<bool> {
    Ok(safe::is_state(&bytes_of(path)?))
}

/// The mapping from a file to a network in words, whatever the environment.
///
/// # Errors
/// A message that names the file, the place in it and the problem.
pub fn mapping(path: &Path, options: &ImportOptions) -> anyhow::Result<String> {
    Ok(report(&read(path, options, None)?))
}

/// Reads the network of a file. `sizes` are the observations and actions of the environment, if
/// there is one.
///
/// # Errors
/// A message that names the file, the place in it and the problem.
pub(crate) fn read(
    path: &Path,
    options: &ImportOptions,
    sizes: Option<(usize, usize)>,
) -> anyhow::Result<FoundNetwork> {
    let bytes = bytes_of(path)?;
    let mut found = of_bytes(&bytes, options, sizes).map_err(|fault| fault.of(path))?;
    if let Some(file) = &options.normaliser {
        let standardise = normaliser(file, found.inputs())?;
        if found.standardise.is_some() && standardise.is_some() {
            let twice = Fault::usage("has a standardisation of its own; leave out --normaliser");
            return Err(twice.of(path));
        }
        found.standardise = standardise;
    }
    Ok(found)
}

/// The content of a file.
fn bytes_of(path: &Path) -> anyhow::Result<Vec<u8>> {
    match path.is_file() {
        true => Ok(read_file(path, FILE)?),
        false if path.exists() => Err(Fault::usage("is not a file").of(path)),
        false => Err(Fault::usage("does not exist").of(path)),
    }
}

/// Reads the network of a file's bytes, without `options.normaliser`.
fn of_bytes(bytes: &[u8], options: &ImportOptions, sizes: Option<(usize, usize)>) -> Result<FoundNetwork, Fault> {
    let prefix = options.prefix.as_deref();
    let mut found = if ZipArchive::begins(bytes) {
        let zip = ZipArchive::read(bytes).map_err(Fault::new)?;
        if sb3::is(&zip) {
            sb3::read(&zip, prefix, sizes)?
        } else if torch::pickle_name(&zip).is_some() {
            layouts::find(&torch::read(&zip)?, prefix, sizes)?
        } else {
            return Err(Fault::new(
                "is a ZIP archive of neither Stable-Baselines3 (data, policy.pth) nor torch.save (data.pkl)",
            ));
        }
    } else if torch::is_legacy(bytes) {
        return Err(Fault::new(LEGACY));
    } else if safe::header_length(bytes).is_some() {
        if safe::is_state(bytes) {
            return Err(Fault::usage("is a policy of this program already"));
        }
        layouts::find(&safe::read(bytes)?, prefix, sizes)?
    } else if bytes.starts_with(&[0x80]) {
        return Err(Fault::usage(
            "is a pickle without arrays of torch; a VecNormalize goes to --normaliser, a model is saved with torch.save or SB3's `save`",
        ));
    } else {
        onnx::read(bytes).map_err(|fault| {
            fault.at("not a ZIP archive (torch.save, Stable-Baselines3) nor safetensors; read as ONNX")
        })?
    };
    found.check()?;
    choose(&mut found, options)?;
    Ok(found)
}

/// Applies the user's choices where the file makes none.
fn choose(found: &mut FoundNetwork, options: &ImportOptions) -> Result<(), Fault> {
    if let Some(activation) = options.activation {
        if let Told::ByFile(own) = found.activation
            && own != activation
        {
            let own = activations::name(own);
            return Err(Fault::usage(format!("says that its activation is {own}; leave out --activation")));
        }
        found.activation = Told::ByUser(activation);
    }
    if let Some(squash) = options.squash {
        let output = match squash {
            Squash::Tanh => Output::Unit(PolicyHead::Tanh),
            Squash::None => Output::Raw(None),
        };
        if let Told::ByFile(own) = &found.output
            && std::mem::discriminant(own) != std::mem::discriminant(&output)
        {
            return Err(Fault::usage("says itself how its outputs become actions; leave out --squash"));
        }
        found.output = Told::ByUser(output);
    }
    Ok(())
}

/// Reads a standardisation of so many numbers; `None` if the file has it switched off.
fn normaliser(path: &Path, count: usize) -> anyhow::Result<Option<Standardisation>> {
    let bytes = bytes_of(path)?;
    let found = vec_normalize::read(&bytes).and_then(|found| match found {
        Some(found) if found.mean.len() != count => Err(Fault::usage(format!(
            "standardises {} numbers, the network takes {count}; they belong to different policies",
            found.mean.len()
        ))),
        found => Ok(found),
    });
    let mut found = found.map_err(|fault| fault.of(path))?;
    if let Some(found) = &mut found {
        found.from = format!("{} of {}", found.from, path.display());
    }
    Ok(found)
}
