//! Matrix products of usual sizes on one thread, GFLOP/s: by `product` (faer, f32), by libtorch in f32
//! and in bf16, and in bf16 with the conversions that f32 weights and inputs would need. One JSON
//! object a line.
//!
//! `cargo bench -p liprl-nets --bench products`

use std::{error::Error, time::Instant};

use liprl_nets::product;
use tch::{Device, Kind, Tensor};

/// Rounds, and products in each.
const ROUNDS: usize = 9;
const PRODUCTS: usize = 400;

type Work<'a> = Box<dyn Fn() -> Result<Tensor, Box<dyn Error>> + 'a>;

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    for (m, k, n) in [(256, 256, 256), (128, 256, 256), (64, 400, 300), (256, 23, 256)] {
        let random = |rows: i64, columns: i64| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu));
        let (a, b, into) = (random(m, k), random(k, n), random(m, n));
        let (a16, b16, into16) = (a.to_kind(Kind::BFloat16), b.to_kind(Kind::BFloat16), into.to_kind(Kind::BFloat16));
        let kinds: [(&str, Work); 4] = [
            ("product", Box::new(|| Ok(product(&into, &a, &b, false).map(|()| into.shallow_clone())?))),
            ("libtorch_f32", Box::new(|| Ok(a.f_mm_out(&into, &b)?))),
            ("libtorch_bf16", Box::new(|| Ok(a16.f_mm_out(&into16, &b16)?))),
            (
                "libtorch_bf16_converted",
                Box::new(|| Ok(a.f_to_kind(Kind::BFloat16)?.f_mm(&b16)?.f_to_kind(Kind::Float)?)),
            ),
        ];
        let mut rates = vec![Vec::new(); kinds.len()];
        for round in 0..=ROUNDS {
            for ((_, work), rates) in kinds.iter().zip(&mut rates) {
                let start = Instant::now();
                (0..PRODUCTS).try_for_each(|_| work().map(drop))?;
                let flops = 2.0 * (m * k * n) as f64 * PRODUCTS as f64;
                if round > 0 {
                    rates.push(flops / start.elapsed().as_secs_f64() / 1e9); // the first round warms up
                }
            }
        }
        for ((what, _), mut rates) in kinds.iter().zip(rates) {
            rates.sort_by(f64::total_cmp);
            let median = rates[rates.len() / 2];
            println!("{}", format_args!("{{\"what\":\"{what}\",\"size\":\"{m}x{k}x{n}\",\"gflops\":{median:.0}}}"));
        }
    }
    Ok(())
}
