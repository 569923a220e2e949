//! Messages between a task and the process that draws it, each behind its length.
//!
//! The task sends a [`Setup`], then the states to draw. The process answers each with a picture, and
//! the setup with an empty one, or with the reason why there is none.

use std::io::{self, ErrorKind, Read, Write};

use crate::error::EnvError;
use crate::mujoco::camera::Camera;
use crate::state::{StateReader, StateWriter};

/// Pixels across and down, as in Gymnasium.
pub(super) const SIZE: [u32; 2] = [480, 480];

const KIND: &str = "Renderer";
/// First byte of an answer that is not a picture but a text.
const PROBLEM: u8 = 1;

/// The model and the view of it.
pub(super) struct Setup<'a> {
    pub(super) camera: Camera,
    /// MuJoCo's own binary form (MJB).
    pub(super) model: &'a [u8],
}

impl<'a> Setup<'a> {
    pub(super) fn encode(&self) -> Vec<u8> {
        let Camera { lookat, distance, elevation, follows } = self.camera;
        let [x, y, z] = lookat.unwrap_or([f64::NAN; 3]);
        let view = [x, y, z, distance.unwrap_or(f64::NAN), elevation.unwrap_or(f64::NAN)];
        let follows = follows.map_or(u64::MAX, |body| body as u64);
        StateWriter::new(KIND).numbers(&view).word(follows).bytes(self.model).finish()
    }

    pub(super) fn decode(bytes: &'a [u8]) -> Result<Self, EnvError> {
        let mut reader = StateReader::new(KIND, KIND, bytes)?;
        let mut view = [0.0; 5];
        reader.numbers(&mut view)?;
        let given = |x: f64| (!x.is_nan()).then_some(x);
        let [x, y, z, distance, elevation] = view;
        let camera = Camera {
            lookat: given(x).map(|x| [x, y, z]),
            distance: given(distance),
            elevation: given(elevation),
            follows: Some(reader.word()?).filter(|body| *body != u64::MAX).map(|body| body as usize),
        };
        let model = reader.bytes()?;
        reader.finish()?;
        Ok(Self { camera, model })
    }
}

/// Sends a message.
pub(super) fn send(to: &mut impl Write, parts: &[&[u8]]) -> io::Result<()> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    to.write_all(&(length as u64).to_le_bytes())?;
    parts.iter().try_for_each(|part| to.write_all(part))?;
    to.flush()
}

/// Waits for a message; `None` at the end of the stream.
pub(super) fn receive(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 8];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let mut message = Vec::new();
    let length = u64::from_le_bytes(length);
    from.take(length).read_to_end(&mut message)?;
    if (message.len() as u64) < length { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(Some(message)) }
}

/// Answers with a picture's bytes, or with a problem.
pub(super) fn answer(to: &mut impl Write, result: Result<&[u8], &str>) -> io::Result<()> {
    match result {
        Ok(rgb) => send(to, &[&[0], rgb]),
        Err(problem) => send(to, &[&[PROBLEM], problem.as_bytes()]),
    }
}

/// The picture's bytes in an answer, or the problem.
pub(super) fn read_answer(mut message: Vec<u8>) -> Result<Vec<u8>, String> {
    match message.first() {
        Some(&PROBLEM) => Err(String::from_utf8_lossy(&message[1..]).into_owned()),
        Some(_) => Ok(message.split_off(1)),
        None => Err("the renderer sent an empty answer".to_owned()),
    }
}

/// The numbers of a state as bytes, and back.
pub(super) fn to_bytes(state: &[f64]) -> Vec<u8> {
    state.iter().flat_map(|x| x.to_le_bytes()).collect()
}

pub(super) fn to_numbers(bytes: &[u8]) -> Vec<f64> {
    bytes.as_chunks().0.iter().map(|chunk| f64::from_le_bytes(*chunk)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_way() {
        for camera in [Camera::default(), Camera::level(3.0, 1.15).following(), Camera::at(2.04)] {
            let bytes = Setup { camera, model: &[1, 2, 3] }.encode();
            let setup = Setup::decode(&bytes).unwrap();
            assert_eq!((setup.camera, setup.model), (camera, &[1, 2, 3][..]));
        }
        let (mut stream, state) = (Vec::new(), [1.5, -2.0, f64::INFINITY]);
        send(&mut stream, &[&to_bytes(&state)]).unwrap();
        answer(&mut stream, Ok(&[7, 8])).unwrap();
        answer(&mut stream, Err("no drivers")).unwrap();
        let mut stream = &*stream;
        assert_eq!(to_numbers(&receive(&mut stream).unwrap().unwrap()), state);
        assert_eq!(read_answer(receive(&mut stream).unwrap().unwrap()), Ok(vec![7, 8]));
        assert_eq!(read_answer(receive(&mut stream).unwrap().unwrap()), Err("no drivers".to_owned()));
        assert!(receive(&mut stream).unwrap().is_none());
        assert!(receive(&mut &[9, 0, 0, 0, 0, 0, 0, 0, 1][..]).is_err(), "cut off");
    }
}
