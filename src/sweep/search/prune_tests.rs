use super::*;

fn run(point: &str, values: &[(u64, f64)]) -> RunValues {
    RunValues { point: point.to_owned(), steps: 100, values: values.to_vec(), length: 0 }
}

/// Judges each run against all.
fn judge_all(rule: &PruneConfig, runs: &[RunValues]) -> Vec<Option<Judged>> {
    runs.iter()
        .map(|of| match rule {
            PruneConfig::Median(rule) => rule.judge(of, runs.iter()),
            PruneConfig::Asha(rule) => rule.judge(of, runs.iter()),
        })
        .collect()
}

#[test]
fn the_median_rule_compares_the_best_so_far_with_others_at_that_step() {
    let rule = PruneConfig::Median(MedianConfig { after: 20, others: 3 });
    let others =
        [run("a", &[(10, 1.0), (20, 2.0)]), run("b", &[(10, 3.0), (20, 4.0)]), run("c", &[(20, 9.0), (30, 0.0)])];
    let judged = |values: &[(u64, f64)]| judge_all(&rule, &[&others[..], &[run("d", values)]].concat())[3];
    // The others' values at step 20 are 2, 4 and 9.
    assert_eq!(judged(&[(10, 0.0), (20, 3.0)]), Some((20, 3.0, Some((4.0, 3)))));
    assert_eq!(judged(&[(10, 0.0), (20, 4.0)]), Some((20, 4.0, None)));
    // A run's best counts, not its last value.
    assert_eq!(judged(&[(10, 5.0), (20, 0.0)]), Some((20, 5.0, None)));
    // Not before the warm-up, not at the end, and not without three others at the step.
    assert_eq!(judged(&[(10, 0.0)]), None);
    assert_eq!(judged(&[(100, 0.0)]), None);
    assert_eq!(judged(&[(30, 0.0)]), None);
    // Other seeds of the same point do not count.
    let seeds = [&others[..2], &[run("d", &[(20, 9.0)]), run("d", &[(20, 0.0)])]].concat();
    assert_eq!(judge_all(&rule, &seeds)[3], None);
}

#[test]
fn asha_lets_the_best_third_of_a_rung_go_on() {
    let rule = PruneConfig::Asha(AshaConfig { first: 10, factor: 3 });
    let first = |values: &[f64]| -> Vec<bool> {
        let runs: Vec<RunValues> =
            values.iter().enumerate().map(|(point, value)| run(&point.to_string(), &[(10, *value)])).collect();
        judge_all(&rule, &runs).into_iter().map(|judged| judged.expect("at a rung").2.is_none()).collect()
    };
    assert_eq!(first(&[5.0]), [true]);
    assert_eq!(first(&[5.0, 7.0]), [false, true]);
    assert_eq!(first(&[5.0, 7.0, 1.0, 2.0, 3.0]), [false, true, false, false, false]);
    // Of six runs two go on, so that the first one is promoted.
    assert_eq!(first(&[5.0, 7.0, 1.0, 2.0, 3.0, 4.0]), [true, true, false, false, false, false]);
    // Rungs are at 10, 30 and 90; each is judged by its own runs and at the first value from it on.
    let runs = [
        run("a", &[(8, 9.0), (16, 1.0), (32, 2.0)]),
        run("b", &[(8, 9.0), (16, 4.0), (32, 3.0)]),
        run("c", &[(16, 8.0)]),
    ];
    let judged = judge_all(&rule, &runs);
    assert_eq!(judged, [Some((32, 2.0, Some((3.0, 2)))), Some((32, 3.0, None)), Some((16, 8.0, None))]);
    assert_eq!(judge_all(&rule, &[run("a", &[(8, 1.0)])]), [None]);
    // A rung that is not below the end of the run stops nothing.
    let short = RunValues { steps: 30, ..run("a", &[(16, 0.0), (30, 0.0)]) };
    assert_eq!(judge_all(&rule, &[short, run("b", &[(16, 1.0)])])[0], Some((16, 0.0, Some((1.0, 2)))));
}

/// A watch over runs of these values.
fn watch(rule: PruneConfig, runs: &[(&str, &[(u64, f64)])]) -> Watch {
    let runs = runs.iter().map(|(id, values)| ((*id).to_owned(), run(id, values))).collect();
    Watch { rule: Some(rule), metric: String::new(), sign: 1.0, runs, passed: HashMap::new() }
}

fn planned(id: &str) -> SweepRun {
    SweepRun {
        id: id.to_owned(),
        variant: id.to_owned(),
        seed: 0,
        folder: id.into(),
        steps: 100,
        threads: 1,
        active: true,
    }
}

#[test]
fn a_paused_run_is_promoted_once_it_is_among_the_best_and_not_judged_there_again() {
    let rule = || PruneConfig::Asha(AshaConfig { first: 10, factor: 3 });
    let (a, b) = (planned("a"), planned("b"));
    let two: [(&str, &[(u64, f64)]); 2] = [("a", &[(10, 5.0)]), ("b", &[(10, 7.0)])];
    let mut watched = watch(rule(), &two);
    let pruned = watched.judge(&a).expect("behind b");
    assert_eq!((pruned.step, pruned.value, pruned.threshold), (10, 5.0, 7.0));
    assert!(pruned.reason.contains("best 1/3 of 2 runs"), "{}", pruned.reason);
    assert!(watched.judge(&b).is_none() && !watched.promotes(&a, &pruned));
    let more: [(&str, &[(u64, f64)]); 4] =
        [("c", &[(10, 1.0)]), ("d", &[(10, 2.0)]), ("e", &[(10, 3.0)]), ("f", &[(10, 4.0)])];
    let mut watched = watch(rule(), &[&two[..], &more].concat());
    assert!(watched.promotes(&a, &pruned));
    watched.begin(&a, true);
    // Two better ones come, and a goes on all the same, until the next rung.
    for id in ["g", "h"] {
        watched.runs.insert(id.to_owned(), run(id, &[(10, 9.0), (30, 9.0)]));
    }
    assert!(watched.judge(&a).is_none());
    watched.runs.insert("a".to_owned(), run("a", &[(10, 5.0), (30, 6.0)]));
    let again = watched.judge(&a).expect("behind g and h");
    assert_eq!((again.step, again.threshold), (30, 9.0));
}

#[test]
fn a_run_that_was_killed_between_rungs_is_not_judged_at_the_one_behind_it() {
    let rule = PruneConfig::Asha(AshaConfig { first: 10, factor: 3 });
    let mut watched = watch(rule, &[("a", &[(10, 5.0), (20, 5.0)]), ("b", &[(10, 7.0)]), ("c", &[(10, 6.0)])]);
    assert!(watched.judge(&planned("a")).is_some(), "unless it is known to have gone on");
    watched.begin(&planned("a"), false);
    assert!(watched.judge(&planned("a")).is_none());
    // One that was killed at the rung is judged there.
    watched.begin(&planned("c"), false);
    assert!(watched.judge(&planned("c")).is_some());
}

#[test]
fn the_lowest_values_are_best_where_the_search_minimises() {
    let mut watched =
        watch(PruneConfig::Median(MedianConfig { after: 0, others: 1 }), &[("a", &[(10, -5.0)]), ("b", &[(10, -7.0)])]);
    watched.sign = -1.0;
    let pruned = watched.judge(&planned("b")).expect("the higher one");
    assert_eq!((pruned.value, pruned.threshold), (7.0, 5.0));
    assert!(watched.judge(&planned("a")).is_none());
    // Without a rule every run may go on, and none is judged.
    watched.rule = None;
    assert!(watched.promotes(&planned("b"), &pruned) && watched.judge(&planned("b")).is_none());
}
