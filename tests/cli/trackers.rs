//! `tools/replay.py`: a run's rows in an experiment tracker.

use std::process::Command;

use serde_json::Value;

use crate::runs::{SMALL, python, small_agent, small_run};
use crate::support::{finish, root, text};

/// The rows that trackio holds, as JSON, in order.
const STORED: &str = "import json, sqlite3, sys
rows = sqlite3.connect(sys.argv[1]).execute('select step, metrics from metrics order by step, id')
print(json.dumps([[step, json.loads(metrics)] for step, metrics in rows]))";

#[test]
fn trackio_holds_every_row_of_the_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let run = small_run(folder.path(), &format!("{SMALL}{}", small_agent("td3")), "600");
    let mut replay = Command::new(python());
    replay.arg(root().join("tools/replay.py")).arg(&run).args(["--to", "trackio", "--project", "tests", "--follow"]);
    // Offline: nothing is uploaded, and the home folder is left alone.
    replay.env("TRACKIO_DIR", folder.path()).env("HOME", folder.path()).env("HF_HUB_OFFLINE", "1");
    let (code, _, stderr) = finish(replay);
    assert_eq!(code, 0, "{stderr}");

    let mut stored = Command::new(python());
    stored.args(["-c", STORED, text(&folder.path().join("tests.db"))]);
    let (code, stored, stderr) = finish(stored);
    assert_eq!(code, 0, "{stderr}");
    let stored: Vec<(u64, Value)> = serde_json::from_str(&stored).expect("rows");
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).expect("the log");
    let logged: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).expect("a row")).collect();
    assert_eq!(stored.len(), logged.len());
    for ((step, stored), logged) in stored.iter().zip(&logged) {
        let logged = logged.as_object().expect("an object");
        assert_eq!(logged["step"], *step);
        let numbers = logged.iter().filter(|(name, value)| *name != "step" && !value.is_null());
        assert!(numbers.clone().count() > 3);
        for (name, value) in numbers {
            assert_eq!(stored[name].as_f64(), value.as_f64(), "{name} at {step}");
        }
    }
}
