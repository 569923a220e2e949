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
