use liprl_numerics::{Init, Single};

use super::{testing::*, *};

#[test]
fn the_description_is_the_network_with_everything_folded_in() {
    for activation in ACTIVATIONS {
        let mlp = Mlp::new(4, &[7, 5], 3, activation, false, Init::Uniform);
        let params = liprl_numerics::testing::numbers(mlp.len(), "description");
        let inputs = [
            Input::Standardised { mean: 0.3, scale: 2.0, clip: 1.5 },
            Input::RAW,
            Input::Held(0.7),
            Input::Standardised { mean: -1.0, scale: 0.5, clip: f64::INFINITY },
        ];
        let scale = vec![2.0, 0.5];
        let linear = Network::new("linear", &mlp, &params, &inputs, OutputMap::Linear(scale.clone())).unwrap();
        let squashed = Network::new("tanh", &mlp, &params, &inputs, OutputMap::Tanh(scale.clone())).unwrap();
        assert_eq!((linear.inputs(), linear.outputs(), linear.hidden()), (3, 2, vec![7, 5]));
        // The first coordinate is within the clip, then beyond it.
        for x in [[0.4, -0.2, 3.0], [9.0, 0.1, -2.0]] {
            let seen = [((x[0] - 0.3) * 2.0f64).clamp(-1.5, 1.5), x[1], 0.7, (x[2] + 1.0) * 0.5];
            let expected = Single::new(&mlp).forward(&params, &seen.map(|x| x as f32)).to_vec();
            for (i, (a, b)) in linear.forward(&x).into_iter().zip(squashed.forward(&x)).enumerate() {
                let z = f64::from(expected[i]);
                assert!((a - scale[i] * z).abs() < 1e-5 * z.abs().max(1.0), "{activation:?}");
                assert!((b - scale[i] * z.tanh()).abs() < 1e-5, "{activation:?}");
            }
        }
    }
}

#[test]
fn what_cannot_be_certified_is_refused() {
    let mlp = Mlp::new(2, &[3], 1, Activation::Relu, true, Init::Uniform);
    let head = || OutputMap::Linear(vec![1.0]);
    let raw = [Input::RAW; 2];
    let error = Network::new("critic", &mlp, &vec![0.1; mlp.len()], &raw, head()).unwrap_err().to_string();
    assert!(error.contains("critic: has LayerNorm"), "{error}");
    let mlp = Mlp::new(2, &[3], 1, Activation::Relu, false, Init::Uniform);
    assert!(Network::new("short", &mlp, &[0.1; 3], &raw, head()).is_err());
    assert!(Network::new("wide", &mlp, &vec![0.1; mlp.len()], &raw[..1], head()).is_err());
    let mut params = vec![0.1; mlp.len()];
    params[7] = f32::NAN;
    let error = Network::new("net", &mlp, &params, &raw, head()).unwrap_err().to_string();
    assert!(error.contains("the bias of layer 0 is not finite"), "{error}");
}

#[test]
fn densely_connected_networks_are_certified_as_they_compute() {
    use liprl_numerics::Streams;
    use rand::RngExt;

    use crate::certify::{LocalOptions, Norm, Region, SdpOptions, lipsdp, lipsdp_on, local_bound, product};

    for activation in [Activation::Relu, Activation::Tanh] {
        let mlp = Mlp::dense(3, &[6, 5], 2, activation);
        let mut rng = Streams::new(1).rng("dense");
        let params: Vec<f32> = (0..mlp.len()).map(|_| rng.random_range(-0.7f32..0.7)).collect();
        let inputs = [Input::Standardised { mean: 0.2, scale: 1.5, clip: f64::INFINITY }; 3];
        let network = Network::new("dense", &mlp, &params, &inputs, OutputMap::Tanh(vec![1.0, 2.0])).unwrap();
        assert_eq!(network.hidden(), [6, 5]);
        let mut single = Single::new(&mlp);
        let region = Region::around(&[0.1, -0.3, 0.4], &[0.3; 3]).unwrap();
        let sdp = lipsdp(&network, &SdpOptions::default()).unwrap().upper;
        let sdp_on = lipsdp_on(&network, &region, &SdpOptions::default()).unwrap().upper;
        let local = local_bound(&network, &region, Norm::L2, &LocalOptions { leaves: 200, ..LocalOptions::default() });
        let local = local.unwrap().upper;
        let mut most = 0f64;
        for _ in 0..2000 {
            let ends = region.low().iter().zip(region.high());
            let x: Vec<f64> = ends.map(|(low, high)| rng.random_range(*low..=*high)).collect();
            let standard: Vec<f32> = x.iter().map(|x| ((x - 0.2) * 1.5) as f32).collect();
            let out = single.forward(&params, &standard);
            let own = network.forward(&x);
            for ((own, theirs), scale) in own.iter().zip(out).zip([1.0, 2.0]) {
                assert!((own - scale * f64::from(*theirs).tanh()).abs() < 1e-5, "{own} {theirs}");
            }
            let Some(jacobian) = network.jacobian(&x) else { continue };
            for j in 0..3 {
                let (mut up, mut down) = (x.clone(), x.clone());
                (up[j], down[j]) = (x[j] + 1e-7, x[j] - 1e-7);
                let (up, down) = (network.forward(&up), network.forward(&down));
                for i in 0..2 {
                    // A kink within the step leaves a difference; smooth networks have none.
                    let difference = (up[i] - down[i]) / 2e-7 - jacobian[(i, j)];
                    assert!(difference.abs() < 1e-5 || activation == Activation::Relu, "{difference}");
                }
            }
            most = most.max(spectral_norm(jacobian.as_ref()).unwrap());
        }
        assert!(most <= local && local <= sdp_on * (1.0 + 1e-9), "{most} {local} {sdp_on}");
        assert!(sdp_on <= sdp * (1.0 + 1e-3) && sdp <= product(&network, Norm::L2).unwrap(), "{sdp_on} {sdp}");
    }
}
