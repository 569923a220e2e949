//! The certificate's product of norms against the bound that training logs.

#![allow(clippy::unwrap_used)] // a test that cannot go on should say so

use liprl_control::certify::{Input, Network, Norm, OutputMap, product};
use liprl_nets::lipschitz::product_bound;
use liprl_numerics::{Activation, Init, Mlp, testing::numbers};

#[test]
fn it_is_the_product_that_training_logs() {
    let mlp = Mlp::new(3, &[9, 7], 2, Activation::Swish, false, Init::Uniform);
    let params = numbers(mlp.len(), "product");
    let network = Network::new("net", &mlp, &params, &[Input::RAW; 3], OutputMap::Linear(vec![1.0; 2])).unwrap();
    let logged = product_bound(&mlp, &tch::Tensor::from_slice(&params)).unwrap();
    assert!((product(&network, Norm::L2).unwrap() / logged - 1.0).abs() < 1e-8);
}
