//! `VecNormalize` of Stable-Baselines3, from the pickle that its `save` writes.

use super::fault::Fault;
use super::found::Standardisation;
use super::pickle::{Id, Pickle, Value};
use super::tensors::{NumberType, Storage, Tensor, Tensors};

/// Moments and options as the pickle has them.
struct Normalize<'p, 'b> {
    pickle: &'p Pickle<'b>,
    state: Id,
}

/// Reads the standardisation of observations; `None` if it is switched off.
///
/// # Errors
/// If the bytes are not such a pickle.
pub(super) fn read(bytes: &[u8]) -> Result<Option<Standardisation>, Fault> {
    let pickle = Pickle::read(bytes)?;
    let odd = || {
        let kind = pickle.kind(pickle.root());
        Fault::usage(format!("is {kind}, not a VecNormalize of Stable-Baselines3 (its `save` writes one)"))
    };
    let Some(((_, "VecNormalize"), _, Some(state))) = pickle.object(pickle.root()) else { return Err(odd()) };
    let normalize = Normalize { pickle: &pickle, state };
    if let Some(Value::Bool(false)) = normalize.entry("norm_obs").map(|id| pickle.value(id)) {
        return Ok(None);
    }
    let moments = normalize.entry("obs_rms").ok_or_else(|| Fault::new("has no `obs_rms`"))?;
    if pickle.dict(moments).is_some() {
        return Err(Fault::usage("`obs_rms` is of observations of several parts, which environments here do not have"));
    }
    let Some((_, _, Some(moments))) = pickle.object(moments) else { return Err(odd()) };
    let array = |name: &str| {
        let array = pickle.entry(moments, name).ok_or_else(|| Fault::new("is missing"))?;
        array_of(&pickle, array)
    };
    let at = |name: &str| format!("obs_rms.{name}");
    let mean = array("mean").map_err(|fault| fault.at(at("mean")))?;
    let variance = array("var").map_err(|fault| fault.at(at("var")))?;
    let (clip, spare) = (normalize.number("clip_obs")?, normalize.number("epsilon")?);
    let scale: Vec<f64> = variance.iter().map(|variance| (variance + spare).sqrt().recip()).collect();
    let bad = |numbers: &[f64]| numbers.iter().any(|number| !number.is_finite());
    if mean.len() != scale.len() || bad(&mean) || bad(&scale) || clip.is_nan() || clip <= 0.0 {
        return Err(Fault::new("its moments are not finite, of one size and with a clip above 0"));
    }
    Ok(Some(Standardisation { from: "VecNormalize".to_owned(), mean, scale, clip }))
}

impl Normalize<'_, '_> {
    fn entry(&self, name: &str) -> Option<Id> {
        self.pickle.entry(self.state, name)
    }

    fn number(&self, name: &str) -> Result<f64, Fault> {
        let number = self.entry(name).and_then(|id| number_of(self.pickle, id));
        number.ok_or_else(|| Fault::new("is not a number").at(name))
    }
}

/// A number of Python or of NumPy.
fn number_of(pickle: &Pickle<'_>, id: Id) -> Option<f64> {
    if let Some(number) = pickle.number(id) {
        return Some(number);
    }
    let (("numpy._core.multiarray" | "numpy.core.multiarray", "scalar"), &[kind, bytes], _) = pickle.object(id)? else {
        return None;
    };
    let (kind, Value::Bytes(bytes)) = (number_type(pickle, kind)?, pickle.value(bytes)) else { return None };
    (bytes.len() == kind.width()).then(|| kind.number(bytes))
}

/// Numbers of a NumPy array of any shape, in the order of its elements.
fn array_of(pickle: &Pickle<'_>, id: Id) -> Result<Vec<f64>, Fault> {
    let odd = || Fault::new(format!("is {}, expected an array of NumPy", pickle.kind(id)));
    let (class, args, state) = pickle.object(id).ok_or_else(odd)?;
    let (shape, kind, bytes) = match (class, args, state) {
        (("numpy._core.multiarray" | "numpy.core.multiarray", "_reconstruct"), _, Some(state)) => {
            let Some(&[_, shape, kind, _, bytes]) = pickle.row(state) else { return Err(odd()) };
            (shape, kind, bytes)
        }
        (("numpy._core.numeric" | "numpy.core.numeric", "_frombuffer"), &[bytes, kind, shape, ..], _) => {
            (shape, kind, bytes)
        }
        _ => return Err(odd()),
    };
    let shape = pickle.sizes(shape).ok_or_else(odd)?;
    let kind =
        number_type(pickle, kind).ok_or_else(|| Fault::new("has numbers of another type than f4, f8, i4, i8"))?;
    let Value::Bytes(bytes) = pickle.value(bytes) else { return Err(odd()) };
    // Moments have one dimension, in which order of rows or columns does not differ.
    let tensor =
        Tensor { name: "array".to_owned(), kind, shape, strides: None, offset: 0, storage: Storage::Bytes(bytes) };
    Tensors::new(vec![tensor]).numbers(0)
}

/// A little-endian type of NumPy.
fn number_type(pickle: &Pickle<'_>, id: Id) -> Option<NumberType> {
    let (("numpy", "dtype"), &[name, ..], state) = pickle.object(id)? else { return None };
    let order = state.and_then(|state| pickle.row(state)).and_then(|state| pickle.text(*state.get(1)?));
    if order == Some(">") {
        return None;
    }
    match pickle.text(name)? {
        "f4" => Some(NumberType::F32),
        "f8" => Some(NumberType::F64),
        "i4" => Some(NumberType::I32),
        "i8" => Some(NumberType::I64),
        _ => None,
    }
}
