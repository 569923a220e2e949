//! `liprl import`.

use std::path::Path;
use std::process::ExitCode;

use liprl_logbook::{check_output, write_output};
use serde_json::json;

use crate::cli::ImportArgs;
use crate::import::{self, FoundNetwork};
use crate::task::Task;
use crate::terminal::{print, warn};
use crate::usage::Usage;

/// Names of saved standardisations that may lie beside a policy.
const BESIDE: &[&str] = &["vec_normalize.pkl", "vecnormalize.pkl"];

/// Writes a policy of another program as a policy file.
pub fn import(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let (file, out) = (&args.file, &args.out);
    let task = Task::new(&args.env).map_err(|error| Usage(format!("--env: {error}")))?;
    if let (Ok(from), Ok(to)) = (file.canonicalize(), out.canonicalize())
        && from == to
    {
        return Err(Usage(format!("--out {} is the file itself; choose another name", out.display())).into());
    }
    check_output(out)?;
    let found = import::read(file, &args.foreign.options(), Some((task.obs_dim(), task.act_dim())))?;
    let mut policy = import::policy(&found, &args.env, &task).map_err(|fault| fault.of(file))?;
    let source = json!({"program": found.source, "file": file.file_name().map(|name| name.to_string_lossy())});
    let origin = &found.origin;
    let mut facts = vec![
        ("env", json!(args.env)),
        ("agent", json!(origin.agent.as_deref().unwrap_or("imported"))),
        ("step", json!(origin.step.unwrap_or_default())),
        ("source", source),
    ];
    facts.extend(origin.seed.map(|seed| ("seed", json!(seed))));
    policy.about_mut().extend(facts.into_iter().map(|(name, value)| (name.to_owned(), value)));
    write_output(out, &policy.to_bytes()?)?;
    warnings(args, &found, task.act_dim()).iter().for_each(warn);
    print(&format!(
        "{}: {}\n{}environment  {}, {} observations, {} actions\n{}: written\n",
        file.display(),
        found.source,
        import::report(&found),
        args.env.id,
        policy.obs_dim(),
        policy.act_dim(),
        out.display()
    ))
}

/// Sentences about what may not be as the user expects.
fn warnings(args: &ImportArgs, found: &FoundNetwork, act_dim: usize) -> Vec<String> {
    let (file, id) = (args.file.display(), &args.env.id);
    let mut warnings: Vec<String> = found.notes.iter().map(|note| format!("{file}: {note}")).collect();
    if let Some(other) = other_version(id, &args.file, found.origin.env.as_deref()) {
        warnings.push(format!(
            "{file} seems to be for {other}, and is imported for {id}; observations, rewards or physics may differ between them"
        ));
    }
    if found.has_deviations(act_dim) {
        let last = found.outputs();
        warnings.push(format!("{file}: of {last} outputs the first {act_dim} are taken for the actions' means"));
    }
    let beside = BESIDE.iter().map(|name| args.file.with_file_name(name)).find(|path| path.is_file());
    if let (Some(path), None) = (beside, &found.standardise) {
        warnings.push(format!(
            "{} lies beside {file}; if it is this policy's, give it: --normaliser {}",
            path.display(),
            path.display()
        ));
    }
    warnings
}

/// Another version of the environment that the file or the names of it and of its folder tell.
fn other_version(id: &str, file: &Path, told: Option<&str>) -> Option<String> {
    if let Some(told) = told {
        return (told != id).then(|| told.to_owned());
    }
    let base = &id[..id.rfind("-v")? + 2];
    let folder = file.parent().and_then(Path::file_name);
    let names = [file.file_name(), folder].into_iter().flatten().map(|name| name.to_string_lossy().into_owned());
    let version = |name: String| {
        let after = &name[name.find(base)? + base.len()..];
        let digits = after.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(after.len());
        (digits > 0).then(|| format!("{base}{}", &after[..digits]))
    };
    names.filter_map(version).next().filter(|named| named != id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_version_of_the_task() {
        let of = |file: &str, told| other_version("Hopper-v5", Path::new(file), told);
        assert_eq!(of("zoo/sac-Hopper-v3.zip", None).as_deref(), Some("Hopper-v3"));
        assert_eq!(of("Hopper-v4_1/best_model.zip", None).as_deref(), Some("Hopper-v4"));
        assert_eq!(of("sac-Hopper-v5.zip", None), None);
        assert_eq!(of("Hopper-v.zip", None), None);
        assert_eq!(of("Ant-v3.zip", None), None);
        assert_eq!(of("a.onnx", Some("Ant-v5")).as_deref(), Some("Ant-v5"));
        assert_eq!(of("Hopper-v3.onnx", Some("Hopper-v5")), None);
    }
}
