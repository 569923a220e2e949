//! `liprl certify --net`: networks of files by themselves, and boxes in numbers.

use std::process::Command;

use serde_json::Value;

use crate::import::{cases, certify, import, in_folder};
use crate::runs::python;
use crate::support::{finish, root, text};

/// A network by itself: bounds against those of the same policy with its environment, and against a
/// constant known by hand.
#[test]
fn networks_are_certified_by_themselves() {
    let folder = tempfile::tempdir().expect("a folder");
    let policy = folder.path().join("sac.policy.safetensors");
    import(&cases()[0], &policy);
    let upper = |report: &Value, method: &str| {
        let bounds = report["bounds"].as_array().expect("bounds");
        let row = bounds.iter().find(|row| row["method"] == method && row["norm"] == "l2").expect("a row");
        row["upper"].as_f64().expect("a number")
    };
    // The file's own actions are in [-1, 1], the environment's reach from -2 to 2.
    let product = |args: &[&str]| upper(&certify(&[args, &["--method", "product"]].concat()), "product");
    let (alone, onnx) = (product(&["--net", "sac.zip"]), product(&["--net", "sac.onnx"]));
    let with_env = product(&[text(&policy), "--episodes", "1"]);
    assert!(
        (2.0 * alone / with_env - 1.0).abs() < 1e-6 && (alone / onnx - 1.0).abs() < 1e-6,
        "{alone} {onnx} {with_env}"
    );
    assert!((product(&["--net", text(&policy)]) / alone - 1.0).abs() < 1e-6);

    let boxes = ["--box", "-0.1:0.1", "--box", "0,0.1,-0.2+-0.05", "--box=-1,-1,-8:1,1,8"];
    let report = certify(&[&["--net", "sac.zip", "--time-limit", "10"], &boxes[..]].concat());
    let rows = report["bounds"].as_array().expect("bounds");
    for region in ["everywhere", "-0.1:0.1", "0,0.1,-0.2±0.05", "-1,-1,-8:1,1,8"] {
        let of_region: Vec<&Value> = rows.iter().filter(|row| row["region"] == region).collect();
        assert!(of_region.len() >= 3, "{region}: {report:#}");
        for row in of_region {
            let (lower, upper) = (row["lower"].as_f64().expect("a number"), row["upper"].as_f64().expect("a number"));
            assert!(lower > 0.0 && lower <= upper, "{row}");
        }
    }
    assert_eq!((&report["env"], &report["step"], &report["episodes"]), (&Value::Null, &Value::Null, &Value::Null));
    assert_eq!(report["network"]["tanh"], true);
    let corners = &rows.iter().find(|row| row["region"] == "0,0.1,-0.2±0.05").expect("a row")["boxes"][0];
    assert_eq!(corners["low"][0], -0.05);
    // Explicit boxes of a policy with its environment are in the same numbers.
    let local = |report: &Value| upper(report, "local");
    let only = ["--method", "local", "--norm", "l2", "--box", "-0.1:0.1", "--episodes", "1"];
    let with_env = certify(&[&[text(&policy)], &only[..]].concat());
    let alone = certify(&[&["--net", "sac.zip"], &only[..6]].concat());
    assert!((2.0 * local(&alone) / local(&with_env) - 1.0).abs() < 1e-5, "{alone:#} {with_env:#}");

    // relu(3x + 4y) + relu(x) is steepest where both are: (4, 4).
    let script = "import safetensors.numpy, numpy as np, sys\n\
                  f = np.float32\n\
                  safetensors.numpy.save_file({'a.weight': np.array([[3, 4], [1, 0]], f), 'a.bias': np.zeros(2, f), \
                  'b.weight': np.array([[1, 1]], f), 'b.bias': np.ones(1, f)}, sys.argv[1])";
    let file = folder.path().join("by_hand.safetensors");
    let mut command = Command::new(python());
    command.args(["-c", script, text(&file)]);
    assert_eq!(finish(command).0, 0);
    for (norm, wanted) in [("l2", 32f64.sqrt()), ("linf", 8.0)] {
        let report = certify(&["--net", text(&file), "--activation", "relu", "--box", "-1:1", "--norm", norm]);
        let least =
            report["least"].as_array().expect("bounds").iter().find(|row| row["region"] == "-1:1").expect("a row");
        for key in ["lower", "upper"] {
            let found = least[key].as_f64().expect("a number");
            assert!((found / wanted - 1.0).abs() < 1e-6, "{norm}, {key}: {found}");
        }
        assert!(report["bounds"].as_array().expect("bounds").iter().all(|row| row["norm"] == norm));
    }
    let (code, table, _) = in_folder(&["certify", "--net", text(&file), "--activation", "relu", "--box", "0±0.5"]);
    assert!(
        code == 0 && table.contains("by_hand.safetensors: 2 → 2 → 1, relu\n") && table.contains("0±0.5"),
        "{table}"
    );
}

#[test]
fn certify_refuses_what_a_network_by_itself_does_not_have() {
    let net = ["certify", "--net", "sac.zip"];
    for (args, wanted) in [
        (&["--box", "data"][..], "give LOW:HIGH or CENTRE±R"),
        (&["--box", "state±0.1"], "give LOW:HIGH or CENTRE±R"),
        (&["--method", "local"], "--method local bounds over boxes"),
        (&["--box", "0,0:1"], "`0,0:1` has 2 numbers for 3 inputs"),
        (&["--box", "1:0"], "the lower end 1 is above the upper one, 0"),
        (&["--box", "0±-1"], "the reach -1 is negative"),
        (&["--box", "0;1"], "LOW:HIGH or CENTRE±R"),
        (&["--norm", "l1"], "expected l2 or linf"),
        (&["--network", "critic_0"], "cannot be used with"),
        (&["--closed-loop"], "cannot be used with"),
        (&["runs/a"], "cannot be used with"),
    ] {
        let (code, _, stderr) = in_folder(&[&net[..], args].concat());
        assert!(code == 2 && stderr.contains(wanted), "{wanted}: {code} {stderr}");
    }
    let policy = root().join("demos/inverted_pendulum.policy.safetensors");
    for (args, wanted) in [
        (&["--net", text(&policy), "--activation", "relu"][..], "is a policy file and says everything itself"),
        (&[text(&policy), "--activation", "relu"], "are for the file of --net"),
        (&[text(&policy), "--box", "1,2:3"], "`1,2:3` has 2 numbers for 4 inputs"),
        (&[], "--net"),
    ] {
        let (code, _, stderr) = in_folder(&[&["certify"], args].concat());
        assert!(code == 2 && stderr.contains(wanted), "{wanted}: {code} {stderr}");
    }
    let (code, _, stderr) = in_folder(&["certify", "--net", "plain.pt", "--activation", "silu"]);
    assert!(code == 1 && stderr.contains("LayerNorm"), "{stderr}");
}
