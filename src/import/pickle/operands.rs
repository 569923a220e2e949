//! The bytes of a pickle, one operand after another. Every length is checked against what is left.

use super::Value;

/// A place in the bytes.
pub(super) struct Operands<'b> {
    bytes: &'b [u8],
    pub(super) at: usize,
}

impl<'b> Operands<'b> {
    /// The first byte.
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'b [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the pickle is cut off")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.take(N)?.try_into().map_err(|_| "the pickle is cut off".to_owned())
    }

    /// A number of this many bytes, without a sign.
    pub(super) fn number(&mut self, width: usize) -> Result<usize, String> {
        let number = self.take(width)?.iter().rev().fold(0_u64, |number, byte| (number << 8) | u64::from(*byte));
        usize::try_from(number).map_err(|_| "a size is too large".to_owned())
    }

    /// Bytes after their length, which has this many bytes.
    pub(super) fn sized(&mut self, width: usize) -> Result<&'b [u8], String> {
        let length = self.number(width)?;
        self.take(length)
    }

    pub(super) fn text(&mut self, width: usize) -> Result<Value<'b>, String> {
        // Python writes lone surrogates too.
        Ok(std::str::from_utf8(self.sized(width)?).map_or(Value::Other, Value::Text))
    }

    pub(super) fn text_or_bytes(&mut self, width: usize) -> Result<Value<'b>, String> {
        let bytes = self.sized(width)?;
        Ok(std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text))
    }

    /// The rest of a line.
    pub(super) fn line(&mut self) -> Result<&'b str, String> {
        let length = self.bytes[self.at..].iter().position(|byte| *byte == b'\n').ok_or("the pickle is cut off")?;
        let line = self.take(length)?;
        self.take(1)?;
        std::str::from_utf8(line).map_err(|_| "a name is not UTF-8".to_owned())
    }
}

/// A whole number of any length, little-endian in two's complement.
pub(super) fn long<'b>(bytes: &[u8]) -> Value<'b> {
    if bytes.len() > 8 {
        return Value::Other;
    }
    let fill = if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xff } else { 0 };
    let mut wide = [fill; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(wide))
}
