//! Protocol buffers as fields on their bytes.
//!
//! Parsers that make structs of whole messages need memory for each empty message of two bytes. Here
//! nothing is kept but what is asked for.

use crate::import::fault::Fault;

/// One field of a message.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Field<'b> {
    /// A whole number, or half of a float's bits.
    Number(u64),
    /// A text, a message or packed numbers.
    Bytes(&'b [u8]),
}

impl<'b> Field<'b> {
    /// The bytes; none for a number.
    pub(super) fn bytes(self) -> &'b [u8] {
        if let Self::Bytes(bytes) = self { bytes } else { &[] }
    }

    /// The text; empty if it is not UTF-8.
    pub(super) fn text(self) -> &'b str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The number; 0 for bytes.
    pub(super) fn number(self) -> u64 {
        if let Self::Number(number) = self { number } else { 0 }
    }
}

/// The fields of a message with their numbers.
pub(super) struct Fields<'b> {
    bytes: &'b [u8],
    at: usize,
}

/// Iterates over the fields of a message.
pub(super) fn fields(bytes: &[u8]) -> Fields<'_> {
    Fields { bytes, at: 0 }
}

impl<'b> Fields<'b> {
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let byte = *self.bytes.get(self.at)?;
            self.at += 1;
            number |= u64::from(byte & 0x7f) << (7 * place);
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }

    fn take(&mut self, count: usize) -> Option<&'b [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        Some(taken)
    }

    fn field(&mut self) -> Option<(u64, Field<'b>)> {
        let key = self.varint()?;
        let little = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte));
        let field = match key & 7 {
            0 => Field::Number(self.varint()?),
            1 => Field::Number(little(self.take(8)?)),
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Field::Bytes(self.take(length)?)
            }
            5 => Field::Number(little(self.take(4)?)),
            _ => return None,
        };
        Some((key >> 3, field))
    }
}

impl<'b> Iterator for Fields<'b> {
    type Item = Result<(u64, Field<'b>), Fault>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let start = self.at;
        let field = self.field();
        if field.is_none() {
            self.at = self.bytes.len();
        }
        Some(
            field.ok_or_else(|| Fault::new(format!("byte {start} of a message: is not a protocol buffer, or cut off"))),
        )
    }
}

/// Whole numbers that stand packed in one field or in a field each; at most so many.
pub(super) fn numbers(field: Field<'_>, most: usize) -> Result<Vec<u64>, Fault> {
    let Field::Bytes(bytes) = field else { return Ok(vec![field.number()]) };
    let mut packed = fields(bytes);
    let mut numbers = Vec::new();
    while packed.at < bytes.len() {
        if numbers.len() == most {
            return Err(Fault::new(format!("a list has more than {most} numbers")));
        }
        numbers.push(packed.varint().ok_or_else(|| Fault::new("packed numbers are cut off"))?);
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_by_hand() {
        // 1: 300, 2: "ab", 5: 1.0 in 32 bits, 6: 2 in 64 bits.
        let bytes = [0x08, 0xac, 0x02, 0x12, 2, b'a', b'b', 0x2d, 0, 0, 0x80, 0x3f, 0x31, 2, 0, 0, 0, 0, 0, 0, 0];
        let found: Vec<_> = fields(&bytes).map(Result::unwrap).collect();
        let one = u64::from(1f32.to_bits());
        let wanted =
            [(1, Field::Number(300)), (2, Field::Bytes(b"ab")), (5, Field::Number(one)), (6, Field::Number(2))];
        assert_eq!(found, wanted);
        assert_eq!(numbers(Field::Bytes(&[1, 0xac, 0x02]), 2).unwrap(), [1, 300]);
        assert!(numbers(Field::Bytes(&[1, 2, 3]), 2).is_err());
        for cut in [1, 2, 4, 6, 9, 20] {
            assert!(fields(&bytes[..cut]).any(|field| field.is_err()), "{cut}");
        }
        assert!(fields(&[0x0b]).any(|field| field.is_err()) && numbers(Field::Bytes(&[0x80]), 9).is_err());
    }
}
