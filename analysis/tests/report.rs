//! The report of a sweep whose numbers are known.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only #[test] functions"
)]

mod sweep;

use liprl_analysis::report::{ReportOptions, report};

#[test]
fn says_what_was_asked_what_came_out_and_what_failed() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let written = report(&runs, &root.path().join("out"), &ReportOptions::default()).unwrap();
    let page = std::fs::read_to_string(&written.page).unwrap();

    // Last values 10 11 12 13 14 without, 110 … 114 with the penalty: IQMs 12 and 112, every pair won.
    assert!(
        written.answer.starts_with("penalty=10 against penalty=0: higher. Difference of interquartile means +100.0 [")
            && written.answer.contains("improvement 1.00 [1.00, 1.00], 5 and 5 runs"),
        "{}",
        written.answer
    );
    assert!(page.contains("Does the penalty help &lt;b&gt;?"), "the question, as text");
    assert!(page.contains("<th scope=\"row\">penalty=10</th><td>5 of 7</td><td>112.0 ["), "finals");
    assert!(page.contains("112.0 ± 1.58"), "mean and standard deviation of 110 … 114");
    // Each run's best is 1,000 above its last value.
    assert!(page.contains("<td>1112 ["), "bests");

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

    // Nothing is asked of the network, and nothing runs.
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
    assert!(last_two[0].starts_with("penalty from 0 to 10: higher. Mean difference +102.5 ["), "{last_two:?}");
    assert!(last_two[1].starts_with("norm from off to on: higher. Mean difference +12.50 ["), "{last_two:?}");
    let page = std::fs::read_to_string(&written.page).unwrap();
    assert!(page.contains("What each axis does") && page.contains("+100.0 to +105.0"));
    // Every seed's difference is 100 to the digit, whatever the spread over seeds.
    assert!(page.contains("+100.0 [+100.0, +100.0] (4)"), "pairs of seeds");
}

#[test]
fn another_baseline_turns_the_answer_round_and_a_wrong_one_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let runs = sweep::write(root.path());
    let baseline = |name: &str| ReportOptions { baseline: Some(name.to_owned()), ..ReportOptions::default() };
    let answer = report(&runs, root.path(), &baseline("penalty=10")).unwrap().answer;
    assert!(
        answer.starts_with("penalty=0 against penalty=10: lower. Difference of interquartile means -100.0"),
        "{answer}"
    );
    let error = report(&runs, root.path(), &baseline("penalty=1")).unwrap_err().to_string();
    assert_eq!(error, "baseline `penalty=1`: the variants are penalty=0, penalty=10");
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
