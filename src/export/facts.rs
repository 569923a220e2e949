//! Facts that an exported file tells about itself.

use liprl_control::certify::{Norm, product};
use liprl_logbook::Provenance;
use serde_json::{Map, Value, json};

use crate::load::LoadedPolicy;

/// Task, action bounds, origin and the proven Lipschitz bound, by name. `unit` is true for actions
/// in `[-1, 1]`.
pub(crate) fn facts(loaded: &LoadedPolicy, provenance: Option<&Provenance>, unit: bool) -> Map<String, Value> {
    let space = loaded.task.env().action_space();
    let mut facts = Map::new();
    let mut put = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    put("program", json!(concat!("liprl ", env!("CARGO_PKG_VERSION"))));
    put("env_id", json!(loaded.env.id));
    put("env", json!(loaded.env));
    put("agent", json!(loaded.agent));
    put("step", json!(loaded.step));
    if let Some(seed) = loaded.policy.about().get("seed") {
        put("seed", seed.clone());
    }
    if let Some(commit) = provenance.and_then(|provenance| commit(provenance, loaded.step)) {
        put("commit", json!(commit));
    }
    put("actions", json!(if unit { "unit" } else { "env" }));
    put("action_low", json!(space.low));
    put("action_high", json!(space.high));
    match bound(loaded, unit) {
        Ok((bound, method)) => {
            put("lipschitz_bound", json!(bound));
            put("lipschitz_norm", json!(Norm::L2));
            put("lipschitz_method", json!(method));
        }
        Err(reason) => {
            put("lipschitz_unproven", json!(reason));
        }
    }
    facts
}

/// The commit of the program that trained up to this step.
fn commit(provenance: &Provenance, step: u64) -> Option<&str> {
    let later = provenance.changes.iter().rev().find(|change| change.step < step);
    later.map_or(&provenance.git_commit, |change| &change.git_commit).as_deref()
}

/// The least proven bound from observations to the file's actions and its method, or the reason why
/// there is none.
fn bound(loaded: &LoadedPolicy, unit: bool) -> Result<(f64, String), String> {
    let half_width = loaded.task.action_range().1;
    let scale = if unit { vec![1.0; half_width.len()] } else { half_width.to_vec() };
    let by_product = loaded.policy.to_certify(scale).and_then(|network| product(&network, Norm::L2));
    let by_product = by_product.map(|bound| (bound, "product".to_owned())).map_err(|error| error.to_string());
    // The claim is in the environment's units.
    let least = half_width.iter().copied().fold(f64::INFINITY, f64::min);
    let claim = loaded.policy.about().get("lipschitz");
    let claim = claim.and_then(|claim| {
        let constraint = claim["constraint"].as_str().unwrap_or("unknown");
        let certified = claim["certified"].as_f64()?;
        Some((if unit { certified / least } else { certified }, format!("certified in training, {constraint}")))
    });
    match (by_product, claim) {
        (Ok(product), Some(claim)) if product.0 <= claim.0 => Ok(product),
        (_, Some(claim)) => Ok(claim),
        (by_product, None) => by_product,
    }
}
