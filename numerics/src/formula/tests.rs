use proptest::prelude::*;

use super::*;

const VARIABLES: [Variable; 3] = [
    Variable { name: "obs", coordinates: Some(3) },
    Variable { name: "action", coordinates: Some(2) },
    Variable { name: "reward", coordinates: None },
];
/// Two rows.
const OBS: [f32; 6] = [0.5, -2.0, 3.0, 1.0, 4.0, -0.25];
const ACTION: [f32; 4] = [0.25, -0.75, 1.0, 0.5];
const REWARD: [f32; 2] = [2.0, -1.0];

fn evaluate(text: &str) -> Result<Vec<f64>, FormulaError> {
    let columns = [
        Column { numbers: &OBS, width: 3 },
        Column { numbers: &ACTION, width: 2 },
        Column { numbers: &REWARD, width: 1 },
    ];
    Ok(Formula::new(text, &VARIABLES)?.evaluate(&columns, 2).to_vec())
}

#[test]
fn values_by_hand() {
    for (text, expected) in [
        ("-abs(obs[1]) - 0.1*obs[2]^2", [-2.0 - 0.9, -4.0 - 0.1 * 0.0625]),
        // Python's precedence: signs bind less than powers, powers go from right to left.
        ("-obs[1]^2", [-4.0, -16.0]),
        ("-2^2 + 2^-1", [-3.5, -3.5]),
        ("2**3**2 / 2^3^2", [1.0, 1.0]),
        ("8 - 4 - 2 - 8/4/2", [1.0, 1.0]),
        ("2 * -reward + +1", [-3.0, 3.0]),
        ("(1 + 2) * 3", [9.0, 9.0]),
        ("1e-1 + .5 + 2. + 1.5E+1", [17.6, 17.6]),
        ("obs[0] < 0.75", [1.0, 0.0]),
        ("(obs[0] <= 0.5) + 2*(obs[0] > 0.5) + 4*(reward >= 2)", [5.0, 2.0]),
        ("sum(action) + sum(obs[0:2])", [-2.0, 6.5]),
        ("norm(action)^2", [0.625, 1.25]),
        ("norm(obs[1:3])", [13f64.sqrt(), 16.0625f64.sqrt()]),
        ("clip(reward, 0, 1) + max(reward, 0) + min(obs[0], obs[1])", [1.0, 1.0]),
        ("sign(reward) + sign(0)", [1.0, -1.0]),
        ("cos(pi) + atan2(1, 1) * 4 / pi + round(2.5) + floor(-0.5) + ceil(0.5)", [2.0, 2.0]),
        ("log(exp(obs[2])) + sqrt(4) + tanh(0)", [5.0, 1.75]),
        ("reward", [2.0, -1.0]),
        ("  1 ", [1.0, 1.0]),
    ] {
        let values = evaluate(text).unwrap();
        for (value, expected) in values.iter().zip(expected) {
            assert!((value - expected).abs() < 1e-12, "{text}: {values:?} {expected:?}");
        }
    }
}

#[test]
fn errors_name_the_column_and_what_is_right() {
    for (text, column, words) in [
        ("obs[0] + ", 10, "the formula ends where a number"),
        ("", 1, "the formula ends where a number"),
        ("2 * (obs[0] + 1", 16, "the formula ends where `)`"),
        ("obs[0] obs[1]", 8, "`o` where an operator"),
        ("1 < 2 < 3", 7, "`<` where an operator"),
        ("obs[x]", 5, "`x` where a coordinate"),
        ("obs[1", 6, "the formula ends where `]`"),
        ("1 + obs[3]", 5, "no `obs[3]`: `obs` has 3 coordinates, 0 to 2"),
        ("obs[99999999999999999999]", 1, "`obs` has 3 coordinates"),
        ("obs[2:1]", 1, "`obs` has 3 coordinates"),
        ("norm(obs[1:4])", 6, "no `obs[1:4]`"),
        ("1 + obs", 5, "take one, as in `obs[0]`"),
        ("obs[0:2]", 1, "several numbers"),
        ("2 * velocity", 5, "no `velocity`; there are obs, action, reward"),
        ("reward[0]", 1, "`reward` is a single number"),
        ("foo(1)", 1, "no function `foo`; there are abs"),
        ("min(1)", 1, "`min` takes 2 numbers, 1 are given"),
        ("norm(1)", 1, "`norm` takes one of obs, action"),
        ("π", 1, "`π` where a number"),
        ("(1)(2)", 4, "`(` where an operator"),
    ] {
        let error = evaluate(text).unwrap_err();
        assert!(error.problem.contains(words), "{text}: {error}");
        assert_eq!(error.column, column, "{text}: {error}");
    }
}

#[test]
fn nesting_as_deep_as_the_longest_text_is_read_or_refused() {
    for open in ["(", "-", "abs(", "2^"] {
        let text = format!("{}1{}", open.repeat(990 / open.len()), "");
        let _ = evaluate(&text);
        let closed = format!("{}1{}", "(".repeat(490), ")".repeat(490));
        assert_eq!(evaluate(&closed).unwrap(), [1.0, 1.0]);
    }
    assert!(evaluate(&"1+".repeat(600)).unwrap_err().problem.contains("longer than 1000"));
}

/// A formula as text with its value, written down side by side.
fn texts() -> impl Strategy<Value = (String, f64)> {
    let leaf = prop_oneof![
        (0.1f64..9.0).prop_map(|x| (format!("{x}"), x)),
        (0usize..3).prop_map(|i| (format!("obs[{i}]"), f64::from(OBS[i]))),
        Just(("reward".to_owned(), 2.0)),
    ];
    leaf.prop_recursive(5, 40, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a} + {b})"), x + y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a}-{b})"), x - y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("({a} * {b})"), x * y)),
            (inner.clone(), inner.clone()).prop_map(|((a, x), (b, y))| (format!("max({a}, {b})"), x.max(y))),
            inner.clone().prop_map(|(a, x)| (format!("(-{a})"), -x)),
            inner.prop_map(|(a, x)| (format!("tanh({a})"), x.tanh())),
        ]
    })
}

proptest! {
    #[test]
    fn any_formula_has_the_value_of_its_parts((text, expected) in texts()) {
        prop_assume!(text.len() <= 1000);
        let value = evaluate(&text).unwrap()[0];
        prop_assert!((value - expected).abs() <= 1e-9 * expected.abs().max(1.0), "{}: {} {}", text, value, expected);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "[-+*/^()\\[\\]:,.<>=a-z0-9 é]{0,60}") {
        let _ = evaluate(&text);
    }
}
