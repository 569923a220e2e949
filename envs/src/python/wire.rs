//! Frames between this program and a worker, in the machine's byte order. worker.py has the other end.
//!
//! | request | bytes |
//! | --- | --- |
//! | step | 1 and seven unused bytes, then the action as f64 |
//! | any other | the operation, its payload's length in seven bytes, the payload |
//!
//! | reply | words of 8 bytes |
//! | --- | --- |
//! | to a step or reset | flags (1 terminated, 2 truncated), reward, observation, infos, all but the flags f64 |
//! | payload | 254, length, so many bytes |
//! | error | 255, length, so many bytes of JSON |
//!
//! The first request is its length and so many bytes of JSON: the environment to make. The first reply
//! follows [`MAGIC`], so that what an interpreter's start-up prints is told apart.

/// Before the first reply.
pub(super) const MAGIC: &[u8; 16] = b"liprl-worker-1\n\0";
/// First word of a reply with a payload.
pub(super) const PAYLOAD: u64 = 254;
/// First word of a reply that reports an error.
pub(super) const ERROR: u64 = 255;
/// Bytes of a word.
pub(super) const WORD: usize = 8;

const STEP: u8 = 1;

/// Requests besides steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    /// JSON of seed and options; answered by a row.
    Reset = 2,
    /// Answered by width and height as u32, and RGB bytes.
    Render = 3,
    /// Answered by the steps since the reset as u64 and the state, or by nothing.
    GetState = 4,
    /// Seed and steps as u64, and the state.
    SetState = 5,
    /// A folder's path.
    WorkIn = 6,
}

/// The frame of a step, for so many action numbers; [`set_action`] fills it.
pub(super) fn step_frame(act_dim: usize) -> Vec<u8> {
    let mut frame = vec![0; WORD * (1 + act_dim)];
    frame[0] = STEP;
    frame
}

/// Writes an action into a step's frame.
pub(super) fn set_action(frame: &mut [u8], action: &[f64]) {
    for (bytes, x) in frame[WORD..].chunks_exact_mut(WORD).zip(action) {
        bytes.copy_from_slice(&x.to_ne_bytes());
    }
}

/// The frame of another request.
pub(super) fn request(operation: Operation, payload: &[u8]) -> Vec<u8> {
    let length = payload.len() as u64;
    let mut frame = vec![operation as u8];
    // Seven bytes of the length, in the machine's order.
    let bytes = length.to_ne_bytes();
    frame.extend(if cfg!(target_endian = "little") { &bytes[..WORD - 1] } else { &bytes[1..] });
    frame.extend(payload);
    frame
}

/// The word at an index of a reply.
pub(super) fn word(bytes: &[u8], index: usize) -> u64 {
    let bytes = bytes.get(WORD * index..).and_then(|rest| rest.first_chunk());
    bytes.map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

/// The numbers of a reply from an index on, as many as `out` holds.
pub(super) fn numbers(bytes: &[u8], index: usize, out: &mut [f64]) {
    for (x, bytes) in out.iter_mut().zip(bytes[WORD * index..].chunks_exact(WORD)) {
        *x = bytes.first_chunk().map_or(f64::NAN, |bytes| f64::from_ne_bytes(*bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_laid_out_as_written() {
        let mut frame = step_frame(2);
        set_action(&mut frame, &[1.5, -2.0]);
        let (mut read, rest) = ([0.0; 2], &frame[WORD..]);
        numbers(rest, 0, &mut read);
        assert_eq!((frame[0], frame.len(), read), (1, 24, [1.5, -2.0]));
        let frame = request(Operation::Reset, b"abc");
        assert_eq!((frame[0], &frame[8..]), (2, &b"abc"[..]));
        assert_eq!(frame[1..8].iter().map(|&b| u32::from(b)).sum::<u32>(), 3);
        assert_eq!(word(&frame[8..], 0), 0, "too short for a word");
    }
}
