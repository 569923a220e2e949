//! Tests of pages of results: their tables are those of the committed logs, and a table's numbers
//! those of a calculation by hand.
#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use std::path::Path;

use liprl_analysis::evidence::{Evidence, Source, fill, keep};

fn results() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/results")
}

#[test]
fn no_number_between_the_markers_of_a_page_is_typed_by_hand() {
    let lists = std::fs::read_dir(results()).unwrap().map(|entry| entry.unwrap().path());
    let lists: Vec<_> = lists.filter(|path| path.extension().is_some_and(|extension| extension == "yaml")).collect();
    assert!(!lists.is_empty());
    for list in lists {
        let evidence = Evidence::read(&list).unwrap();
        let page = std::fs::read_to_string(list.with_extension("md")).unwrap();
        let made = fill(&page, &results(), &evidence).unwrap();
        assert_eq!(page, made, "{}: run `cargo xtask reproduce --tables`", list.display());
        for source in evidence.sources.values() {
            assert!(results().join("../..").join(&source.sweep).exists(), "{}", source.sweep);
        }
    }
}

/// A run folder with evaluations at steps 1000 and 2000.
fn run(folder: &Path, values: [f64; 2]) {
    std::fs::create_dir_all(folder).unwrap();
    let root = folder.ancestors().nth(3).unwrap().display();
    let config = format!("env: Hopper-v5\nagent: {{demonstrations: {root}/demos/hopper.hdf5}}\n");
    std::fs::write(folder.join("config.yaml"), config).unwrap();
    std::fs::write(folder.join("provenance.json"), "{\"format_version\": 1}").unwrap();
    std::fs::write(folder.join("summary.json"), "{\n  \"status\": \"done\"\n}").unwrap();
    let line = |step: u32, value: f64| {
        format!(
            "{{\"step\":{step},\"wall_s\":1.5,\"eval/return_mean\":{value},\"lipschitz/a\":1.23456789,\"train/q\":5.0}}\n"
        )
    };
    let metrics = format!("{{\"step\":500,\"train/q\":1.0}}\n{}{}", line(1000, values[0]), line(2000, values[1]));
    std::fs::write(folder.join("metrics.jsonl"), metrics).unwrap();
}

#[test]
fn logs_are_kept_thinned_and_without_the_machine_s_paths_and_tables_are_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (root, results) = (folder.path(), folder.path().join("docs"));
    for (variant, ends) in [("with", [10.0, 20.0, 90.0]), ("without", [1.0, 2.0, 3.0])] {
        for (seed, end) in ends.into_iter().enumerate() {
            run(&root.join(format!("runs/{variant}/seed-{seed}")), [0.0, end]);
        }
    }
    std::fs::create_dir_all(&results).unwrap();
    let list = results.join("page.yaml");
    let text = "sources:\n  a: {sweep: configs/a.yaml, logs: data/a, hours: 0.1, keep: ['lipschitz/*']}\n\
                claims:\n  - {claim: It helps, of: a, ours: with, theirs: without, head: return, expect: more, controls: [without], paper: 1e6 steps, why: of course}\n\
                tables:\n  ends: {of: a, columns: [{}, {head: mean, score: mean, from: 1000}, {head: early, score: mean, to: 1500}, {metric: lipschitz/a}]}\n";
    std::fs::write(&list, text).unwrap();
    let evidence = Evidence::read(&list).unwrap();
    let source: &Source = &evidence.sources["a"];
    assert_eq!(keep(root, &root.join("runs"), &results, source).unwrap(), 6);
    let kept = std::fs::read_to_string(results.join("data/a/with/seed-2/metrics.jsonl")).unwrap();
    let line = |step: u32, value: f64| {
        format!("{{\"step\":{step},\"wall_s\":1.5,\"eval/return_mean\":{value},\"lipschitz/a\":1.23457}}\n")
    };
    assert_eq!(kept, line(1000, 0.0) + &line(2000, 90.0));
    let config = std::fs::read_to_string(results.join("data/a/with/seed-2/config.yaml")).unwrap();
    assert!(config.contains("{demonstrations: demos/hopper.hdf5}"), "{config}");

    let page = "# Page\n\n<!-- claims -->\nold\n<!-- end -->\nText.\n<!-- table ends -->\n<!-- end -->\nEnd.\n";
    let made = fill(page, &results, &evidence).unwrap();
    // A quarter of three runs is less than one, so nothing is cut: (10 + 20 + 90)/3 = 40 and 2. The
    // difference's interval lies between 10 − 3 and 90 − 1.
    let row = made.lines().find(|line| line.starts_with("| It helps")).unwrap();
    assert!(row.starts_with("| It helps | return 40.0 against 2.00: 38.0 ["), "{row}");
    assert!(
        row.ends_with("| 3 seeds, 2,000 steps (paper: 1e6 steps) | `without` 2.00 | **holds**: of course |"),
        "{row}"
    );
    assert!(
        made.contains(
            "| with | 3 | 2,000 | 40.0 [10.0, 90.0] | 20.0 [5.00, 45.0] | 0.00 [0.00, 0.00] | 1.23 [1.23, 1.23] |"
        ),
        "{made}"
    );
    assert!(made.starts_with("# Page\n\n<!-- claims -->\n\n|") && made.ends_with("<!-- end -->\nEnd.\n"));
    assert_eq!(fill(&made, &results, &evidence).unwrap(), made, "filling again changes nothing");

    let error = fill("<!-- table no -->\n<!-- end -->", &results, &evidence).unwrap_err().to_string();
    assert!(error.contains("`table no`"), "{error}");
    let error = fill("<!-- claims -->\n", &results, &evidence).unwrap_err().to_string();
    assert!(error.contains("no `<!-- end -->`"), "{error}");
    std::fs::write(&list, text.replace("of: a, ours", "of: b, ours")).unwrap();
    assert!(Evidence::read(&list).unwrap_err().to_string().contains("no source `b`"));
}
