//! Ways in which files go wrong.

use liprl_numerics::StreamRng;
use rand::RngExt;

/// Changes the bytes in one of the ways in which files go wrong.
pub(crate) fn damage(bytes: &mut Vec<u8>, rng: &mut StreamRng) -> &'static str {
    let len = bytes.len();
    let at = |rng: &mut StreamRng| if len == 0 { 0 } else { rng.random_range(0..len) };
    match rng.random_range(0..8) {
        0 => {
            bytes.truncate(at(rng));
            "truncation"
        }
        1 => {
            for _ in 0..rng.random_range(1..8) {
                if let Some(byte) = bytes.get_mut(at(rng)) {
                    *byte ^= 1 << rng.random_range(0..8);
                }
            }
            "flipped bits"
        }
        2 => {
            let (start, n) = (at(rng), rng.random_range(1..64));
            let end = (start + n).min(len);
            bytes.drain(start..end);
            "missing bytes"
        }
        3 => {
            let (start, n) = (at(rng), rng.random_range(1..64));
            let piece: Vec<u8> = bytes.iter().copied().skip(at(rng)).take(n).collect();
            bytes.splice(start..start, piece);
            "repeated bytes"
        }
        4 => {
            let (start, n) = (at(rng), rng.random_range(1..256));
            bytes.iter_mut().skip(start).take(n).for_each(|byte| *byte = 0);
            "zeros"
        }
        5 => {
            // Sizes and counts are often in the first bytes.
            let within = len.clamp(1, 64);
            for _ in 0..rng.random_range(1..5) {
                if let Some(byte) = bytes.get_mut(rng.random_range(0..within)) {
                    *byte = [0xff, 0x7f, 0x80, 0][rng.random_range(0..4)];
                }
            }
            "extreme bytes at the start"
        }
        6 => {
            let digits: Vec<usize> = (0..len).filter(|&i| bytes[i].is_ascii_digit()).collect();
            if !digits.is_empty() {
                let place = digits[rng.random_range(0..digits.len())];
                let number = ["1e308", "-1", "99999999999999999999", "NaN", "0", "1e-308"][rng.random_range(0..6)];
                bytes.splice(place..=place, number.bytes());
            }
            "another number"
        }
        _ => {
            *bytes = (0..rng.random_range(0..512)).map(|_| rng.random()).collect();
            "noise"
        }
    }
}
