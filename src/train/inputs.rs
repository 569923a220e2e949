//! The files that a run reads at its start, told apart by their contents.

use std::collections::BTreeMap;
use std::path::Path;

use liprl_agents::demos::DemonstrationsConfig;
use liprl_envs::python::PythonConfig;
use liprl_logbook::{RunFolder, limits, open_file, read_file};
use sha2::{Digest, Sha256};

use crate::config::Config;
use crate::load::policy_bytes;
use crate::usage::Usage;

/// Setting → SHA-256 of what it names.
pub(super) fn digests(config: &Config) -> anyhow::Result<BTreeMap<String, String>> {
    let mut digests = BTreeMap::new();
    for (setting, path) in config.clone().agent.paths_mut() {
        let digest = match setting {
            "agent.demonstrations" => of_demonstrations(path)?,
            _ => hexadecimal(Sha256::new_with_prefix(policy_bytes(path)?)),
        };
        digests.insert(setting.to_owned(), digest);
    }
    let model = config.env.options.get("xml_file").and_then(|file| file.as_str()).map(Path::new);
    if let Some(model) = model.filter(|file| file.is_absolute()) {
        digests
            .insert("env.xml_file".to_owned(), hexadecimal(Sha256::new_with_prefix(read_file(model, limits::RECORD)?)));
    }
    Ok(digests)
}

fn of_demonstrations(path: &Path) -> anyhow::Result<String> {
    let mut hash = Sha256::new();
    for file in DemonstrationsConfig::from(path).files()? {
        std::io::copy(&mut open_file(file, limits::LOG)?, &mut hash)?;
    }
    Ok(hexadecimal(hash))
}

fn hexadecimal(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Refuses to resume a run with other files than those it began with. A file that only moved is the
/// same: `stored` takes its new place. Returns true if one did.
///
/// # Errors
/// [`Usage`] naming setting and file.
pub(super) fn compare(folder: &RunFolder, stored: &mut Config, given: &Config) -> anyhow::Result<bool> {
    let began = folder.provenance()?.inputs;
    let now = if began.is_empty() { began.clone() } else { digests(given)? };
    for (setting, before) in &began {
        match now.get(setting) {
            Some(digest) if digest != before => {
                let (run, short) =
                    (folder.path().display(), |digest: &str| digest.chars().take(16).collect::<String>());
                return Err(Usage(format!(
                    "`{setting}` names another file than the one that the run in {run} began with (SHA-256 {}…, now {}…); \
                     put that one back, name its copy with --set {setting}=PATH, or begin a new run with --out",
                    short(before),
                    short(digest)
                ))
                .into());
            }
            _ => {}
        }
    }
    Ok(if began.is_empty() { take_python_places(stored, given) } else { take_places(stored, given) })
}

/// Gives an environment in Python the interpreter and the folders that `given` has for it: they may
/// have moved. Returns true if one is another.
fn take_python_places(config: &mut Config, given: &Config) -> bool {
    let (Some(stored), Some(given)) = (&mut config.env.python, &given.env.python) else { return false };
    let moved = PythonConfig {
        interpreter: given.interpreter.clone(),
        folder: given.folder.clone(),
        path: given.path.clone(),
        ..stored.clone()
    };
    let other = *stored != moved;
    *stored = moved;
    other
}

/// Gives the files that `config` names the places that `given` has for them. Returns true if one is
/// another.
pub(super) fn take_places(config: &mut Config, given: &Config) -> bool {
    let mut moved = take_python_places(config, given);
    let mut given = given.clone();
    for (setting, path) in config.agent.paths_mut() {
        let other = given.agent.paths_mut().into_iter().find(|(name, _)| *name == setting);
        if let Some((_, other)) = other.filter(|(_, other)| **other != *path) {
            moved = true;
            path.clone_from(other);
        }
    }
    moved
}
