//! The shipped demonstrations and the policies that made them.

use crate::support::{finish, liprl};

/// Task and the least return that its card states.
const SHIPPED: [(&str, f64); 5] = [
    ("inverted_pendulum", 1000.0),
    ("inverted_double_pendulum", 9300.0),
    ("hopper", 3000.0),
    ("walker2d", 3000.0),
    ("half_cheetah", 6000.0),
];

#[test]
fn shipped_demonstrations_hold_ten_episodes_of_an_expert() {
    for (task, wanted) in SHIPPED {
        let (code, listing, stderr) = finish(liprl(["demos", "inspect", &format!("demos/{task}.hdf5")]));
        assert_eq!(code, 0, "{stderr}");
        let returns: Vec<f64> = listing
            .lines()
            .skip_while(|line| !line.trim_start().starts_with("episode"))
            .skip(1)
            .map(|line| line.split_whitespace().last().and_then(|cell| cell.parse().ok()).expect("a return"))
            .collect();
        assert_eq!(returns.len(), 10, "{listing}");
        assert!(returns.iter().sum::<f64>() / 10.0 >= wanted, "{listing}");
    }
}

#[test]
fn shipped_policies_still_reach_the_returns_of_their_cards() {
    for (task, wanted) in SHIPPED {
        let policy = format!("demos/{task}.policy.safetensors");
        let (code, json, stderr) = finish(liprl(["eval", &policy, "--episodes", "1", "--seed", "1000", "--json"]));
        assert_eq!(code, 0, "{stderr}");
        let report: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let found = report["return_mean"].as_f64().expect("a mean return");
        assert!(found >= wanted, "{task}: {found}");
    }
}
