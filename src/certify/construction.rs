//! The constant that a policy has by construction.

use liprl_control::Policy;

/// The constant that training proved of a policy whose layers are Lipschitz by construction, in the
/// environment's units and the Euclidean norm; `None` for other policies. It comes from the free
/// numbers behind the weights, which the file does not have, and is taken as the file states it.
pub(crate) fn constant_by_construction(policy: &Policy) -> Option<f64> {
    let lipschitz = policy.about().get("lipschitz")?;
    let proven = lipschitz.get("certified")?.as_f64()?;
    (lipschitz.get("constraint")?.as_str()? == "by_construction" && proven.is_finite()).then_some(proven)
}

#[cfg(test)]
mod tests {
    use liprl_numerics::{Activation, Init, Mlp};
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_construction_s_constant_counts() {
        let mlp = Mlp::new(1, &[], 1, Activation::Relu, false, Init::Uniform);
        let mut policy = Policy::new(&mlp, vec![0.5, 0.0], 1, None);
        assert_eq!(constant_by_construction(&policy), None);
        for (constraint, expected) in [("penalty", None), ("by_construction", Some(1.5))] {
            let about = json!({"certified": 1.5, "constraint": constraint});
            policy.about_mut().insert("lipschitz".into(), about);
            assert_eq!(constant_by_construction(&policy), expected);
        }
    }
}
