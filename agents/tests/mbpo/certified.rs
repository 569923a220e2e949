//! Certificates of the model's networks.

use liprl_agents::Agent;
use liprl_control::certify::{Norm, SdpOptions, lipsdp, product};
use liprl_numerics::Streams;
use rand::RngExt;
use serde_json::json;

use super::bench::{Bench, config};

/// Every member's mean and log-variance, the classifier and the critics: each is the function that the
/// agent computes, with its standardisation folded in. Bounds keep their order on them, swish included.
#[test]
fn every_network_is_certified_as_it_is_used() {
    for targets in ["raw", "standardised"] {
        certified_as_used(targets);
    }
}

fn certified_as_used(targets: &str) {
    let learned = json!({"termination": {"kind": "learned", "updates": 20}, "model": {"targets": targets}});
    let mut bench = Bench::new(config(learned), 1);
    bench.run(110);
    let networks = bench.agent.networks().unwrap();
    let names: Vec<&str> = networks.iter().map(|network| network.name.as_str()).collect();
    let elites = bench.agent.dynamics().elites().to_vec();
    assert_eq!(&names[..2], ["critic_0", "critic_1"]);
    assert_eq!(names.len(), 2 + 2 * 3 + 1);
    assert_eq!(names[2], format!("model_{}", elites[0]), "the best elite comes first");
    assert_eq!((names[3], names[8]), (&*format!("model_{}_log_variance", elites[0]), "termination"));
    let rows: Vec<_> = bench.agent.imagined().rows().take(20).collect();
    let flat = |of: &dyn Fn(&liprl_agents::replay::Row<'_>) -> Vec<f32>| rows.iter().flat_map(of).collect::<Vec<_>>();
    let (obs, action) = (flat(&|row| row.obs.to_vec()), flat(&|row| row.action.to_vec()));
    let wide = |row: usize| -> Vec<f64> {
        obs[row * 4..][..4].iter().chain(&action[row..][..1]).map(|&x| f64::from(x)).collect()
    };
    let mut predictor = bench.agent.dynamics().predictor(20).unwrap();
    let mut compared = 0;
    for found in &networks {
        let network = found.network.as_ref().unwrap();
        if let Some(member) = found.name.strip_prefix("model_").and_then(|member| member.parse::<u32>().ok()) {
            let (mut reward, mut next) = (vec![0.0; 20], vec![0.0; 80]);
            let view = bench.agent.dynamics().view();
            predictor.predict(view, &obs, &action, &[member; 20], None, &mut reward, &mut next).unwrap();
            for row in 0..20 {
                let own = network.forward(&wide(row));
                let change = (0..4).map(|i| f64::from(next[row * 4 + i]) - f64::from(obs[row * 4 + i]));
                for (own, theirs) in own.iter().zip(std::iter::once(f64::from(reward[row])).chain(change)) {
                    assert!((own - theirs).abs() < 1e-4 * own.abs().max(1.0), "{}: {own} {theirs}", found.name);
                    compared += 1;
                }
            }
        }
        let quick = SdpOptions { evaluations: 10, ..SdpOptions::default() };
        let sdp = lipsdp(network, &quick).unwrap().upper;
        let top = product(network, Norm::L2).unwrap();
        let mut rng = Streams::new(1).rng("points");
        let met = (0..200).filter_map(|_| {
            let x: Vec<f64> = (0..network.inputs()).map(|_| rng.random_range(-1.0..1.0)).collect();
            network.jacobian(&x).map(|jacobian| jacobian.singular_values().unwrap()[0])
        });
        let met = met.fold(0.0, f64::max);
        assert!(met > 0.0 && met <= sdp && sdp <= top, "{}: {met} {sdp} {top}", found.name);
    }
    assert_eq!(compared, 3 * 20 * 5);
}
