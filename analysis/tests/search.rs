//! Reports of searches with known numbers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking; the lint exempts only #[test] functions"
)]

#[allow(dead_code, reason = "not everything that reports need is needed here")]
mod sweep;

use std::path::{Path, PathBuf};

use liprl_analysis::report::{ReportOptions, ReportOutput, report};
use liprl_logbook::Status;
use serde_json::{Value, json};

/// Points s000 to s004 with seeds 0 and 1: two are done, one failed, one was pruned and one waits.
/// Their scores are 11 (10 and 12), 31, none, 20.5 as far as it came, none.
fn write(root: &Path, goal: &str, best: Value) -> PathBuf {
    let sweep = root.join("lr-search");
    let failed = Status::Failed { reason: "the loss is NaN".to_owned() };
    for (point, status, lasts) in [
        ("s000", Status::Done, [10.0, 12.0]),
        ("s001", Status::Done, [30.0, 32.0]),
        ("s002", failed, [90.0, 90.0]),
        ("s003", Status::Stopped, [20.0, 21.0]),
    ] {
        for (seed, last) in (0..).zip(lasts) {
            sweep::run(&sweep, point, 0, seed, last, status.clone());
        }
    }
    for (seed, last) in [(5, 24.0), (6, 26.0), (7, 28.0)] {
        sweep::run(&sweep, "confirm-s001", 0, seed, last, Status::Done);
    }
    let run = |name: &str, seed: u32| json!({"id": format!("{name}-{seed}"), "variant": name, "folder": format!("{name}/seed-{seed}"), "active": true});
    let points = ["s000", "s001", "s002", "s003", "s004"];
    let variant = |(name, lr): (&&str, f64)| json!({"name": name, "settings": {"agent.lr": lr, "agent.net": "wide"}});
    let lock = json!({
        "format_version": 1,
        "report": {"question": null, "figure": null, "metric": "eval/return_mean", "baseline": null},
        "variants": points.iter().zip([1e-5, 1e-3, 1.0, 1e-4, 1e-2]).map(variant).collect::<Vec<_>>(),
        "runs": points.iter().flat_map(|name| [run(name, 0), run(name, 1)]).collect::<Vec<_>>(),
        "search": {
            "method": "tpe",
            "goal": goal,
            "objective": "last eval/return_mean",
            "points": 5,
            "seeds": [0, 1],
            "draw": {
                "agent.lr": {"log_uniform": {"low": 1e-5, "high": 1}},
                "agent.net": {"choice": ["wide", "deep"]},
            },
            "prune": null,
            "told": [],
            "best": best,
        },
    });
    std::fs::write(sweep.join("sweep.lock.json"), lock.to_string()).unwrap();
    let pruned = sweep.join(".sweep/pruned");
    std::fs::create_dir_all(&pruned).unwrap();
    std::fs::write(pruned.join("s003-0.json"), "{\"reason\": \"at step 300 it was not among the best\"}").unwrap();
    std::fs::write(pruned.join("s003-1.json"), "{\"reason\": \"at step 300 it was not among the best\"}").unwrap();
    sweep
}

fn page(written: &ReportOutput) -> String {
    std::fs::read_to_string(&written.page).unwrap()
}

#[test]
fn a_search_reports_its_own_score_and_that_of_fresh_seeds() {
    let root = tempfile::tempdir().unwrap();
    let best = json!({"variant": "s001", "confirmation": "confirm-s001", "points": 5});
    let runs = write(root.path(), "maximise", best);
    let written = report(&runs, &root.path().join("out"), &ReportOptions::default()).unwrap();
    let answer = &written.answer;
    assert!(
        answer.contains("The best of 5 points is s001, with a score of 31.0 over 2 seeds. That is the highest of many"),
        "{answer}"
    );
    // The mean of 24, 26 and 28; no resample has a mean outside of them.
    assert!(answer.contains("Run again with 3 fresh seeds, its mean score is 26.0 [24.0, 28.0]."), "{answer}");
    assert!(answer.contains("Of its points 1 failed and 1 were pruned"), "{answer}");
    // Learning rates in four groups, of four points each by itself: they explain everything.
    assert!(answer.contains("agent.lr explains most: 100 %"), "{answer}");
    assert!(!answer.contains("against"), "points are not compared with a baseline: {answer}");

    let page = page(&written);
    let order = ["s001", "s003", "s000", "s002", "s004"].map(|name| {
        let row = format!("<th scope=\"row\">{name}</th><td>");
        let table = page.find("All points, best first").unwrap();
        page[table..].find(&row).unwrap_or_else(|| panic!("{name} is missing"))
    });
    assert!(order.is_sorted(), "{order:?}");
    assert!(page.contains("<td>2</td><td>20.5</td><td>0 of 2</td><td>1.00e−4</td>"), "what a pruned point came to");
    for words in ["the loss is NaN", "at step 300 it was not among the best"] {
        assert!(page.matches(words).count() >= 2, "{words}: in the table of points and in that of runs");
    }
    assert!(page.contains("optimistic") && page.contains("<td>26.0</td><td class=\"ends\">[24.0, 28.0]"));
    assert!(!page.contains("id=\"profile\""));
}

#[test]
fn an_unfinished_search_says_so_and_one_that_minimises_turns_the_order() {
    let root = tempfile::tempdir().unwrap();
    let runs = write(root.path(), "minimise", Value::Null);
    let written = report(&runs, &root.path().join("out"), &ReportOptions::default()).unwrap();
    assert!(written.answer.starts_with("The search is not finished: 4 of 5 points are over."), "{}", written.answer);
    let page = page(&written);
    let at = |name: &str| page.find(&format!("<th scope=\"row\">{name}</th><td>1</td>"));
    assert!(at("s000").is_some() && at("s001").is_none(), "the lowest score is best");
    // Never run again.
    let best = json!({"variant": "s000", "confirmation": null, "points": 5});
    let runs = write(&root.path().join("other"), "minimise", best);
    let written = report(&runs, &root.path().join("out"), &ReportOptions::default()).unwrap();
    assert!(
        written.answer.contains("s000, with a score of 11.0 over 2 seeds. That is the lowest"),
        "{}",
        written.answer
    );
    assert!(written.answer.contains("It was not run again with fresh seeds"), "{}", written.answer);
}
