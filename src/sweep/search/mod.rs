//! `search:`: points that are chosen by the results of earlier ones.
//!
//! Points come in batches. Batch b follows from the sweep file and from the results that the search
//! was told before b, and these are in the sweep's lock file. So a launch chooses all points anew
//! and finds the ones that are there; when all runs of the last batch are over it tells their
//! results and asks for the next batch. At the end the best point becomes a variant of its own with
//! fresh seeds, because the best of many scores is too good by chance.

mod check;
mod config;
mod prune;
mod results;
mod space;
mod tpe;

use std::collections::HashSet;

use liprl_logbook::{BestPoint, SweepSearch, ToldResult};
use serde_json::{Map, to_value};

pub use config::SearchConfig;
pub use prune::PrunedRun;
pub(super) use prune::Watch;

use super::error::PlanError;
use super::expand::{Setting, entries, setting, whole};
use super::file::SweepFile;
use super::folder::SweepFolder;
use super::hash::id;
use super::variants::{Resolver, Variant};
use crate::config::{Key, Node, Sources};
use results::{Objective, PointResult};
use space::{Point, Space};

/// Attempts to find a point whose config is new.
const ATTEMPTS: usize = 500;
/// Points in a row, at least, that all failed before the search stops.
const FAILED_IN_A_ROW: usize = 4;
/// Beginning of the name of the variant that runs the best point again.
const CONFIRMATION: &str = "confirm-";

/// True for the name of a variant that runs the best point again.
pub(super) fn is_confirmation(variant: &str) -> bool {
    variant.starts_with(CONFIRMATION)
}

/// The part of a plan that a search makes.
pub(super) struct SearchPlan {
    /// The points so far.
    pub variants: Vec<Variant>,
    /// The best point with its fresh seeds, once it is known.
    pub confirmation: Option<(Variant, Vec<u64>)>,
    /// The record for the lock file.
    pub record: SweepSearch,
    /// The reason why no more points are asked for, if it is not that all are there.
    pub halt: Option<String>,
}

/// Chooses points by the results in the sweep's folder.
pub(super) fn plan<'n>(
    file: &SweepFile,
    config: &SearchConfig,
    (tree, sources): (&'n Node, &'n Sources),
    resolver: &mut Resolver<'n>,
    folder: Option<&SweepFolder>,
) -> Result<SearchPlan, PlanError> {
    check::check(file, config, tree, sources)?;
    let mut asker = Asker::new(config, tree, sources, resolver);
    asker.check_ends()?;
    let objective = Objective::new(&file.report);
    let earlier = folder.and_then(|folder| folder.lock.search.clone());
    let (told, best) = earlier.as_ref().map(|record| (record.told.clone(), record.best.clone())).unwrap_or_default();
    let mut record = record(file, config, &objective, told, best);
    if let Some(earlier) = earlier.filter(|earlier| !earlier.told.is_empty())
        && (&earlier.objective, &earlier.goal) != (&record.objective, &record.goal)
    {
        let [was, now] = [&earlier, &record].map(|one| format!("{} the {}", one.goal, one.objective));
        return Err(PlanError::OtherObjective { was, now });
    }
    let batches = config.points.div_ceil(config.parallel);
    let asked = record.told.iter().map(|told| told.batch + 1).max().unwrap_or(1);
    asker.grow(config.points.min(asked * config.parallel), &record.told)?;
    let before = asker.variants.len();
    let over = folder.map(|folder| {
        let names: Vec<&str> = asker.variants.iter().map(|variant| variant.name.as_str()).collect();
        results::read(folder, &names, &file.seeds, &objective, asker.is_full())
    });
    let mut halt = None;
    if let Some(results) = over.transpose()?.flatten() {
        halt = all_failed(&results, config, &record.objective).filter(|_| !asker.is_full());
        if halt.is_none() {
            results::tell(&mut record.told, &results, asked.min(batches));
            asker.grow(config.points.min((asked + 1) * config.parallel), &record.told)?;
        }
        // The best point stays the best while its confirmation runs.
        let known = record.best.as_ref().is_some_and(|best| best.points == before);
        if asker.is_full() && asker.variants.len() == before && !known {
            record.best = results::best(&results, config.goal).map(|point| {
                let variant = asker.variants[point].name.clone();
                let confirmation = (config.confirm > 0).then(|| format!("{CONFIRMATION}{variant}"));
                BestPoint { variant, confirmation, points: before }
            });
        }
    }
    let count = asker.variants.len();
    record.best = record.best.filter(|best| best.points == count && asker.is_full());
    if asker.is_full() && count < config.points {
        halt = Some(format!("the search has {count} different points to try, fewer than its `points`"));
        record.points = count;
    }
    let confirmation = confirmation(&record, &asker.variants, config.confirm);
    Ok(SearchPlan { variants: asker.variants, confirmation, record, halt })
}

/// The reason to stop if the last points all failed: the next ones would too.
fn all_failed(results: &[PointResult], config: &SearchConfig, objective: &str) -> Option<String> {
    let recent = FAILED_IN_A_ROW.max(config.parallel);
    let last = results.get(results.len().checked_sub(recent)?..)?;
    let why = format!("failed, or has no {objective}; --resume retries them, and the search goes on once one is done");
    let failed = last.iter().all(|one| one.value.is_none());
    failed.then(|| format!("each of the last {recent} points of the search {why}"))
}

fn record(
    file: &SweepFile,
    config: &SearchConfig,
    objective: &Objective,
    told: Vec<ToldResult>,
    best: Option<BestPoint>,
) -> SweepSearch {
    let draw: Map<_, _> =
        config.draw.iter().map(|(path, of)| (path.clone(), to_value(of).unwrap_or_default())).collect();
    SweepSearch {
        method: config.method.name().to_owned(),
        goal: config.goal.name().to_owned(),
        objective: objective.to_string(),
        points: config.points,
        seeds: file.seeds.clone(),
        draw,
        prune: config.prune.as_ref().and_then(|rule| to_value(rule).ok()),
        told,
        best,
    }
}

/// The variant that runs the best point again, with the seeds after the largest of the search.
fn confirmation(record: &SweepSearch, variants: &[Variant], count: u64) -> Option<(Variant, Vec<u64>)> {
    let best = record.best.as_ref()?;
    let name = best.confirmation.clone()?;
    let variant = variants.iter().find(|variant| variant.name == best.variant)?;
    let after = record.seeds.iter().max()?;
    Some((Variant { name, ..variant.clone() }, (1..=count).map_while(|next| after.checked_add(next)).collect()))
}

/// Chooses points one after the other.
struct Asker<'a, 'r, 'n> {
    config: &'a SearchConfig,
    space: Space<'a>,
    /// The paths with their distributions, as they stand in the file.
    draw: &'n [(Key, Node)],
    /// The search in the file.
    part: &'n Node,
    sources: &'n Sources,
    resolver: &'r mut Resolver<'n>,
    points: Vec<Point>,
    variants: Vec<Variant>,
    /// Hashes of the variants' configs.
    ids: HashSet<String>,
    /// True once no further point was found.
    exhausted: bool,
}

impl<'a, 'r, 'n> Asker<'a, 'r, 'n> {
    fn new(config: &'a SearchConfig, tree: &'n Node, sources: &'n Sources, resolver: &'r mut Resolver<'n>) -> Self {
        let part = tree.get("search").unwrap_or(tree);
        Self {
            config,
            space: Space::new(config),
            draw: part.get("draw").map_or(&[][..], entries),
            part,
            sources,
            resolver,
            points: Vec::new(),
            variants: Vec::new(),
            ids: HashSet::new(),
            exhausted: false,
        }
    }

    /// True if every point is there, or if there are no further ones.
    fn is_full(&self) -> bool {
        self.exhausted || self.points.len() >= self.config.points
    }

    /// Asks for points up to a number, or until there are no further ones.
    fn grow(&mut self, count: usize, told: &[ToldResult]) -> Result<(), PlanError> {
        while self.points.len() < count && !self.exhausted {
            let index = self.points.len();
            let known = results::known(told, index, index / self.config.parallel, self.config.goal);
            if !self.ask(index, &known)? {
                if index == 0 {
                    let problem = "every point is left out by `when`".to_owned();
                    return Err(self.sources.error(self.part.span, problem, None).into());
                }
                self.exhausted = true;
            }
        }
        Ok(())
    }

    /// Asks for one point; false if none is found that is new.
    fn ask(&mut self, index: usize, known: &[f64]) -> Result<bool, PlanError> {
        for attempt in 0..ATTEMPTS {
            let point = self.space.propose(index, attempt, &self.points, known).map_err(|(path, problem)| {
                let at =
                    self.draw.iter().find(|(key, _)| key.name == path).map_or(self.part.span, |(_, node)| node.span);
                self.sources.error(at, format!("`{path}` cannot be drawn: {problem}"), None)
            })?;
            if self.points.contains(&point) {
                continue;
            }
            let settings = self.settings(&point);
            let Some(variant) = self.resolver.resolve(format!("s{index:03}"), &settings)? else { continue };
            if self.ids.insert(id(&variant.config)) {
                self.variants.push(variant);
                self.points.push(point);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Checks the config at every end of the distributions, so that no late point is refused.
    fn check_ends(&mut self) -> Result<(), PlanError> {
        for point in self.space.ends() {
            let settings = self.settings(&point);
            self.resolver.resolve(String::new(), &settings).map_err(|error| match error {
                PlanError::InVariant { error, .. } => PlanError::Config(error),
                other => other,
            })?;
        }
        Ok(())
    }

    /// The settings of a point, with their places.
    fn settings(&self, point: &Point) -> Vec<Setting> {
        let of = |(path, value): (&String, &serde_json::Value)| {
            let (key, node) = self.draw.iter().find(|(key, _)| key.name == *path)?;
            Some(setting(key, &Node::from_json(&whole(value), node.span)))
        };
        self.config.draw.keys().zip(point).filter_map(of).collect()
    }
}

#[cfg(test)]
mod tests;
