use std::path::Path;

use fs_err as fs;
use liprl_logbook::{FORMAT_VERSION, RunSummary, Status};
use serde_json::json;

use crate::sweep::{Plan, PlanError, SweepFolder};

const SEARCH: &str = "search:
  points: 10
  parallel: 3
  startup: 3
  confirm: 2
  draw:
    agent.gamma: {uniform: {low: 0.8, high: 0.99}}
    agent.n_step: {int: {low: 1, high: 5}}
";

/// A search on disk whose runs are not trained: each gets the files that a run leaves.
struct Fixture {
    folder: tempfile::TempDir,
}

impl Fixture {
    fn new(search: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("base.yaml"), "env: Pendulum-v1\nsteps: 10\nagent: {kind: sac}\n").unwrap();
        let fixture = Self { folder };
        fixture.write_file(search);
        fixture
    }

    fn write_file(&self, search: &str) {
        let text = format!("base: base.yaml\nexperiment: try\nseeds: [0, 7]\n{search}");
        fs::write(self.folder.path().join("sweep.yaml"), text).unwrap();
    }

    fn out(&self) -> std::path::PathBuf {
        self.folder.path().join("out")
    }

    fn plan(&self) -> Result<Plan, PlanError> {
        Plan::read(&self.folder.path().join("sweep.yaml"), &[], Some(&self.out()))
    }

    /// Plans and writes the plan, as a launch does.
    fn launch(&self) -> (Plan, SweepFolder) {
        let plan = self.plan().unwrap();
        let folder = SweepFolder::write(&self.out(), &plan).unwrap();
        (plan, folder)
    }

    /// Brings every run to its end that has none: its score is a function of its settings, and
    /// fails where that is `None`.
    fn finish(&self, plan: &Plan, score: impl Fn(&serde_json::Value) -> Option<f64>) {
        let folder = SweepFolder::open(&self.out()).unwrap();
        for run in &plan.runs {
            let settings = plan.variants.iter().find(|variant| variant.name == run.variant).unwrap();
            let value = score(&json!(settings.settings)).map(|value| value + run.config.seed as f64);
            finish_run(&self.out().join(run.folder()), &run.config.to_yaml().unwrap(), value);
            if value.is_none() {
                let listed = folder.runs().find(|listed| listed.folder == run.folder()).unwrap();
                folder.note_failure(listed, "diverged".to_owned()).unwrap();
            }
        }
    }
}

fn finish_run(run: &Path, config: &str, value: Option<f64>) {
    fs::create_dir_all(run).unwrap();
    fs::write(run.join("config.yaml"), config).unwrap();
    fs::write(run.join("provenance.json"), format!("{{\"format_version\": {FORMAT_VERSION}}}")).unwrap();
    let status = match value {
        Some(_) => Status::Done,
        None => Status::Failed { reason: "diverged".to_owned() },
    };
    let summary = RunSummary { status, steps: 10, ..RunSummary::default() };
    fs::write(run.join("summary.json"), serde_json::to_string(&summary).unwrap()).unwrap();
    let line = value.map(|value| format!("{{\"step\": 10, \"wall_s\": 1, \"eval/return_mean\": {value}}}\n"));
    fs::write(run.join("metrics.jsonl"), line.unwrap_or_default()).unwrap();
}

/// Settings of each point.
fn settings(plan: &Plan) -> Vec<(String, serde_json::Value)> {
    plan.variants.iter().map(|variant| (variant.name.clone(), json!(variant.settings))).collect()
}

/// Best at γ = 0.9 and n = 3.
fn score(settings: &serde_json::Value) -> Option<f64> {
    let number = |name: &str| settings[name].as_f64().unwrap();
    Some(-(number("agent.gamma") - 0.9).powi(2) - 0.01 * (number("agent.n_step") - 3.0).powi(2))
}

/// Launches batch after batch until nothing is asked for any more, and returns every plan.
fn search(fixture: &Fixture) -> Vec<Plan> {
    let mut plans: Vec<Plan> = Vec::new();
    loop {
        let (plan, _) = fixture.launch();
        if plans.last().is_some_and(|last| last.runs.len() == plan.runs.len()) {
            plans.push(plan);
            return plans;
        }
        fixture.finish(&plan, score);
        plans.push(plan);
    }
}

#[test]
fn batches_follow_from_results_and_end_with_the_best_point_on_fresh_seeds() {
    let fixture = Fixture::new(SEARCH);
    let plans = search(&fixture);
    let counts: Vec<usize> = plans.iter().map(|plan| plan.variants.len()).collect();
    assert_eq!(counts, [3, 6, 9, 10, 11, 11]);
    let last = plans.last().unwrap();
    assert!(last.variants[..10].iter().enumerate().all(|(index, one)| one.name == format!("s{index:03}")));
    for (before, after) in plans.iter().zip(&plans[1..]) {
        assert_eq!(settings(before)[..], settings(after)[..before.variants.len()]);
    }
    // The best by the same scores, added up by hand.
    let scores: Vec<f64> = settings(last)[..10].iter().map(|(_, of)| score(of).unwrap()).collect();
    let best = (0..10).max_by(|a, b| scores[*a].total_cmp(&scores[*b])).unwrap();
    let confirmation = last.runs.iter().filter(|run| run.variant == format!("confirm-s{best:03}"));
    assert_eq!(confirmation.map(|run| run.config.seed).collect::<Vec<_>>(), [8, 9]);
    assert_eq!(last.variants[10].settings, last.variants[best].settings);
    let record = last.search.as_ref().unwrap();
    let told: Vec<(usize, usize)> = record.told.iter().map(|told| (told.batch, told.point)).collect();
    let expected: Vec<(usize, usize)> = (0..10).map(|point| (point / 3 + 1, point)).collect();
    assert_eq!(told, expected);
    // The mean over the seeds 0 and 7.
    assert!((record.told[4].value.unwrap() - (scores[4] + 3.5)).abs() < 1e-9);
    assert!(last.halt.is_none());
}

/// A launch that is killed leaves the lock file and some of its runs.
#[test]
fn launching_again_goes_on_exactly_wherever_it_was_killed() {
    let whole = Fixture::new(SEARCH);
    let expected = settings(search(&whole).last().unwrap());
    let fixture = Fixture::new(SEARCH);
    for _ in 0..6 {
        let (plan, _) = fixture.launch();
        // Killed before any run of the batch, and again after one run of it.
        assert_eq!(settings(&fixture.launch().0), settings(&plan));
        let one = plan.runs.iter().find(|run| !fixture.out().join(run.folder()).exists());
        if let Some(run) = one {
            let variant = plan.variants.iter().find(|variant| variant.name == run.variant).unwrap();
            let value = score(&json!(variant.settings)).unwrap() + run.config.seed as f64;
            finish_run(&fixture.out().join(run.folder()), &run.config.to_yaml().unwrap(), Some(value));
        }
        assert_eq!(settings(&fixture.launch().0), settings(&plan));
        fixture.finish(&plan, score);
    }
    assert_eq!(settings(&fixture.launch().0), expected);
    // A dry run on the finished search plans the same.
    assert_eq!(settings(&fixture.plan().unwrap()), expected);
}

#[test]
fn more_points_keep_the_first_and_other_settings_are_refused() {
    let fixture = Fixture::new(SEARCH);
    let before = settings(search(&fixture).last().unwrap());
    fixture.write_file(&SEARCH.replace("points: 10", "points: 14"));
    let plans = search(&fixture);
    let after = settings(plans.last().unwrap());
    assert_eq!(after.len(), 15);
    assert_eq!(before[..10], after[..10]);
    // Runs of another point than the lock file's are refused as any changed run.
    for changed in ["seed: 3\n  points: 14", "points: 14\n  method: random"] {
        fixture.write_file(&SEARCH.replace("points: 10", changed));
        let plan = fixture.plan().unwrap();
        let refused = SweepFolder::write(&fixture.out(), &plan).unwrap_err().to_string();
        assert!(refused.contains("/seed-0: `agent."), "{changed}: {refused}");
    }
    // And so are results of another score.
    let minimised = SEARCH.replace("  confirm: 2", "  confirm: 2\n  goal: minimise");
    let mean = format!("report: {{score: mean}}\n{SEARCH}");
    for (changed, now) in [(minimised, "minimise the last eval"), (mean, "maximise the mean eval")] {
        fixture.write_file(&changed);
        let refused = fixture.plan().unwrap_err().to_string();
        let was = "was told results to maximise the last eval/return_mean and is now to";
        assert!(refused.contains(was) && refused.contains(now), "{refused}");
    }
}

#[test]
fn a_failed_point_is_the_worst_and_a_retried_one_counts_from_then_on() {
    let fixture = Fixture::new(SEARCH);
    let (plan, _) = fixture.launch();
    fixture.finish(&plan, |settings| score(settings).filter(|_| settings != &json!(plan.variants[1].settings)));
    let (next, folder) = fixture.launch();
    assert_eq!(next.variants.len(), 6);
    let told = &next.search.as_ref().unwrap().told;
    assert_eq!((told[1].value, told[1].state.as_str()), (None, "failed"));
    // A retry that succeeds changes no point that was asked for.
    for run in folder.runs().filter(|run| run.variant == "s001") {
        let planned = plan.runs.iter().find(|one| one.folder() == run.folder).unwrap();
        finish_run(&folder.run_folder(run), &planned.config.to_yaml().unwrap(), Some(1.0));
        folder.forget_failure(run);
    }
    assert_eq!(settings(&fixture.launch().0), settings(&next));
    fixture.finish(&next, score);
    let (third, _) = fixture.launch();
    let told: Vec<_> = third.search.as_ref().unwrap().told.iter().map(|told| (told.batch, told.point)).collect();
    assert_eq!(told, [(1, 0), (1, 1), (1, 2), (2, 1), (2, 3), (2, 4), (2, 5)]);
}

#[test]
fn a_search_whose_points_all_fail_stops_and_goes_on_once_one_is_done() {
    let fixture = Fixture::new(&SEARCH.replace("parallel: 3", "parallel: 4"));
    let (plan, folder) = fixture.launch();
    fixture.finish(&plan, |_| None);
    let (stuck, _) = fixture.launch();
    assert_eq!(stuck.variants.len(), 4);
    assert!(
        stuck.halt.as_ref().unwrap().contains("each of the last 4 points of the search failed"),
        "{:?}",
        stuck.halt
    );
    for run in folder.runs().filter(|run| run.variant == "s000") {
        let planned = plan.runs.iter().find(|one| one.folder() == run.folder).unwrap();
        finish_run(&folder.run_folder(run), &planned.config.to_yaml().unwrap(), Some(1.0));
        folder.forget_failure(run);
    }
    assert_eq!(fixture.launch().0.variants.len(), 8);
}

#[test]
fn a_search_ends_when_every_point_of_a_small_space_was_tried() {
    let choices = "  draw:\n    agent.gamma: {choice: [0.8, 0.9]}\n    agent.n_step: {int: {low: 1, high: 3}}\n";
    let fixture = Fixture::new(&format!(
        "search:\n  points: 20\n  confirm: 1\n{choices}when: [{{if: {{agent.n_step: 2}}, skip: true}}]\n"
    ));
    let plans = search(&fixture);
    let last = plans.last().unwrap();
    // Two values of γ with n of 1 and 3, and the best of them again.
    assert_eq!(last.variants.len(), 5);
    assert!(last.halt.as_ref().unwrap().contains("4 different points"), "{:?}", last.halt);
    assert_eq!(last.search.as_ref().unwrap().best.as_ref().unwrap().points, 4);
}
