//! Networks: all parameters of a network in one flat buffer, with an autograd form and a hand-written one.

mod spec;

pub use spec::{Activation, Init};
