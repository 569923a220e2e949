//! Parts that benchmarks of updates share: the line they print, and the matrix products alone, than
//! which no library is faster.

#![allow(dead_code)] // each benchmark uses its part

use std::{error::Error, io::Write, thread, time::Instant};

use liprl_agents::AgentError;
use liprl_nets::product;
use serde_json::json;
use tch::{Device, Kind, Tensor};

/// Matrix products on operands laid out as the update has them.
#[derive(Default)]
pub(crate) struct Floor {
    /// (m, k, n, whether the left and right operands are transposed in memory).
    shapes: Vec<(i64, i64, i64, bool, bool)>,
    products: Vec<[Tensor; 3]>,
}

impl Floor {
    /// Those of a perceptron's outputs.
    pub(crate) fn forward(&mut self, batch: i64, sizes: &[i64]) {
        sizes.windows(2).for_each(|size| self.product(batch, size[0], size[1], false, true));
    }

    /// Those of its way back to the first layer's output, with or without the weights' gradients.
    pub(crate) fn backward(&mut self, batch: i64, sizes: &[i64], weights: bool) {
        for (layer, size) in sizes.windows(2).enumerate().rev() {
            if weights {
                self.product(size[1], batch, size[0], true, false);
            }
            if layer > 0 {
                self.product(batch, size[1], size[0], false, false);
            }
        }
    }

    /// `[m, k] × [k, n]`, each operand transposed in memory or not. Products of one shape share
    /// their operands, which thus stay in the cache: the floor must not look slower than it is.
    pub(crate) fn product(&mut self, m: i64, k: i64, n: i64, left: bool, right: bool) {
        let shape = (m, k, n, left, right);
        if let Some(known) = self.shapes.iter().position(|known| *known == shape) {
            let same = self.products[known].each_ref().map(Tensor::shallow_clone);
            self.products.push(same);
        } else {
            let operand = |rows, columns, transposed| match transposed {
                true => Tensor::ones([columns, rows], (Kind::Float, Device::Cpu)).tr(),
                false => Tensor::ones([rows, columns], (Kind::Float, Device::Cpu)),
            };
            self.products.push([operand(m, k, left), operand(k, n, right), operand(m, n, false)]);
        }
        self.shapes.push(shape);
    }

    /// All of them once.
    fn run(&self) -> Result<(), AgentError> {
        Ok(self.products.iter().try_for_each(|[a, b, out]| product(out, a, b, false))?)
    }
}

/// Rate at which the products are done, in rounds a second, each thread on a set of its own.
pub(crate) fn rate(floors: &mut [Floor], times: usize) -> Result<f64, Box<dyn Error>> {
    let start = Instant::now();
    thread::scope(|scope| {
        let work = |floor: &mut Floor| (0..times).try_for_each(|_| floor.run());
        let started: Vec<_> = floors.iter_mut().map(|floor| scope.spawn(move || work(floor))).collect();
        started.into_iter().try_for_each(|thread| match thread.join() {
            Ok(done) => done.map_err(Box::from),
            Err(_) => Err(Box::<dyn Error>::from("a thread of the floor panicked")),
        })
    })?;
    Ok((times * floors.len()) as f64 / start.elapsed().as_secs_f64())
}

/// One JSON object a line: median, least and largest of `values`. Returns the median.
pub(crate) fn report(what: &str, threads: usize, mut values: Vec<f64>) -> std::io::Result<f64> {
    values.sort_by(f64::total_cmp);
    let (min, median, max) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let line = json!({"library": "liprl", "what": what, "threads": threads, "median": median, "min": min, "max": max});
    writeln!(std::io::stdout(), "{line}")?;
    Ok(median)
}
