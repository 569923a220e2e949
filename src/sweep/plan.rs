//! A sweep file resolved: every variant with every seed, each with its whole config and an id made from it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use serde_json::{Map, Value};

use super::error::PlanError;
use super::expand::{Point, Setting, expand, no_seed, settings};
use super::file::{self, LauncherConfig, ReportConfig, SweepFile};
use super::name;
use crate::config::{self, Config, ConfigError, Node, Override, Sources, insert, names, nearest, parse};
use crate::task::Task;
use crate::train::{build_agent, flatten};

/// What a sweep file comes to.
#[derive(Debug)]
pub struct Plan {
    /// Name of the experiment.
    pub experiment: String,
    /// The sweep file.
    pub file: PathBuf,
    /// The base config.
    pub base: PathBuf,
    /// The question, and how it is answered.
    pub report: ReportConfig,
    /// How runs are started.
    pub launcher: LauncherConfig,
    /// The settings compared, in the file's order.
    pub variants: Vec<Variant>,
    /// Every run: all variants with the first seed, then all with the second, so that what is there early compares all.
    pub runs: Vec<PlannedRun>,
    /// What looks like a mistake and may be none.
    pub warnings: Vec<String>,
}

/// One of the settings compared.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its folder's name.
    pub name: String,
    /// What it sets: dotted path → value.
    pub settings: Map<String, Value>,
    config: Config,
}

/// One run to be done.
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
    /// Its run folder, below the sweep's.
    pub fn folder(&self) -> PathBuf {
        Path::new(&self.variant).join(format!("seed-{}", self.config.seed))
    }
}

impl Plan {
    /// Reads a sweep file and resolves every run. Builds nothing, writes nothing.
    ///
    /// # Errors
    /// Whatever is wrong with the file, its base or any run's config, at its place.
    pub fn read(path: &Path, sets: &[Override]) -> Result<Self, PlanError> {
        let text = fs::read_to_string(path)?;
        let mut sources = Sources::default();
        let tree = parsed(&path.display().to_string(), &text, &mut sources)?;
        let file: SweepFile = config::read(&tree, &sources, &file::schema())?;
        let base = path.parent().unwrap_or(Path::new(".")).join(&file.base);
        let base_text =
            fs::read_to_string(&base).map_err(|error| at(&tree, "base", &sources, error.to_string(), None))?;
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
        let points = expand(&file, &tree, &set_before, &sources)?;
        let experiment = experiment(&file, path, &tree, &sources)?;
        let mut resolver = Resolver::new(&tree, &sources, root);
        let variants = resolver.variants(points, &base)?;
        let warnings = resolver.warnings()?;
        check_baseline(&file, &variants, &tree, &sources)?;
        let runs = runs(&file.seeds, &variants, &tree, &sources)?;
        let (report, launcher) = (file.report, file.launcher);
        Ok(Self { experiment, file: path.to_owned(), base, report, launcher, variants, runs, warnings })
    }

    /// Builds each variant's environment and agent that `skip` does not know yet: some faults show only then.
    ///
    /// # Errors
    /// The first variant that cannot be built, with the reason.
    pub fn build(&self, skip: impl Fn(&str) -> bool) -> Result<(), PlanError> {
        for variant in self.variants.iter().filter(|variant| !skip(&variant.name)) {
            let built = Task::new(&variant.config.env).map_err(anyhow::Error::from).and_then(|task| {
                build_agent(&variant.config, &task)?;
                Ok(())
            });
            built.map_err(|error| PlanError::Build { variant: variant.name.clone(), reason: format!("{error:#}") })?;
        }
        Ok(())
    }
}

/// A config's hash, the same however its keys are ordered.
pub fn id(config: &Config) -> String {
    let canonical = sorted(&serde_json::to_value(config).unwrap_or_default()).to_string();
    format!("{:016x}", hash(canonical.as_bytes()))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<(String, Value)> =
                map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(entries.into_iter().collect())
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

/// The 128-bit FNV-1a hash folded to 64 bits; fixed for all time, because folders depend on it.
pub(super) fn hash(bytes: &[u8]) -> u64 {
    const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = bytes.iter().fold(BASIS, |hash, &byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    (hash >> 64) as u64 ^ hash as u64
}

/// A combination's config and all that was set for it.
type Resolved = (Config, Map<String, Value>);

/// Turns points into variants with configs.
struct Resolver<'a> {
    tree: &'a Node,
    sources: &'a Sources,
    /// Base, `set:` and the command line.
    root: Node,
    schema: Value,
    rules: Vec<Rule>,
}

/// An entry of `when:`.
struct Rule {
    conditions: Vec<Setting>,
    set: Vec<Setting>,
    skip: bool,
    at: config::Span,
    /// Whether some point had every path it asks for, and whether it ever held.
    seen: Vec<bool>,
    held: bool,
}

impl<'a> Resolver<'a> {
    fn new(tree: &'a Node, sources: &'a Sources, root: Node) -> Self {
        let rule = |node: &Node| {
            let conditions = node.get("if").map(settings).unwrap_or_default();
            let skip = matches!(node.get("skip").map(|node| &node.value), Some(config::Value::Bool(true)));
            let seen = vec![false; conditions.len()];
            let set = node.get("set").map(settings).unwrap_or_default();
            Rule { conditions, set, skip, at: node.span, seen, held: false }
        };
        let rules = rules(tree).iter().map(rule).collect();
        Self { tree, sources, root, schema: config::schema(), rules }
    }

    fn variants(&mut self, points: Vec<Point>, base: &Path) -> Result<Vec<Variant>, PlanError> {
        let mut variants: Vec<Variant> = Vec::new();
        for point in points {
            let name = match point.name() {
                none if none.is_empty() => base
                    .file_stem()
                    .map_or_else(|| "base".to_owned(), |stem| name::value(&stem.to_string_lossy().into())),
                name => name,
            };
            let resolved = self
                .config(&point.settings)
                .map_err(|error| PlanError::InVariant { variant: name.clone(), error: Box::new(error) })?;
            let Some((config, settings)) = resolved else { continue };
            // Every seed gives the same comparison.
            let config = Config { seed: 0, ..config };
            if let Some(other) = variants.iter().find(|other| other.name == name || other.config == config) {
                return Err(PlanError::Collision {
                    same_config: other.config == config,
                    one: other.name.clone(),
                    other: name,
                });
            }
            variants.push(Variant { name, settings, config });
        }
        if variants.is_empty() {
            return Err(self.sources.error(self.tree.span, "every combination is left out by `when`", None).into());
        }
        Ok(variants)
    }

    /// The config of one combination and all it sets; none if a rule leaves it out.
    fn config(&mut self, point: &[Setting]) -> Result<Option<Resolved>, ConfigError> {
        let mut tree = self.root.clone();
        // Wider settings first: `a: {…}` then `a.b`.
        let mut ordered: Vec<Setting> = point.to_vec();
        ordered.sort_by(|a, b| (a.path.matches('.').count(), &a.path).cmp(&(b.path.matches('.').count(), &b.path)));
        put(&mut tree, &ordered, self.sources)?;
        let mut config: Config = config::read(&tree, self.sources, &self.schema)?;
        if !self.rules.is_empty() {
            let table = serde_json::to_value(&config).unwrap_or_default();
            // Every rule is asked, so that a condition on what no variant has is found.
            let held: Vec<bool> = self.rules.iter_mut().map(|rule| rule.holds(&table)).collect();
            let holding: Vec<&Rule> =
                self.rules.iter().zip(held).filter_map(|(rule, held)| held.then_some(rule)).collect();
            if holding.iter().any(|rule| rule.skip) {
                return Ok(None);
            }
            for rule in &holding {
                put(&mut tree, &rule.set, self.sources)?;
                ordered.extend(rule.set.iter().cloned());
            }
            if !holding.is_empty() {
                config = config::read(&tree, self.sources, &self.schema)?;
            }
        }
        let settings = ordered.into_iter().map(|setting| (setting.path, setting.value.to_json())).collect();
        Ok(Some((config, settings)))
    }

    /// Refuses conditions on what no variant has, and names rules that never held.
    fn warnings(&self) -> Result<Vec<String>, ConfigError> {
        let mut warnings = Vec::new();
        for rule in &self.rules {
            if let Some((condition, _)) = rule.conditions.iter().zip(&rule.seen).find(|(_, seen)| !**seen) {
                let base: Result<Config, _> = config::read(&self.root, self.sources, &self.schema);
                let known: Vec<String> =
                    base.map(|config| flatten(&config).into_iter().map(|(path, _)| path).collect()).unwrap_or_default();
                let help = nearest(&condition.path, known.iter().map(String::as_str));
                let help = help.map(|near| format!("did you mean `{near}`?"));
                let problem = format!("no variant has `{}`", condition.path);
                return Err(self.sources.error(condition.at, problem, help));
            }
            if !rule.held {
                let place = self.sources.error(rule.at, "this condition holds for no variant", None);
                warnings.push(place.to_string());
            }
        }
        Ok(warnings)
    }
}

impl Rule {
    fn holds(&mut self, config: &Value) -> bool {
        let mut holds = true;
        for (condition, seen) in self.conditions.iter().zip(&mut self.seen) {
            let found = lookup(config, &condition.path);
            *seen |= found.is_some();
            let wanted = condition.value.to_json();
            holds &= found.is_some_and(|found| match &wanted {
                Value::Array(any) if !found.is_array() => any.iter().any(|one| same(found, one)),
                one => same(found, one),
            });
        }
        self.held |= holds;
        holds
    }
}

/// The value under a dotted path; a task given by its id alone answers to `env.id` too.
fn lookup<'v>(config: &'v Value, path: &str) -> Option<&'v Value> {
    let mut value = config;
    for name in path.split('.') {
        value = match value {
            Value::String(_) if path == "env.id" => return Some(value),
            _ => value.get(name)?,
        };
    }
    Some(value)
}

/// Equal as settings: 10 and 10.0 are one number.
fn same(a: &Value, b: &Value) -> bool {
    match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    }
}

fn put(tree: &mut Node, settings: &[Setting], sources: &Sources) -> Result<(), ConfigError> {
    for setting in settings {
        insert(tree, &names(&setting.path, setting.at, sources)?, setting.value.clone());
    }
    Ok(())
}

/// The entries of `when:`.
fn rules(tree: &Node) -> &[Node] {
    match tree.get("when").map(|node| &node.value) {
        Some(config::Value::List(items)) => items,
        _ => &[],
    }
}

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

/// An error at the value of one of the file's keys.
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
    for (index, &seed) in seeds.iter().enumerate() {
        if seeds[..index].contains(&seed) {
            return Err(at(tree, "seeds", sources, format!("the seed {seed} is listed twice"), None));
        }
        runs.extend(variants.iter().map(|variant| {
            let config = Config { seed, ..variant.config.clone() };
            PlannedRun { id: id(&config), variant: variant.name.clone(), config }
        }));
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

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
        Plan::read(&folder.join("sweep.yaml"), &[]).unwrap()
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

    /// The test vectors published with the hash, folded: FNV-1a 128 of "" and of "a".
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(hash(b""), 0x6c62_272e_07bb_0142 ^ 0x62b8_2175_6295_c58d);
        assert_eq!(hash(b"a"), 0xd228_cb69_6f1a_8caf ^ 0x7891_2b70_4e4a_8964);
    }
}
