//! Named random streams from one root seed.
//!
//! libtorch's generator cannot be saved through tch, so nothing uses it: every draw comes from one
//! of these.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

/// The generator behind every stream: small, serialisable, equal on every platform.
pub type StreamRng = ChaCha8Rng;

/// Independent generators, one per name, all from one seed.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    seed: u64,
}

impl Streams {
    /// Streams of the run with this root seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// The stream of this name. ChaCha keys are the seed's, the nonce is the name's hash: streams
    /// never overlap.
    pub fn rng(&self, name: &str) -> StreamRng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(fnv1a(name.as_bytes()));
        rng
    }

    /// A 64-bit seed, for an environment say, drawn from the stream of this name.
    pub fn seed(&self, name: &str) -> u64 {
        use rand::Rng;
        self.rng(name).next_u64()
    }
}

/// The 64-bit FNV-1a hash. It must never change: checkpoints depend on it.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
