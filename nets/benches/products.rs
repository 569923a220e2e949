//! Matrix products of usual sizes on one thread, GFLOP/s: by `product` (faer, f32), by
//! `network_product` in bf16, which converts from and to f32, and by libtorch alone in f32 and bf16.
//! In `forward` the right factor is transposed, in `gradient` the left one. One JSON object a line.
//!
//! `cargo bench -p liprl-nets --bench products`

use std::{error::Error, time::Instant};

use liprl_nets::{Precision, network_product, product, set_precision};
use tch::{Device, Kind, Tensor};

/// Rounds, and products in each.
const ROUNDS: usize = 9;
const PRODUCTS: usize = 100;

/// The product of runs in bf16, left out where the processor has none.
const IN_RUNS: &str = "network_product_bf16";

type Work<'a> = Box<dyn Fn() -> Result<(), Box<dyn Error>> + 'a>;

fn main() -> Result<(), Box<dyn Error>> {
    tch::set_num_threads(1);
    let has_bf16 = set_precision(Precision::Bf16).is_ok();
    for (m, k, n) in
        [(1024, 512, 512), (256, 256, 256), (128, 256, 256), (64, 400, 300), (100, 64, 100), (256, 23, 256)]
    {
        let random = |rows: i64, columns: i64| Tensor::randn([rows, columns], (Kind::Float, Device::Cpu));
        for (layout, a, b) in [
            ("backward", random(m, k), random(k, n)),
            ("forward", random(m, k), random(n, k).tr()),
            ("gradient", random(k, m).tr(), random(k, n)),
        ] {
            let into = random(m, n);
            let [a16, b16, into16] = [&a, &b, &into].map(|x| x.to_kind(Kind::BFloat16));
            let kinds: [(&str, Work); 4] = [
                ("product", Box::new(|| Ok(product(&into, &a, &b, false)?))),
                (IN_RUNS, Box::new(|| Ok(network_product(&into, &a, &b, false)?))),
                ("libtorch_f32", Box::new(|| Ok(a.f_mm_out(&into, &b).map(drop)?))),
                ("libtorch_bf16", Box::new(|| Ok(a16.f_mm_out(&into16, &b16).map(drop)?))),
            ];
            let mut rates = vec![Vec::new(); kinds.len()];
            for round in 0..=ROUNDS {
                for ((_, work), rates) in kinds.iter().zip(&mut rates) {
                    let start = Instant::now();
                    (0..PRODUCTS).try_for_each(|_| work())?;
                    let flops = 2.0 * (m * k * n) as f64 * PRODUCTS as f64;
                    if round > 0 {
                        rates.push(flops / start.elapsed().as_secs_f64() / 1e9); // the first round warms up
                    }
                }
            }
            for ((what, _), mut rates) in kinds.iter().zip(rates).filter(|((what, _), _)| has_bf16 || *what != IN_RUNS)
            {
                rates.sort_by(f64::total_cmp);
                let median = rates[rates.len() / 2];
                println!(
                    "{}",
                    format_args!(
                        "{{\"what\":\"{what}\",\"layout\":\"{layout}\",\"size\":\"{m}x{k}x{n}\",\"gflops\":{median:.0}}}"
                    )
                );
            }
        }
    }
    Ok(())
}
