//! A sweep file resolved: every variant with every seed, each with its complete config and an id
//! made from it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use liprl_analysis::nearest;
use liprl_logbook::{SweepSearch, limits, read_text};

use super::error::PlanError;
use super::expand::{Setting, expand, no_seed, put, settings};
use super::file::{self, LauncherConfig, ReportConfig, SweepFile};
use super::folder::SweepFolder;
use super::hash::id;
use super::variants::{Resolver, Variant, rules};
use super::{name, search};
use crate::agent::build_agent;
use crate::config::{self, Config, ConfigError, EnvConfig, Node, Override, Sources, parse};
use crate::memory::MemoryEstimate;
use crate::metric_names;
use crate::task::Task;

/// The runs of a sweep file.
#[derive(Debug)]
pub struct Plan {
    /// Name of the experiment.
    pub experiment: String,
    /// The sweep file.
    pub file: PathBuf,
    /// The base config.
    pub base: PathBuf,
    /// The question, and the options of its report.
    pub report: ReportConfig,
    /// The launcher of the runs.
    pub launcher: LauncherConfig,
    /// The variants, in the file's order.
    pub variants: Vec<Variant>,
    /// Every run: all variants with the first seed, then all with the second, so that early results
    /// compare all variants.
    pub runs: Vec<PlannedRun>,
    /// Possible mistakes.
    pub warnings: Vec<String>,
    /// The sweep's folder.
    pub out: PathBuf,
    /// The search that the variants are points of.
    pub search: Option<SweepSearch>,
    /// The reason why the search asks for no more points, if it is not that all are there.
    pub halt: Option<String>,
}

/// One run of a plan.
#[derive(Clone, Debug)]
pub struct PlannedRun {
    /// Hash of its config.
    pub id: String,
    /// Its variant's name.
    pub variant: String,
    /// Its config, complete.
    pub config: Config,
}

impl PlannedRun {
    /// Its run folder, relative to the sweep's.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.variant).join(format!("seed-{}", self.config.seed))
    }
}

impl Plan {
    /// Reads a sweep file and resolves every run. Builds nothing, writes nothing. The sweep's folder
    /// is `out`, else `runs/<experiment>`; a search chooses its points by the results there.
    ///
    /// # Errors
    /// If the file, its base or a run's config is invalid, with the place.
    pub fn read(path: &Path, sets: &[Override], out: Option<&Path>) -> Result<Self, PlanError> {
        let text = read_text(path, limits::CONFIG)?;
        let mut sources = Sources::default();
        let tree = parsed(&path.display().to_string(), &text, &mut sources)?;
        let file: SweepFile = config::read(&tree, &sources, &file::schema())?;
        let base = path.parent().unwrap_or(Path::new(".")).join(&file.base);
        let base_text =
            read_text(&base, limits::CONFIG).map_err(|error| at(&tree, "base", &sources, error.to_string(), None))?;
        let mut root = parsed(&base.display().to_string(), &base_text, &mut sources)?;
        if let Some(part) = tree.get("set") {
            refuse_seed(&settings(part), &sources)?;
            put(&mut root, &settings(part), &sources)?;
        }
        for node in rules(&tree) {
            refuse_seed(&node.get("set").map(settings).unwrap_or_default(), &sources)?;
        }
        for value in sets {
            value.apply(&mut root, &mut sources)?;
            if value.path() == "seed" {
                return Err(PlanError::Seed);
            }
        }
        let set_before: Vec<String> =
            file.set.keys().cloned().chain(sets.iter().map(|value| value.path().to_owned())).collect();
        let combinations = expand(&file, &tree, &set_before, &sources)?;
        let experiment = experiment(&file, path, &tree, &sources)?;
        let mut resolver = Resolver::new(&tree, &sources, root);
        let out = out.map_or_else(|| Path::new("runs").join(&experiment), Path::to_owned);
        let found = match &file.search {
            None => None,
            Some(config) => {
                let folder = SweepFolder::open(&out).ok();
                Some(search::plan(&file, config, (&tree, &sources), &mut resolver, folder.as_ref())?)
            }
        };
        let mut variants = match &found {
            None => resolver.variants(combinations, &base)?,
            Some(found) => found.variants.clone(),
        };
        let mut warnings = resolver.warnings()?;
        if let Some(problem) = metric_names::problem(&file.report.metric) {
            let metric = tree.get("report").unwrap_or(&tree);
            warnings.push(at(metric, "metric", &sources, problem, None).to_string());
        }
        for metric in file.report.metrics.iter().filter(|metric| !metric.contains('*')) {
            if let Some(problem) = metric_names::problem(metric) {
                warnings.push(at(tree.get("report").unwrap_or(&tree), "metrics", &sources, problem, None).to_string());
            }
        }
        check_baseline(&file, &variants, &tree, &sources)?;
        let mut runs = runs(&file.seeds, &variants, &tree, &sources)?;
        let (mut search, mut halt) = (None, None);
        if let Some(found) = found {
            (search, halt) = (Some(found.record), found.halt);
            if let Some((variant, seeds)) = found.confirmation {
                runs.extend(seeds.into_iter().map(|seed| planned(&variant, seed)));
                variants.push(variant);
            }
        }
        // Names and ids come from paths as they are written, so that a sweep's folder can be moved.
        let folders = [path, &base].map(|file| file.parent().unwrap_or(Path::new("")));
        for variant in &mut variants {
            let (name, missing) = (&variant.name, variant.config.resolve_paths(&folders));
            missing.map_err(|error| PlanError::Build { variant: name.clone(), reason: error.to_string() })?;
        }
        for run in &mut runs {
            run.config.resolve_paths(&folders).ok();
        }
        let (report, launcher) = (file.report, file.launcher);
        Ok(Self {
            experiment,
            file: path.to_owned(),
            base,
            report,
            launcher,
            variants,
            runs,
            warnings,
            out,
            search,
            halt,
        })
    }

    /// Builds the environment and agent of each variant that `skip` does not exclude, as some
    /// errors show only then. Of more than [`MOST_BUILT`] it takes so many, evenly spread: each
    /// takes milliseconds, and a run builds its own again. Returns how many are left out.
    ///
    /// # Errors
    /// [`PlanError::Build`] for the first variant that cannot be built.
    pub fn build(&self, skip: impl Fn(&str) -> bool) -> Result<usize, PlanError> {
        let wanted: Vec<&Variant> = self.variants.iter().filter(|variant| !skip(&variant.name)).collect();
        let stride = wanted.len().div_ceil(MOST_BUILT).max(1);
        // Variants in a row that have the task in common share it: one in Python takes a process.
        let mut last: Option<(&EnvConfig, Task)> = None;
        for variant in wanted.iter().step_by(stride) {
            let mut build = || {
                let env = &variant.config.env;
                // Demonstrations that stand for a task are not of the environment alone.
                if env.is_recorded() || last.as_ref().is_none_or(|(of, _)| *of != env) {
                    last = Some((env, Task::of(&variant.config)?));
                }
                let Some((_, task)) = &last else { return Ok(()) };
                MemoryEstimate::of(&variant.config, task).check()?;
                build_agent(&variant.config, task)?;
                anyhow::Ok(())
            };
            let built = build();
            built.map_err(|error| PlanError::Build { variant: variant.name.clone(), reason: format!("{error:#}") })?;
        }
        Ok(wanted.len() - wanted.len().div_ceil(stride))
    }
}

/// The most variants that are built before a sweep begins.
const MOST_BUILT: usize = 500;

fn refuse_seed(settings: &[Setting], sources: &Sources) -> Result<(), ConfigError> {
    match settings.iter().find(|setting| setting.path == "seed") {
        Some(seed) => Err(no_seed(seed.at, sources)),
        None => Ok(()),
    }
}

fn parsed(label: &str, text: &str, sources: &mut Sources) -> Result<Node, ConfigError> {
    let source = sources.add(label, text);
    parse(text, source).map_err(|fault| sources.error(fault.span, fault.problem, None))
}

/// Makes an error at the value of one of the file's keys.
fn at(tree: &Node, key: &str, sources: &Sources, problem: String, help: Option<String>) -> ConfigError {
    sources.error(tree.get(key).unwrap_or(tree).span, problem, help)
}

fn experiment(file: &SweepFile, path: &Path, tree: &Node, sources: &Sources) -> Result<String, ConfigError> {
    let named = file.experiment.clone();
    let experiment = named.unwrap_or_else(|| path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
    if name::is_plain(&experiment) {
        return Ok(experiment);
    }
    let help = "letters, digits and . _ + - = , beginning with a letter or digit".to_owned();
    Err(at(tree, "experiment", sources, format!("`{experiment}` cannot name an experiment's folder"), Some(help)))
}

fn check_baseline(file: &SweepFile, variants: &[Variant], tree: &Node, sources: &Sources) -> Result<(), ConfigError> {
    let Some(baseline) = &file.report.baseline else { return Ok(()) };
    if variants.iter().any(|variant| variant.name == *baseline) {
        return Ok(());
    }
    let known: Vec<&str> = variants.iter().map(|variant| variant.name.as_str()).collect();
    let help = match nearest(baseline, known.iter().copied()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("variants: {}", known.join(" ")),
    };
    let report = tree.get("report").unwrap_or(tree);
    Err(at(report, "baseline", sources, format!("no variant is called `{baseline}`"), Some(help)))
}

fn runs(seeds: &[u64], variants: &[Variant], tree: &Node, sources: &Sources) -> Result<Vec<PlannedRun>, ConfigError> {
    let mut runs = Vec::new();
    let mut listed = HashSet::new();
    for &seed in seeds {
        if !listed.insert(seed) {
            return Err(at(tree, "seeds", sources, format!("the seed {seed} is listed twice"), None));
        }
        runs.extend(variants.iter().map(|variant| planned(variant, seed)));
    }
    Ok(runs)
}

fn planned(variant: &Variant, seed: u64) -> PlannedRun {
    let config = Config { seed, ..variant.config.clone() };
    PlannedRun { id: id(&config), variant: variant.name.clone(), config }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use fs_err as fs;
    use proptest::prelude::*;

    use super::*;

    /// Settings that go together in any combination, with values that differ.
    const AXES: [(&str, &[&str]); 6] = [
        ("agent.gamma", &["0.9", "0.95", "0.99"]),
        ("agent.n_step", &["1", "3"]),
        ("agent.actor", &["{hidden: [16]}", "{lr: 1e-3, hidden: [16]}", "{hidden: [8, 8], lr: 1e-3}"]),
        ("agent.critic.lr", &["1e-3", "1e-4"]),
        ("env", &["Pendulum-v1", "{id: Pendulum-v1, g: 9.81}", "{g: 5, id: Pendulum-v1}"]),
        ("eval.every", &["1e3", "2_000"]),
    ];

    fn plan(folder: &Path, axes: &[(&str, Vec<&str>)], seeds: &[u64]) -> Plan {
        fs::write(folder.join("base.yaml"), "env: Pendulum-v1\nsteps: 10\nagent: {kind: sac}\n").unwrap();
        let axes: String = axes.iter().map(|(path, values)| format!("  {path}: [{}]\n", values.join(", "))).collect();
        let text = format!("base: base.yaml\nexperiment: try\nseeds: {seeds:?}\naxes:\n{axes}");
        fs::write(folder.join("sweep.yaml"), text).unwrap();
        Plan::read(&folder.join("sweep.yaml"), &[], None).unwrap()
    }

    /// Folder → id.
    fn ids(plan: &Plan) -> BTreeMap<PathBuf, String> {
        plan.runs.iter().map(|run| (run.folder(), run.id.clone())).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn ids_are_unique_and_know_nothing_of_order(
            chosen in Just(AXES.to_vec()).prop_shuffle(),
            count in 1..4_usize,
            seeds in prop::collection::btree_set(0..100_u64, 1..4),
            other in Just(AXES.to_vec()).prop_shuffle(),
        ) {
            let chosen: Vec<(&str, Vec<&str>)> =
                chosen.into_iter().take(count).map(|(path, values)| (path, values.to_vec())).collect();
            let mut turned = chosen.clone();
            turned.sort_by_key(|(path, _)| other.iter().position(|(name, _)| name == path));
            turned.iter_mut().for_each(|(_, values)| values.reverse());
            let seeds: Vec<u64> = seeds.into_iter().collect();
            let backwards: Vec<u64> = seeds.iter().rev().copied().collect();

            let folder = tempfile::tempdir().unwrap();
            let (one, two) = (plan(folder.path(), &chosen, &seeds), plan(folder.path(), &turned, &backwards));
            let expected = chosen.iter().map(|(_, values)| values.len()).product::<usize>() * seeds.len();
            prop_assert_eq!(one.runs.len(), expected);
            prop_assert_eq!(ids(&one), ids(&two));
            let unique: std::collections::BTreeSet<&String> = one.runs.iter().map(|run| &run.id).collect();
            prop_assert_eq!(unique.len(), expected);
            for run in &one.runs {
                prop_assert!(name::is_plain(&run.variant), "{}", run.variant);
            }
        }
    }
}
