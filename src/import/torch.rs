//! Files of Python's `torch.save`: a ZIP archive of a pickle and the storages it refers to.

use std::collections::HashSet;

use liprl_logbook::ZipArchive;

use super::fault::Fault;
use super::pickle::{Id, Pickle, Value};
use super::tensors::{ARRAYS, NumberType, Storage, Tensor, Tensors};

/// Most bytes of the pickle.
const PICKLE: usize = 64 << 20;
/// Deepest nesting that is looked into.
const DEEPEST: usize = 32;
/// First bytes of files of torch up to 1.5.
const LEGACY: &[u8] = &[0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// True for a file of torch up to 1.5, which is not an archive.
pub(super) fn is_legacy(bytes: &[u8]) -> bool {
    bytes.starts_with(LEGACY)
}

/// Name of the pickle in an archive, if it is one of torch.
pub(super) fn pickle_name<'z>(zip: &'z ZipArchive<'_>) -> Option<&'z str> {
    zip.names().find(|name| *name == "data.pkl" || name.ends_with("/data.pkl"))
}

/// Reads the arrays of an archive. Keys of nested dicts and places in tuples are joined by dots.
///
/// # Errors
/// If the archive is damaged, of another kind, or without arrays.
pub(super) fn read<'b>(zip: &ZipArchive<'b>) -> Result<Tensors<'b>, Fault> {
    let name = pickle_name(zip).ok_or_else(|| Fault::new("is a ZIP archive without data.pkl, so not of torch.save"))?;
    let folder = name.strip_suffix("data.pkl").unwrap_or_default();
    let file = |name: &str| zip.get(&format!("{folder}{name}"));
    if file("constants.pkl").is_some() {
        return Err(Fault::new(
            "is TorchScript, whose layers are code; save the module's `state_dict()` with torch.save, or as ONNX",
        ));
    }
    let unpack = |name: &str, limit: usize| {
        file(name).map(|file| file.unpack(limit).map_err(|problem| Fault::new(problem).at(name))).transpose()
    };
    if unpack("byteorder", 16)?.is_some_and(|order| order.starts_with(b"big")) {
        return Err(Fault::new("was written on a big-endian machine; load and save it on another one"));
    }
    let bytes = unpack("data.pkl", PICKLE)?.unwrap_or_default();
    let pickle = Pickle::read(&bytes).map_err(|fault| fault.at("data.pkl"))?;
    let mut walk = Walk { zip, folder, pickle: &pickle, seen: HashSet::new(), found: Vec::new() };
    walk.visit(pickle.root(), String::new(), 0).map_err(|fault| fault.at("data.pkl"))?;
    if walk.found.is_empty() {
        let kind = pickle.kind(pickle.root());
        return Err(Fault::new(format!(
            "holds {kind} and no arrays in dicts; a whole module is code: save its `state_dict()` with torch.save"
        )));
    }
    Ok(Tensors::new(walk.found))
}

struct Walk<'w, 'b> {
    zip: &'w ZipArchive<'b>,
    folder: &'w str,
    pickle: &'w Pickle<'w>,
    seen: HashSet<Id>,
    found: Vec<Tensor<'b>>,
}

impl<'b> Walk<'_, 'b> {
    fn visit(&mut self, id: Id, name: String, depth: usize) -> Result<(), Fault> {
        if depth > DEEPEST {
            return Ok(());
        }
        let below = |key: &str| if name.is_empty() { key.to_owned() } else { format!("{name}.{key}") };
        match self.pickle.value(id) {
            Value::Dict(entries) if self.seen.insert(id) => {
                for &(key, value) in entries {
                    let key = match self.pickle.value(key) {
                        Value::Text(key) => (*key).to_owned(),
                        Value::Int(key) => key.to_string(),
                        _ => continue,
                    };
                    self.visit(value, below(&key), depth + 1)?;
                }
            }
            Value::Row(items) if self.seen.insert(id) => {
                for (place, &item) in items.iter().enumerate() {
                    self.visit(item, below(&place.to_string()), depth + 1)?;
                }
            }
            Value::Object { .. } => match self.pickle.object(id) {
                Some((("torch._utils", "_rebuild_parameter"), &[data, ..], _)) => self.visit(data, name, depth + 1)?,
                Some((("torch._utils", "_rebuild_tensor_v2"), args, _)) => {
                    if self.found.len() >= ARRAYS {
                        return Err(Fault::new(format!("there are more than {ARRAYS} arrays")));
                    }
                    let tensor = self.tensor(args, &name).map_err(|fault| fault.at(format_args!("`{name}`")))?;
                    self.found.extend(tensor);
                }
                _ => {}
            },
            _ => {}
        }
        Ok(())
    }

    /// The array of these arguments: storage, offset, size, strides, …; `None` for a type of numbers
    /// that no weight has.
    fn tensor(&self, args: &[Id], name: &str) -> Result<Option<Tensor<'b>>, Fault> {
        let pickle = self.pickle;
        let odd = || Fault::new("the array is described in an unknown way");
        let &[storage, offset, shape, strides, ..] = args else { return Err(odd()) };
        let Value::Persistent(storage) = pickle.value(storage) else { return Err(odd()) };
        let Some(&[_, kind, key, ..]) = pickle.row(*storage) else { return Err(odd()) };
        let (kind, key) = pickle.global(kind).zip(pickle.text(key)).ok_or_else(odd)?;
        let kind = match kind.1 {
            "FloatStorage" => NumberType::F32,
            "DoubleStorage" => NumberType::F64,
            "HalfStorage" => NumberType::F16,
            "BFloat16Storage" => NumberType::Bf16,
            "LongStorage" => NumberType::I64,
            "IntStorage" => NumberType::I32,
            "ByteStorage" | "BoolStorage" => NumberType::U8,
            _ => return Ok(None),
        };
        let file = self.zip.get(&format!("{}data/{key}", self.folder));
        let file = file.ok_or_else(|| Fault::new(format!("the archive has no data/{key}")))?;
        Ok(Some(Tensor {
            name: name.to_owned(),
            kind,
            shape: pickle.sizes(shape).ok_or_else(odd)?,
            strides: Some(pickle.sizes(strides).ok_or_else(odd)?),
            offset: pickle.size(offset).ok_or_else(odd)?,
            storage: Storage::Packed(file.clone()),
        }))
    }
}
