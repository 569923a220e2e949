//! `liprl new`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use fs_err as fs;

use crate::cli::NewArgs;
use crate::terminal::print;
use crate::usage::Usage;

/// The files of a new crate, `{name}` and `{liprl}` to be replaced. Those of `examples/lab` are built and
/// tested here as they are.
const FILES: [(&str, &str); 15] = [
    ("Cargo.toml", include_str!("new/Cargo.toml.txt")),
    (".cargo/config.toml", include_str!("new/config.toml.txt")),
    (".gitignore", "/target\n/runs\n*.hdf5\n"),
    ("README.md", include_str!("new/README.md.txt")),
    ("build.rs", include_str!("new/build.rs.txt")),
    ("src/main.rs", include_str!("../../examples/lab/main.rs")),
    ("src/env.rs", include_str!("../../examples/lab/env.rs")),
    ("src/shaping.rs", include_str!("../../examples/lab/shaping.rs")),
    ("src/reward.rs", include_str!("../../examples/lab/reward.rs")),
    ("src/regulariser.rs", include_str!("../../examples/lab/regulariser.rs")),
    ("src/agent.rs", include_str!("../../examples/lab/agent.rs")),
    ("configs/point.yaml", include_str!("../../examples/lab/configs/point.yaml")),
    ("configs/imitate.yaml", include_str!("../../examples/lab/configs/imitate.yaml")),
    ("configs/sweep.yaml", include_str!("../../examples/lab/configs/sweep.yaml")),
    ("tests/lab.rs", include_str!("new/lab.rs.txt")),
];

/// Writes a crate of the user's own that extends the program.
pub fn new(args: &NewArgs) -> anyhow::Result<ExitCode> {
    let folder = &args.folder;
    let name = crate_name(folder)?;
    if folder.exists() {
        return Err(Usage(format!("{} exists already: choose another name", folder.display())).into());
    }
    let liprl = sources(args.liprl.as_deref())?;
    let place = liprl.to_str().ok_or_else(|| Usage(format!("{} is not Unicode", liprl.display())))?;
    for (file, text) in FILES {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text.replace("{name}", name).replace("{liprl}", place))?;
    }
    // The versions that liprl is tested with.
    fs::copy(liprl.join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let shown = folder.display();
    print(&format!("{shown}: a crate that extends liprl in {place}\nnext: cd {shown} && cargo test --release\n"))
}

/// The crate's name: the folder's.
fn crate_name(folder: &Path) -> Result<&str, Usage> {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(good) || name == "liprl" {
        return Err(Usage(format!(
            "`{name}` is not a crate's name: take small letters, digits, - and _, as in my-lab, but not liprl itself"
        )));
    }
    Ok(name)
}

/// liprl's sources: those named, or those that this program was built from.
fn sources(named: Option<&Path>) -> Result<PathBuf, Usage> {
    let place = named.unwrap_or(Path::new(env!("CARGO_MANIFEST_DIR")));
    let manifest = fs::read_to_string(place.join("Cargo.toml")).unwrap_or_default();
    match fs::canonicalize(place) {
        Ok(place) if manifest.contains("name = \"liprl\"") => Ok(place),
        _ => Err(Usage(format!("{} does not hold liprl's sources: name their folder with --liprl", place.display()))),
    }
}
