//! Framing of event files (TFRecord): length, its checksum, the data, their checksum. All are
//! little-endian; checksums are masked CRC-32C.

use std::io::{self, Read};

use thiserror::Error;

use crate::read::limits;

/// Bytes around the data of one record.
const FRAME: usize = 16;
/// Longest record that is read; a damaged length would otherwise ask for terabytes.
const LONGEST: u64 = limits::ENTRY;

/// Frames `data` as one record.
pub(crate) fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    let mut record = Vec::with_capacity(data.len() + FRAME);
    record.extend(length);
    record.extend(masked(&length).to_le_bytes());
    record.extend(data);
    record.extend(masked(data).to_le_bytes());
    record
}

/// Checksum as the format stores it, so that data with checksums can be checked too: rotated right
/// by 15 bits, plus a constant.
fn masked(data: &[u8]) -> u32 {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// Reason why no further record can be read.
#[derive(Debug, Error)]
pub enum RecordError {
    /// The file ends within a record: it was cut off, or is still being written.
    #[error("the file ends within the record at byte {0}")]
    Torn(u64),
    /// A checksum does not match.
    #[error("the record at byte {0} is damaged")]
    Damaged(u64),
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Records of an event file, up to its end or to the first that is not whole.
#[derive(Debug)]
pub struct Records<R> {
    file: R,
    position: u64,
    over: bool,
}

impl<R: Read> Records<R> {
    /// Reads from the start of an event file.
    pub fn new(file: R) -> Self {
        Self { file, position: 0, over: false }
    }

    /// End of the last whole record, in bytes from the start.
    pub fn position(&self) -> u64 {
        self.position
    }

    fn read(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let mut head = [0; 12];
        match self.fill(&mut head)? {
            0 => return Ok(None),
            12 => {}
            _ => return Err(RecordError::Torn(self.position)),
        }
        let (length, checksum) = head.split_at(8);
        let size = u64::from_le_bytes(length.try_into().unwrap_or_default());
        if masked(length).to_le_bytes() != checksum || size > LONGEST {
            return Err(RecordError::Damaged(self.position));
        }
        // Memory grows with what is there, not with what the length promises.
        let mut data = Vec::new();
        if self.file.by_ref().take(size + 4).read_to_end(&mut data)? < size as usize + 4 {
            return Err(RecordError::Torn(self.position));
        }
        let checksum = data.split_off(size as usize);
        if masked(&data).to_le_bytes() != checksum[..] {
            return Err(RecordError::Damaged(self.position));
        }
        self.position += size + FRAME as u64;
        Ok(Some(data))
    }

    /// Reads until `buffer` is full or the file ends. Returns the number of bytes.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(n) => filled += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Vec<u8>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let record = self.read().transpose();
        self.over = !matches!(record, Some(Ok(_)));
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_of_a_known_record() {
        // CRC-32C of "123456789" is 0xe3069283 (RFC 3720); rotated and shifted by the constant in
        // Python.
        assert_eq!(masked(b"123456789"), 0xc78a_b0e5);
    }

    #[test]
    fn a_file_cut_anywhere_gives_its_whole_records() {
        let records: Vec<Vec<u8>> = [0_usize, 1, 5, 300].iter().map(|&n| vec![n as u8; n]).collect();
        let file: Vec<u8> = records.iter().flat_map(|r| framed(r)).collect();
        for cut in 0..=file.len() {
            let mut reader = Records::new(&file[..cut]);
            let read: Vec<_> = reader.by_ref().map_while(Result::ok).collect();
            assert_eq!(read, records[..read.len()]);
            let ends = read.iter().map(|r| r.len() + FRAME).sum::<usize>();
            assert_eq!(reader.position(), ends as u64);
            assert!(read.len() == 4 || cut < ends + records[read.len()].len() + FRAME);
        }
    }

    #[test]
    fn any_changed_byte_is_found() {
        let file: Vec<u8> = [framed(b"first"), framed(b"second")].concat();
        for at in 0..file.len() {
            let mut changed = file.clone();
            changed[at] ^= 0x20;
            let whole = if at < 21 { 0 } else { 1 };
            let read: Vec<_> = Records::new(&changed[..]).collect();
            assert_eq!(read.len(), whole + 1, "byte {at}");
            assert!(matches!(read[whole], Err(RecordError::Damaged(_))), "byte {at}: {:?}", read[whole]);
        }
    }
}
