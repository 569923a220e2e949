//! NumPy's `default_rng`, bit for bit, so that a seed starts the same episode as in Python's
//! Gymnasium.
//!
//! Three published algorithms: `SeedSequence` (O'Neill's `seed_seq` replacement) spreads the seed;
//! PCG64 XSL-RR (O'Neill 2014) makes 64-bit words; Marsaglia and Tsang's ziggurat (2000, 256
//! layers) makes normal numbers of them. `tests/initial_states.rs` compares all three with NumPy.

use std::sync::LazyLock;

/// The generator behind `np.random.default_rng(seed)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumpyRng {
    state: u128,
    increment: u128,
}

const MULTIPLIER: u128 = 0x2360_ed05_1fc6_5da4_4385_df64_9fcc_f645;

impl NumpyRng {
    /// The generator of this seed.
    pub fn new(seed: u64) -> Self {
        Self::from_entropy(&entropy(seed))
    }

    /// The generator of this seed and a purpose, independent of the seed's own: `default_rng([seed,
    /// purpose])`.
    pub fn derived(seed: u64, purpose: u32) -> Self {
        let mut words = entropy(seed);
        words.push(purpose);
        Self::from_entropy(&words)
    }

    fn from_entropy(words: &[u32]) -> Self {
        let [a, b, c, d] = seed_sequence(words);
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        let increment = wide(c, d) << 1 | 1;
        let mut rng = Self { state: increment.wrapping_add(wide(a, b)), increment };
        rng.advance();
        rng
    }

    /// The next 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.advance();
        let folded = (self.state >> 64) as u64 ^ self.state as u64;
        folded.rotate_right((self.state >> 122) as u32)
    }

    /// A uniform number on [0, 1), 53 bits.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// A uniform number on [low, high).
    pub fn uniform(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.unit()
    }

    /// A standard normal number.
    pub fn standard_normal(&mut self) -> f64 {
        let table = &*ZIGGURAT;
        loop {
            let bits = self.next_u64();
            let layer = (bits & 0xff) as usize;
            let magnitude = (bits >> 9) & 0x000f_ffff_ffff_ffff;
            let signed = |x: f64, negative: bool| if negative { -x } else { x };
            let x = signed(magnitude as f64 * table.width[layer], bits >> 8 & 1 == 1);
            if magnitude < table.inside[layer] {
                return x;
            }
            if layer == 0 {
                loop {
                    let beyond = -TAIL_SCALE * (-self.unit()).ln_1p();
                    let height = -(-self.unit()).ln_1p();
                    if height + height > beyond * beyond {
                        return signed(TAIL_START + beyond, magnitude >> 8 & 1 == 1);
                    }
                }
            }
            let below = (table.height[layer - 1] - table.height[layer]) * self.unit() + table.height[layer];
            if below < (-0.5 * x * x).exp() {
                return x;
            }
        }
    }

    /// The state, for saving.
    pub fn words(&self) -> [u64; 4] {
        [(self.state >> 64) as u64, self.state as u64, (self.increment >> 64) as u64, self.increment as u64]
    }

    /// A generator in a state that [`NumpyRng::words`] gave.
    pub fn from_words([a, b, c, d]: [u64; 4]) -> Self {
        let wide = |high: u64, low: u64| u128::from(high) << 64 | u128::from(low);
        Self { state: wide(a, b), increment: wide(c, d) }
    }

    fn advance(&mut self) {
        self.state = self.state.wrapping_mul(MULTIPLIER).wrapping_add(self.increment);
    }
}

/// The seed's 32-bit words, lowest first, without leading zeros.
fn entropy(seed: u64) -> Vec<u32> {
    let (low, high) = (seed as u32, (seed >> 32) as u32);
    if high == 0 { vec![low] } else { vec![low, high] }
}

/// NumPy's SeedSequence with its pool of four words, asked for four 64-bit words.
fn seed_sequence(words: &[u32]) -> [u64; 4] {
    let mut constant = 0x43b0_d7e5_u32;
    let mut hash = |value: u32| {
        let value = value ^ constant;
        constant = constant.wrapping_mul(0x931e_8875);
        let value = value.wrapping_mul(constant);
        value ^ value >> 16
    };
    let mix = |x: u32, y: u32| {
        let mixed = x.wrapping_mul(0xca01_f9dd).wrapping_sub(y.wrapping_mul(0x4973_f715));
        mixed ^ mixed >> 16
    };
    let mut pool: [u32; 4] = std::array::from_fn(|i| hash(words.get(i).copied().unwrap_or(0)));
    for source in 0..4 {
        for target in (0..4).filter(|target| *target != source) {
            pool[target] = mix(pool[target], hash(pool[source]));
        }
    }
    for word in words.iter().skip(4) {
        for slot in &mut pool {
            *slot = mix(*slot, hash(*word));
        }
    }
    let mut constant = 0x8b51_f9dd_u32;
    let mut half = |i: usize| {
        let value = pool[i % 4] ^ constant;
        constant = constant.wrapping_mul(0x58f3_8ded);
        let value = value.wrapping_mul(constant);
        u64::from(value ^ value >> 16)
    };
    std::array::from_fn(|i| half(2 * i) | half(2 * i + 1) << 32)
}

/// Start of the ziggurat's tail.
const TAIL_START: f64 = 3.654_152_885_361_009;
/// Exponential scale of the tail, the inverse of its start.
const TAIL_SCALE: f64 = 0.273_661_237_329_758_3;
/// Area of each layer: of the doubles near it, the one that gives NumPy's table in every bit.
const LAYER_AREA: f64 = 0.004_928_673_233_974_652;

struct Ziggurat {
    /// Width of a layer per unit of the 52-bit magnitude.
    width: [f64; 256],
    /// Density at a layer's edge.
    height: [f64; 256],
    /// Magnitudes below this are certainly under the density.
    inside: [u64; 256],
}

static ZIGGURAT: LazyLock<Ziggurat> = LazyLock::new(|| {
    let scale = 4_503_599_627_370_496.0_f64;
    let density = |x: f64| (-0.5 * x * x).exp();
    let mut table = Ziggurat { width: [0.0; 256], height: [0.0; 256], inside: [0; 256] };
    let mut edge = TAIL_START;
    table.width[255] = edge / scale;
    table.height[255] = density(edge);
    table.width[0] = LAYER_AREA / density(edge) / scale;
    table.height[0] = 1.0;
    table.inside[0] = (edge * density(edge) / LAYER_AREA * scale).round_ties_even() as u64;
    for layer in (1..255).rev() {
        let next = (-2.0 * (LAYER_AREA / edge + table.height[layer + 1]).ln()).sqrt();
        table.inside[layer + 1] = (next / edge * scale).round_ties_even() as u64;
        table.width[layer] = next / scale;
        table.height[layer] = density(next);
        if layer == 38 {
            // The exp behind NumPy's table is one unit off here, and the layers that follow depend
            // on it.
            table.height[layer] = table.height[layer].next_up();
        }
        edge = next;
    }
    table
});
