//! The stack machine of Python's `pickletools`, with the instructions that carry data.

use std::collections::HashMap;

use super::operands::{Operands, long};
use super::{Id, Pickle, Value};
use crate::import::fault::Fault;

/// Most values of a pickle.
const VALUES: usize = 1 << 20;
/// Most times that a value is pushed.
const PUSHES: usize = 1 << 22;
/// Newest protocol.
const PROTOCOL: u8 = 5;

/// Runs the machine to its end.
pub(super) fn run(bytes: &[u8]) -> Result<Pickle<'_>, Fault> {
    let mut machine = Machine {
        operands: Operands::new(bytes),
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        pushes: 0,
    };
    if !bytes.starts_with(&[0x80]) {
        return Err(Fault::new("is not a pickle of protocol 2 or later"));
    }
    loop {
        let start = machine.operands.at;
        match machine.step() {
            Ok(None) => {}
            Ok(Some(root)) => return Ok(Pickle { values: machine.values, root }),
            Err(problem) => return Err(Fault::new(problem).at(format_args!("byte {start}"))),
        }
    }
}

struct Machine<'b> {
    operands: Operands<'b>,
    values: Vec<Value<'b>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<usize, Id>,
    pushes: usize,
}

impl<'b> Machine<'b> {
    /// Runs one instruction; returns the root at the last one.
    fn step(&mut self) -> Result<Option<Id>, String> {
        let code = self.operands.take(1)?[0];
        match code {
            // PROTO, FRAME
            0x80 => {
                let version = self.operands.take(1)?[0];
                if version > PROTOCOL {
                    return Err(format!("protocol {version} is newer than {PROTOCOL}; save with an older one"));
                }
            }
            0x95 => {
                self.operands.take(8)?;
            }
            // STOP
            b'.' => return self.pop().map(Some),
            // MARK, POP, POP_MARK, DUP
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => {
                self.above_mark()?;
            }
            b'2' => {
                let top = self.top()?;
                self.push_again(top)?;
            }
            _ => {
                if !(self.scalar(code)? || self.container(code)? || self.reference(code)?) {
                    return Err(format!("instruction {code:#04x} is not among those of a pickle that holds data"));
                }
            }
        }
        Ok(None)
    }

    /// Numbers, texts and bytes.
    fn scalar(&mut self, code: u8) -> Result<bool, String> {
        let value = match code {
            b'N' => Value::Other,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'J' => Value::Int(i64::from(i32::from_le_bytes(self.operands.array()?))),
            b'K' => Value::Int(i64::from(self.operands.take(1)?[0])),
            b'M' => Value::Int(i64::from(u16::from_le_bytes(self.operands.array()?))),
            0x8a => long(self.operands.sized(1)?),
            0x8b => long(self.operands.sized(4)?),
            b'G' => Value::Float(f64::from_be_bytes(self.operands.array()?)),
            0x8c => self.operands.text(1)?,
            b'X' => self.operands.text(4)?,
            0x8d => self.operands.text(8)?,
            b'C' => Value::Bytes(self.operands.sized(1)?),
            b'B' => Value::Bytes(self.operands.sized(4)?),
            0x8e | 0x96 => Value::Bytes(self.operands.sized(8)?),
            // Texts of Python 2.
            b'U' => self.operands.text_or_bytes(1)?,
            b'T' => self.operands.text_or_bytes(4)?,
            _ => return Ok(false),
        };
        self.push(value)?;
        Ok(true)
    }

    /// Lists, tuples, dicts and sets.
    fn container(&mut self, code: u8) -> Result<bool, String> {
        match code {
            b']' | b')' => self.push(Value::Row(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            0x8f => self.push(Value::Other)?,
            b't' | b'l' => {
                let items = self.above_mark()?;
                self.push(Value::Row(items))?;
            }
            0x91 => {
                self.above_mark()?;
                self.push(Value::Other)?;
            }
            b'd' => {
                let items = self.above_mark()?;
                self.push(Value::Dict(pairs(&items)))?;
            }
            0x85..=0x87 => {
                let count = usize::from(code - 0x84);
                let start = self.stack.len().checked_sub(count).filter(|start| *start >= self.floor());
                let items = self.stack.split_off(start.ok_or("the stack is too short")?);
                self.push(Value::Row(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.extend(&[item])?;
            }
            b'e' => {
                let items = self.above_mark()?;
                self.extend(&items)?;
            }
            // ADDITEMS: sets are not kept.
            0x90 => {
                self.above_mark()?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(&[key, value])?;
            }
            b'u' => {
                let items = self.above_mark()?;
                self.set(&items)?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The memo, names, objects and references.
    fn reference(&mut self, code: u8) -> Result<bool, String> {
        match code {
            b'q' | b'r' | 0x94 => {
                let key = if code == 0x94 {
                    self.memo.len()
                } else {
                    self.operands.number(if code == b'q' { 1 } else { 4 })?
                };
                if self.memo.len() >= VALUES {
                    return Err(format!("more than {VALUES} values are remembered"));
                }
                let top = self.top()?;
                self.memo.insert(key, top);
            }
            b'h' | b'j' => {
                let key = self.operands.number(if code == b'h' { 1 } else { 4 })?;
                let id = *self.memo.get(&key).ok_or_else(|| format!("value {key} is used before it is remembered"))?;
                self.push_again(id)?;
            }
            b'c' => {
                let (module, name) = (self.operands.line()?, self.operands.line()?);
                self.push(Value::Global { module, name })?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                match (&self.values[module], &self.values[name]) {
                    (&Value::Text(module), &Value::Text(name)) => self.push(Value::Global { module, name })?,
                    _ => return Err("a name is not a text".to_owned()),
                }
            }
            // REDUCE, NEWOBJ: a call or a new object.
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                let ordered =
                    matches!(self.values[class], Value::Global { module: "collections", name: "OrderedDict" });
                let empty = matches!(&self.values[args], Value::Row(args) if args.is_empty());
                let object = Value::Object { class, args, state: None };
                self.push(if ordered && empty { Value::Dict(Vec::new()) } else { object })?;
            }
            // NEWOBJ_EX, with keyword arguments, which are not kept.
            0x92 => {
                let (_, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.push(Value::Object { class, args, state: None })?;
            }
            b'b' => {
                let (given, object) = (self.pop()?, self.top()?);
                if let Value::Object { state, .. } = &mut self.values[object] {
                    *state = Some(given);
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn push(&mut self, value: Value<'b>) -> Result<(), String> {
        if self.values.len() >= VALUES {
            return Err(format!("the pickle has more than {VALUES} values"));
        }
        self.values.push(value);
        self.push_again(self.values.len() - 1)
    }

    fn push_again(&mut self, id: Id) -> Result<(), String> {
        self.pushes += 1;
        if self.pushes > PUSHES {
            return Err(format!("the pickle takes more than {PUSHES} steps"));
        }
        self.stack.push(id);
        Ok(())
    }

    /// Height of the stack at the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn top(&self) -> Result<Id, String> {
        let top = self.stack[self.floor()..].last();
        top.copied().ok_or_else(|| "the stack is empty".to_owned())
    }

    fn pop(&mut self) -> Result<Id, String> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    /// Pops everything above the last mark, and the mark.
    fn above_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().ok_or("there is no mark")?;
        Ok(self.stack.split_off(mark))
    }

    /// Adds items to the list at the top; objects that take items are not looked into.
    fn extend(&mut self, items: &[Id]) -> Result<(), String> {
        let list = self.top()?;
        if let Value::Row(list) = &mut self.values[list] {
            list.extend_from_slice(items);
        }
        Ok(())
    }

    /// Adds keys and values to the dict at the top; objects that take items are not looked into.
    fn set(&mut self, items: &[Id]) -> Result<(), String> {
        if !items.len().is_multiple_of(2) {
            return Err("a key has no value".to_owned());
        }
        let dict = self.top()?;
        if let Value::Dict(entries) = &mut self.values[dict] {
            entries.extend(pairs(items));
        }
        Ok(())
    }
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()
}
