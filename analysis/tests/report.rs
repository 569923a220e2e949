//! Reports of sweeps with known numbers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only #[test] functions"
)]

mod sweep;

use std::path::Path;

use liprl_analysis::report::{ReportOptions, Score, report};
use liprl_logbook::{Provenance, RunFolder, RunSummary, Status};

/// Writes a finished run's folder.
fn finished(folder: &Path, config: &str, log: &str) {
    let provenance = Provenance::collect("0.1.0", ".", &[], 1, None);
    let run = RunFolder::create(folder, config, &provenance).unwrap();
    std::fs::write(run.metrics_path(), log).unwrap();
    let summary = RunSummary {
        status: Status::Done,
        steps: 200,
        final_return: None,
        best_return: None,
        best_step: None,
        seconds: 1.0,
        steps_per_second: 200.0,
        peak_memory_bytes: None,
        parameters: None,
    };
    run.write_summary(&summary).unwrap();
}

#[test]
fn the_page_has_the_question_the_answer_and_the_failures() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let written = report(&runs, &root.path().join("out"), &ReportOptions::default()).unwrap();
    let page = std::fs::read_to_string(&written.page).unwrap();

    // Last values 10 11 12 13 14 without, 110 … 114 with the penalty: IQMs 12 and 112, every pair
    // won.
    assert!(
        written.answer.starts_with("penalty=10 against penalty=0: higher. Difference of interquartile means +100 [")
            && written.answer.contains("improvement 1.00 [1.00, 1.00], 5 and 5 runs"),
        "{}",
        written.answer
    );
    assert!(page.contains("Does the penalty help &lt;b&gt;?"), "the question, as text");
    assert!(
        page.contains(
            "<th scope=\"row\">penalty=10</th><td>5 of 7</td><td>112\u{2008}\u{2007}</td><td class=\"ends\">["
        ),
        "finals"
    );
    assert!(page.contains("<td>112\u{2008}\u{2007}</td><td>1.58</td>"), "mean and standard deviation of 110 … 114");
    // Each run's best is 1,000 above its last value.
    assert!(page.contains("<td>1110</td><td class=\"ends\">[1110, 1110]"), "bests");

    for words in ["loss is NaN at step 300 &lt;see run.log&gt;", "its process is gone", "the sweep plans it"] {
        assert!(page.contains(words), "{words}");
    }
    assert!(!page.contains("seed-8"), "a run taken out of the sweep is not missed");
    assert!(page.contains("<td>300</td>"), "the step it failed at");
    assert!(page.contains("<code>agent.penalty.scale</code>"), "what differs");
    assert!(!page.contains("<code>agent.kind</code>") && !page.contains("<code>seed</code>"), "and only that");
    assert!(
        page.contains("discriminator_gradient/visited/q95") && !page.contains("discriminator_gradient/visited/q50")
    );
    assert!(page.contains("<td>2.00</td>"), "peak memory of 2 GB");
    assert!(page.contains("more than one state of the program"), "two commits");

    // The page requests nothing and runs nothing.
    let links = page.replace("http://www.w3.org/2000/svg", "");
    for outside in ["http:", "https:", "<script", "<link", "src=", "url(", "@import"] {
        assert!(!links.contains(outside), "{outside}");
    }
    assert_eq!(page.matches("<svg").count(), page.matches("role=\"img\" aria-label=").count());
    assert_eq!(page.matches("<section").count(), 9);

    // A damaged line and no more was skipped.
    assert_eq!(written.warnings.len(), 1, "{:?}", written.warnings);
    assert!(written.warnings[0].to_string().contains("metrics.jsonl:2: a damaged line"), "{}", written.warnings[0]);
}

#[test]
fn runs_count_as_the_sweep_counts_them() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let lock = |planned: serde_json::Value| {
        let lock = serde_json::json!({"format_version": 1, "report": {"baseline": "penalty=0"}, "runs": planned});
        std::fs::write(runs.join("sweep.lock.json"), lock.to_string()).unwrap();
    };
    lock(serde_json::json!([
        {"folder": "penalty=0/seed-4", "steps": 300, "active": false},
        {"folder": "penalty=10/seed-0", "steps": 400, "active": true},
        {"folder": "penalty=10/seed-1", "steps": 400, "active": true},
    ]));
    // Seed 1 took 300 of its 400 steps, because it reached its `stop_at_return`.
    let config = runs.join("penalty=10/seed-1/config.yaml");
    std::fs::write(&config, std::fs::read_to_string(&config).unwrap() + "steps: 400\n").unwrap();
    let written = report(&runs, root.path(), &ReportOptions::default()).unwrap();
    // The middle of 10 11 12 13 and of 111 112 113 114.
    let means = "Difference of interquartile means +101 [";
    assert!(written.answer.contains(means) && written.answer.contains("4 and 4 runs"), "{}", written.answer);
    let page = std::fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("<th scope=\"row\">penalty=0</th><td>4 of 4</td><td>\u{2007}11.5</td>"), "one less of all");
    assert!(page.contains("the sweep file no longer names them: 1."));
    assert!(page.contains("<th scope=\"row\">penalty=10/seed-0</th><td class=\"words\">stopped</td><td>300</td>"));
    assert_eq!(page.matches("the sweep now plans 400 steps").count(), 1);

    // Without a lock there is no plan.
    std::fs::remove_file(runs.join("sweep.lock.json")).unwrap();
    let written = report(&runs, root.path(), &ReportOptions::default()).unwrap();
    assert!(written.answer.contains("means +100 [") && written.answer.contains("5 and 5 runs"), "{}", written.answer);

    let all = (0..7).flat_map(|seed| [0, 10].map(|scale| format!("penalty={scale}/seed-{seed}")));
    lock(all.map(|folder| serde_json::json!({"folder": folder, "active": false})).collect());
    let error = report(&runs, root.path(), &ReportOptions::default()).unwrap_err().to_string();
    assert!(error.contains("the sweep file no longer names any run that was begun"), "{error}");
}

#[test]
fn failures_on_the_sweeps_record_are_listed() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    // Never begun, killed, done, begun again by another launcher, and never tried.
    let folders =
        ["penalty=0/seed-9", "penalty=10/seed-6", "penalty=10/seed-0", "penalty=0/seed-7", "penalty=0/seed-8"];
    let id = |folder: &str| folder.replace('/', ".");
    let planned: Vec<_> =
        folders.iter().map(|folder| serde_json::json!({"folder": folder, "id": id(folder)})).collect();
    let lock = serde_json::json!({"format_version": 1, "report": {"baseline": "penalty=0"}, "runs": planned});
    std::fs::write(runs.join("sweep.lock.json"), lock.to_string()).unwrap();
    for folder in &folders[..4] {
        let file = runs.join(".sweep/failures").join(format!("{}.json", id(folder)));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, serde_json::json!({"times": 2, "reason": format!("no room for {folder}")}).to_string())
            .unwrap();
    }
    let claim = runs.join(".sweep/claims").join(format!("{}.json", id(folders[3])));
    std::fs::create_dir_all(claim.parent().unwrap()).unwrap();
    std::fs::write(claim, "{}").unwrap();
    let page = report(&runs, root.path(), &ReportOptions::default()).unwrap().page;
    let page = std::fs::read_to_string(page).unwrap();
    let row = |folder: &str, state: &str, step: u32, why: &str| {
        format!(
            "<th scope=\"row\">{folder}</th><td class=\"words\">{state}</td><td>{step}</td>\
             <td class=\"words\">{why}</td>"
        )
    };
    for expected in [
        row(folders[0], "failed", 0, "no room for penalty=0/seed-9"),
        row(folders[1], "failed", 300, "no room for penalty=10/seed-6"),
        row(folders[3], "not begun", 0, "the sweep plans it"),
        row(folders[4], "not begun", 0, "the sweep plans it"),
    ] {
        assert!(page.contains(&expected), "{expected}");
    }
    assert_eq!(page.matches("no room for").count(), 2, "one that is done has not failed");
}

#[test]
fn runs_are_compared_by_the_number_and_from_the_step_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let with = |score, from| ReportOptions { score: Some(score), from: Some(from), ..ReportOptions::default() };
    let written = |score, from| {
        let written = report(&runs, root.path(), &with(score, from)).unwrap();
        (written.answer, std::fs::read_to_string(written.page).unwrap())
    };
    // A run that ends at x has logged x/2, x + 1000, x: their mean is 5x/6 + 1000/3, and x + 500
    // from step 200 on. With the penalty x is 110 … 114: 426.67 and 612 in the middle. Without it
    // 10 … 14, but of 11 the line of step 200 is damaged, so 8.25 and 11 are its means and the
    // middle three are those of 10, 12 and 13: 343.06 and 511.67.
    let (answer, page) = written(Score::Mean, 0);
    assert!(answer.contains("Difference of interquartile means +83.6"), "{answer}");
    assert!(
        page.contains("Compared by the mean <code>eval/return_mean</code>.")
            && page.contains("<td>427</td><td class=\"ends\">[")
    );
    let (answer, page) = written(Score::Mean, 200);
    assert!(answer.contains("Difference of interquartile means +100"), "{answer}");
    assert!(
        page.contains("<code>eval/return_mean</code> from step 200 on.")
            && page.contains("<td>612</td><td class=\"ends\">[")
    );
    let (answer, page) = written(Score::Best, 300);
    assert!(answer.contains("means +100"), "{answer}");
    assert_eq!(
        page.matches("<td>112\u{2008}\u{2007}</td><td class=\"ends\">[").count(),
        5,
        "of the last point alone final, mean, best and area are one"
    );

    // Up to step 200 a run has x/2 and x + 1000: 584 for x = 112, and for x = 10, 12 and 13 the
    // mean of 3x/4 + 500 is 508.75.
    let options = ReportOptions { to: Some(200), ..with(Score::Mean, 0) };
    let answer = report(&runs, root.path(), &options).unwrap().answer;
    assert!(answer.contains("Difference of interquartile means +75.2"), "{answer}");
    let options = ReportOptions { to: Some(99), ..with(Score::Last, 100) };
    let error = report(&runs, root.path(), &options).unwrap_err().to_string();
    assert_eq!(error, "to step 99: that is before step 100, the first");

    // The sweep's own settings, for which options take precedence.
    let lock = runs.join("sweep.lock.json");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replace("\"figure\":null", "\"figure\":null,\"score\":\"mean\",\"from\":200")).unwrap();
    let words =
        |options: &ReportOptions| std::fs::read_to_string(report(&runs, root.path(), options).unwrap().page).unwrap();
    assert!(words(&ReportOptions::default()).contains("the mean <code>eval/return_mean</code> from step 200 on."));
    assert!(words(&with(Score::Last, 0)).contains("the last <code>eval/return_mean</code>."));
    let error = report(&runs, root.path(), &with(Score::Last, 301)).unwrap_err().to_string();
    assert_eq!(error, "no value from step 301 on: those of `eval/return_mean` are of steps 100 to 300");
    std::fs::write(&lock, text.replace("\"figure\":null", "\"score\":\"median\"")).unwrap();
    let error = report(&runs, root.path(), &ReportOptions::default()).unwrap_err().to_string();
    assert_eq!(error, "score `median`: it is one of last, best, mean");
}

#[test]
fn the_time_to_a_target_is_listed_with_the_runs_that_reached_it() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let answer = |value| {
        let options = ReportOptions { reach: Some(value), ..ReportOptions::default() };
        let written = report(&runs, root.path(), &options).unwrap();
        assert!(std::fs::read_to_string(written.page).unwrap().contains("How soon"));
        written.answer.lines().skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    // With the penalty 55, 55.5, 56, 56.5, 57 at step 100, when the clock says 100 s, and more than
    // 1000 at 200: the middle three of 100, 100, 100, 200, 200 have the mean 133.3. Without it, of
    // one run the line of step 200 is damaged.
    assert_eq!(
        answer(56.0),
        [
            "penalty=0 reached 56 in 4 of 5 runs after 200 steps and 200 s.",
            "penalty=10 reached 56 in 5 of 5 runs after 133 [100, 200] steps and 133 [100, 200] s."
        ]
    );
    // The sweep's target is a value of its own metric.
    let lock = runs.join("sweep.lock.json");
    let text = std::fs::read_to_string(&lock).unwrap();
    std::fs::write(&lock, text.replace("\"figure\":null", "\"figure\":null,\"reach\":56")).unwrap();
    let lines = |metric: Option<&str>| {
        let options = ReportOptions { metric: metric.map(str::to_owned), ..ReportOptions::default() };
        report(&runs, root.path(), &options).unwrap().answer.lines().count()
    };
    assert_eq!((lines(None), lines(Some("lipschitz/discriminator_gradient/visited/q95"))), (3, 1));
    let three = &answer(1112.0)[..];
    assert_eq!(three[0], "penalty=0 reached 1112 in 0 of 5 runs.");
    assert!(three[1].starts_with("penalty=10 reached 1112 in 3 of 5 runs after 200 steps"), "{three:?}");
}

#[test]
fn every_table_takes_the_steps_asked_for() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let made = |from, to| {
        let options = ReportOptions { reach: Some(56.0), from, to, ..ReportOptions::default() };
        let written = report(&runs, root.path(), &options).unwrap();
        (written.answer, std::fs::read_to_string(written.page).unwrap())
    };
    // From step 200 on the first value is 1110 or more. The gradient norm without the penalty is
    // the square of the step.
    let (answer, page) = made(Some(200), None);
    let reached = "penalty=10 reached 56 from step 200 on in 5 of 5 runs after 200 steps";
    assert!(answer.contains(reached), "{answer}");
    assert!(page.contains("Until <code>eval/return_mean</code> from step 200 on was 56 or more"));
    assert!(page.contains("visited/q95</code></th><td class=\"words\">logit per unit of its raw input</td><td>90000<"));
    // Up to step 200 three of 55, 55.5, 56, 56.5 and 57 at step 100 are high enough, and all values
    // at 200.
    let (answer, page) = made(None, Some(200));
    assert!(answer.contains("penalty=10 reached 56 from step 0 to 200 in 5 of 5 runs after 133 ["), "{answer}");
    assert!(page.contains("Last value from step 0 to 200 of finished runs"));
    assert!(page.contains("raw input</td><td>40000</td><td class=\"ends\">["));
    let (answer, page) = made(None, Some(100));
    let reached =
        ["penalty=0 reached 56 from step 0 to 100 in 0 of", "penalty=10 reached 56 from step 0 to 100 in 3 of"];
    assert!(reached.iter().all(|words| answer.contains(words)), "{answer}");
    assert!(page.contains("<code>eval/return_mean</code> from step 0 to 100 of finished runs"));
    assert!(made(None, None).1.contains("Last value of finished runs"));
}

#[test]
fn two_axes_are_answered_by_their_effects() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("grid");
    // The penalty gives 100, the norm 10, both together 5 more.
    for (penalty, norm, value) in [(0, "off", 0.0), (10, "off", 100.0), (0, "on", 10.0), (10, "on", 115.0)] {
        for seed in 0..4 {
            let (variant, last) = (format!("norm={norm},penalty={penalty}"), value + f64::from(seed));
            sweep::run(&runs, &variant, penalty, seed, last, liprl_logbook::Status::Done);
        }
    }
    let written = report(&runs, root.path(), &ReportOptions::default()).unwrap();
    let last_two: Vec<&str> = written.answer.lines().skip(3).collect();
    assert!(last_two[0].starts_with("penalty from 0 to 10: higher. Mean difference +103 ["), "{last_two:?}");
    assert!(last_two[1].starts_with("norm from off to on: higher. Mean difference +12.5 ["), "{last_two:?}");
    let page = std::fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("What each axis does") && page.contains("+100 to +105"));
    // Every seed's difference is 100 to the digit, whatever the spread over seeds.
    assert!(page.contains("<td>+100\u{2008}\u{2007}</td><td class=\"ends\"></td><td>4</td>"), "pairs of seeds");
}

#[test]
fn variants_are_compared_on_the_tasks_that_both_have() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("tasks");
    // A step of 10 on Hopper, and one variant that nobody has begun on Ant.
    for (task, gamma, value) in [("Ant-v5", 0, 7.0), ("Hopper-v5", 0, 0.0), ("Hopper-v5", 10, 10.0)] {
        for seed in 0..3 {
            let variant = format!("env={task},gamma={gamma}");
            sweep::run(&runs, &variant, gamma, seed, value + f64::from(seed), liprl_logbook::Status::Done);
            let config = runs.join(&variant).join(format!("seed-{seed}/config.yaml"));
            let text = std::fs::read_to_string(&config).unwrap().replace("Hopper-v5", task);
            std::fs::write(&config, text).unwrap();
        }
    }
    let name = "env=Ant-v5,gamma=10";
    let lock = serde_json::json!({
        "format_version": 1,
        "report": {"baseline": "gamma=0"},
        "variants": [{"name": name, "settings": {"env": "Ant-v5"}}],
        "runs": [{"folder": format!("{name}/seed-0"), "variant": name}],
    });
    std::fs::write(runs.join("sweep.lock.json"), lock.to_string()).unwrap();
    let written = report(&runs, root.path(), &ReportOptions::default()).unwrap();
    // Hopper's scores 0 to 12 are scaled to 0 to 1: the means are 1/12 and 11/12.
    assert!(written.answer.starts_with("gamma=10 against gamma=0: higher. Difference of interquartile means +0.833 ["));
    let words = "3 and 3 runs. Compared on Hopper-v5: gamma=10 has no finished run on Ant-v5.";
    assert!(written.answer.contains(words), "{}", written.answer);
    let page = std::fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("gamma=10 · Ant-v5</th><td>0 of 1"), "the plan names the task of a run not begun");
    assert!(page.contains("<td>+0.833</td><td class=\"ends\"></td><td>3</td>"), "pairs of seeds");
    assert!(page.contains("Left out, without finished runs of every variant: Ant-v5."), "the profile");
    // Without a task in common the reason is given.
    std::fs::remove_dir_all(runs.join("env=Hopper-v5,gamma=0")).unwrap();
    let answer = report(&runs, root.path(), &ReportOptions::default()).unwrap().answer;
    assert!(answer.ends_with("no other variant has finished runs on the tasks of the baseline gamma=0."), "{answer}");
}

#[test]
fn the_largest_numbers_are_compared() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("large");
    for seed in 0..3 {
        sweep::run(&runs, "a", 0, seed, -1e308, liprl_logbook::Status::Done);
        sweep::run(&runs, "b", 10, seed, 1e308, liprl_logbook::Status::Done);
    }
    let written = report(&runs, root.path(), &ReportOptions::default()).unwrap();
    assert!(written.answer.contains("probability of improvement 1.00"), "{}", written.answer);
    let page = std::fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("1.00e308") && !page.contains("NaN") && !page.contains(">inf"), "a page of finite numbers");
}

#[test]
fn figures_say_when_values_were_interpolated() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let page = || {
        let page = report(&runs, root.path(), &ReportOptions::default()).unwrap().page;
        std::fs::read_to_string(page).unwrap()
    };
    let words = "runs without common steps interpolated";
    assert!(!page().contains(words), "all have logged steps 100, 200 and 300");
    // Each run at steps of its own.
    for (scale, seed) in [0, 10].into_iter().flat_map(|scale| (0..7).map(move |seed| (scale, seed))) {
        let log = runs.join(format!("penalty={scale}/seed-{seed}/metrics.jsonl"));
        let Ok(text) = std::fs::read_to_string(&log) else { continue };
        std::fs::write(&log, text.replace("00,", &format!("0{seed},"))).unwrap();
    }
    let page = page();
    let (curves, diagnostics) = page.split_once("<section id=\"metrics\">").unwrap();
    assert!(curves.contains(words) && diagnostics.contains(words));
}

#[test]
fn another_baseline_reverses_the_answer_and_an_unknown_one_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let baseline = |name: &str| ReportOptions { baseline: Some(name.to_owned()), ..ReportOptions::default() };
    let answer = report(&runs, root.path(), &baseline("penalty=10")).unwrap().answer;
    assert!(
        answer.starts_with("penalty=0 against penalty=10: lower. Difference of interquartile means -100"),
        "{answer}"
    );
    let error = report(&runs, root.path(), &baseline("penalty=1")).unwrap_err().to_string();
    assert_eq!(error, "baseline `penalty=1` (did you mean `penalty=10`?): the variants are penalty=0, penalty=10");
    let metric = ReportOptions { metric: Some("eval/retrun".to_owned()), ..ReportOptions::default() };
    let error = report(&runs, root.path(), &metric).unwrap_err().to_string();
    assert!(error.contains("no run logged `eval/retrun`"), "{error}");
}

#[test]
fn a_folder_of_an_older_format_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let file = runs.join("penalty=0/seed-3/provenance.json");
    let text = std::fs::read_to_string(&file).unwrap().replace("\"format_version\": 1", "\"format_version\": 0");
    std::fs::write(&file, text).unwrap();
    let error = report(&runs, root.path(), &ReportOptions::default()).unwrap_err().to_string();
    assert!(error.contains("penalty=0/seed-3") && error.contains("run folder format 0"), "{error}");
}

#[test]
fn figures_and_tables_lie_beside_the_page() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let out = root.path().join("out");
    report(&runs, &out, &ReportOptions::default()).unwrap();
    let read = |file: &str| std::fs::read(out.join(file)).unwrap_or_else(|_| panic!("{file}"));
    let text = |file: &str| String::from_utf8(read(file)).unwrap();
    for figure in ["curves", "differences", "ablation", "profile", "metrics_1"] {
        assert!(read(&format!("figures/{figure}.pdf")).starts_with(b"%PDF"), "{figure}");
        assert!(read(&format!("figures/{figure}.svg")).starts_with(b"<svg"), "{figure}");
    }
    let table = text("tables/comparisons.csv");
    let (head, row) = table.split_once('\n').unwrap();
    assert!(head.starts_with("variant,difference of IQMs,\"difference of IQMs, low\""), "{head}");
    let cells: Vec<&str> = row.trim().split(',').collect();
    // All 252 divisions of ten runs; two are as extreme. One comparison: Holm's is the same.
    let p = 2.0 / 252.0;
    assert_eq!((cells[0], cells[1], cells[5].parse(), cells[6].parse()), ("penalty=10", "100", Ok(p), Ok(p)));
    assert!(text("tables/comparisons.tex").contains("penalty=10 & $+$100 & [$+$"));
    let json: serde_json::Value = serde_json::from_slice(&read("report.json")).unwrap();
    assert_eq!(json["tables"]["comparisons"]["rows"][0]["difference of IQMs"]["value"], 100.0);
    assert_eq!(json["metric"], "eval/return_mean");
}

#[test]
fn effects_are_those_on_return_efficiency_and_slopes() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("shaping");
    // Returns 0 to 10 at once, or late; slopes halve.
    for (variant, middle, slope) in [("none", 0.0, 8.0), ("late", -10.0, 4.0), ("soon", 9.5, 8.0)] {
        for seed in 0..4 {
            let folder = runs.join(variant).join(format!("seed-{seed}"));
            let line = |step: u32, value: f64| {
                let slope = slope + f64::from(seed) / 10.0;
                format!(
                    "{{\"step\":{step},\"eval/return_mean\":{value},\"lipschitz/q1_gradient/visited/q95\":{slope},\
                     \"lipschitz/paper_estimate\":{}}}\n",
                    2.0 * slope
                )
            };
            let end = 10.0 + f64::from(seed);
            let log = line(0, 0.0) + &line(100, middle) + &line(200, if variant == "late" { 1.0 } else { end });
            finished(&folder, &format!("env: Pendulum-v1\nseed: {seed}\n"), &log);
        }
    }
    let options = ReportOptions { baseline: Some("none".to_owned()), ..ReportOptions::default() };
    report(&runs, root.path(), &options).unwrap();
    let json = std::fs::read_to_string(root.path().join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["tables"]["ablation"]["rows"].as_array().unwrap();
    let find = |measure: &str, variant: &str| {
        let fits = |row: &&serde_json::Value| {
            row["measure"].as_str().unwrap().starts_with(measure) && row["variant"] == variant
        };
        rows.iter().find(fits).unwrap_or_else(|| panic!("{measure} {variant}: {rows:#?}")).clone()
    };
    // The middle of 10 11 12 13 is 11.5; late runs end at 1.
    assert_eq!(find("final", "none")["IQM"]["value"], 11.5);
    assert_eq!(find("final", "late")["difference"]["value"], -10.5);
    // Trapezoids: (0 + 0)/2 · ½ + (0 + 11.5)/2 · ½ = 2.875, and (9.5/2 + (9.5 + 11.5)/2) / 2 = 7.625.
    assert_eq!(find("area", "none")["IQM"]["value"], 2.875);
    assert_eq!(find("area", "soon")["difference"]["value"], 7.625 - 2.875);
    // 0.9 of the way to 11.5 is 10.35: of the ends 10 … 13 the first is short of it, and none at 100.
    assert_eq!(find("steps", "none")["IQM"]["value"], 200.0);
    assert_eq!(find("steps", "none")["runs"], "4, 1 of them short of it");
    assert_eq!(find("steps", "late")["runs"], "4, 4 of them short of it");
    for (measure, expected) in [("‖∇Q‖", -4.0), ("Δ", -8.0)] {
        let found = find(measure, "late")["difference"]["value"].as_f64().unwrap();
        assert!((found - expected).abs() < 1e-12, "{measure} {found}");
    }
    // The slopes are apart: 2 of C(8, 4) = 70 divisions. Holm: 10 tests, of which the late variant's
    // final value, area and slopes and the soon one's area have this least p.
    let slope = find("‖∇Q‖", "late");
    assert_eq!(slope["p"], 2.0 / 70.0);
    assert!((slope["Holm"].as_f64().unwrap() - 10.0 * 2.0 / 70.0).abs() < 1e-12, "{slope}");
    let page = std::fs::read_to_string(root.path().join("report.html")).unwrap();
    assert!(page.contains("corrected for all 10 tests"));
}

#[test]
fn metrics_are_shown_by_unit_and_a_bound_in_other_units_is_said() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path().join("run");
    let line = |step: u32| {
        format!(
            "{{\"step\":{step},\"eval/return_mean\":1,\"model/error/visited\":0.5,\"model/error/replay\":0.6,\
             \"model/rollout_length\":1,\"lipschitz/policy_jacobian/visited/q95\":2500,\
             \"lipschitz/product_bound/actor\":20,\"train/other\":3}}\n"
        )
    };
    finished(&folder, "env: Hopper-v5\nagent: {kind: mbpo}\n", &(line(1) + &line(2)));
    let page = |metrics: Option<Vec<String>>| {
        let written = report(&folder, root.path(), &ReportOptions { metrics, ..ReportOptions::default() }).unwrap();
        assert!(written.answer.starts_with("There is one run"), "{}", written.answer);
        std::fs::read_to_string(written.page).unwrap()
    };
    let usual = page(None);
    // Two panels of one unit, and the metrics of a unit each in one figure.
    for part in [
        ">the environment's units of s</text>",
        ">model/error/visited</text>",
        ">model/error/replay</text>",
        ">steps of a rollout</text>",
        "figures/metrics_2.svg",
    ] {
        assert!(usual.contains(part), "{part}");
    }
    assert!(!usual.contains("figures/metrics_3.svg") && usual.contains("have different units: the one does not bound"));
    assert!(!usual.contains(">train/other</text>") && usual.contains("<code>train/other</code>"), "listed, not drawn");
    let asked = page(Some(vec!["train/*".to_owned(), "model/nothing".to_owned()]));
    assert!(asked.contains(">train/other</text>") && asked.contains("No run logged <code>model/nothing</code>"));
    assert!(!asked.contains(">model/rollout_length</text>"));
    let drawn = |name: &str| std::fs::read_to_string(root.path().join(format!("figures/{name}.svg"))).unwrap();
    page(Some(vec!["lipschitz/*".to_owned()]));
    let (bound, rest) = (drawn("metrics_1"), drawn("metrics_2"));
    assert!(bound.contains(">lipschitz/product_bound/actor<") && !bound.contains("policy_jacobian"));
    assert!(rest.contains(">lipschitz/policy_jacobian/visited/q95<") && !rest.contains("product_bound"));
}

#[test]
fn two_metrics_are_related_over_runs_and_over_time() {
    let root = tempfile::tempdir().unwrap();
    let runs = root.path().join("related");
    // Within each run y falls as x rises; over runs y rises with x, but for one pair of ranks.
    let ends = [(1.0, 10.0), (2.0, 20.0), (3.0, 40.0), (4.0, 30.0), (5.0, 50.0)];
    for (seed, (x, y)) in ends.into_iter().enumerate() {
        let folder = runs.join(format!("a/seed-{seed}"));
        let line = |step: u32| {
            let back = f64::from(4 - step);
            format!("{{\"step\":{step},\"eval/return_mean\":{},\"x\":{}}}\n", y + back, x - back / 10.0)
        };
        finished(&folder, "env: Pendulum-v1\n", &(1..=4).map(line).collect::<String>());
    }
    let relate = |x: &str| ReportOptions {
        relate: vec![(x.to_owned(), "eval/return_mean".to_owned())],
        ..ReportOptions::default()
    };
    let written = report(&runs, root.path(), &relate("x")).unwrap();
    // SciPy: spearmanr([1, 2, 3, 4, 5], [1, 2, 4, 3, 5]) = 0.9, kendalltau 0.8.
    assert!(written.answer.contains("over runs (last value of each) +0.90 ["), "{}", written.answer);
    assert!(written.answer.contains("over time, mean over runs -1.00 [-1.00, -1.00] (5 runs)"), "{}", written.answer);
    let json = std::fs::read_to_string(root.path().join("report.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let rows = json["tables"]["relations"]["rows"].as_array().unwrap();
    assert!((rows[0]["Spearman's ρ"]["value"].as_f64().unwrap() - 0.9).abs() < 1e-12, "{rows:?}");
    assert!((rows[0]["Kendall's τ"]["value"].as_f64().unwrap() - 0.8).abs() < 1e-12, "{rows:?}");
    // Means over steps 1 and 2 order the runs as their last values do.
    assert!((rows[1]["Spearman's ρ"]["value"].as_f64().unwrap() - 0.9).abs() < 1e-12, "{rows:?}");
    assert!(root.path().join("figures/relation_1.svg").exists());
    let error = report(&runs, root.path(), &relate("z")).unwrap_err().to_string();
    assert!(error.contains("no run logged `z`"), "{error}");
}
