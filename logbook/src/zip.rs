//! Files of a ZIP archive in memory, stored or deflated, as NumPy, PyTorch and Stable-Baselines3
//! write them.

use std::borrow::Cow;
use std::io::Read;

use flate2::{Crc, read::DeflateDecoder};

/// Bytes of the record that ends an archive, without its comment.
const END: usize = 22;
/// Longest comment after it.
const COMMENT: usize = u16::MAX as usize;
/// Sizes that stand for larger ones elsewhere (ZIP64).
const BEYOND: usize = u32::MAX as usize;

/// An archive's files, in its directory's order.
#[derive(Clone, Debug)]
pub struct ZipArchive<'b> {
    files: Vec<ZipFile<'b>>,
}

/// One file of an archive.
#[derive(Clone, Debug)]
pub struct ZipFile<'b> {
    name: String,
    method: usize,
    packed: &'b [u8],
    size: usize,
    checksum: u32,
}

impl<'b> ZipArchive<'b> {
    /// True if the bytes begin as an archive does.
    pub fn begins(bytes: &[u8]) -> bool {
        bytes.starts_with(b"PK\x03\x04")
    }

    /// Reads the directory at the archive's end.
    ///
    /// # Errors
    /// The problem, if the archive is cut off, damaged or larger than 4 GiB.
    pub fn read(bytes: &'b [u8]) -> Result<Self, String> {
        let from = bytes.len().saturating_sub(END + COMMENT);
        let last = bytes.len().checked_sub(END);
        let end = last.and_then(|last| (from..=last).rev().find(|&at| bytes[at..].starts_with(b"PK\x05\x06")));
        let end = end.ok_or("is a ZIP archive without its end: it is cut off")?;
        let damaged = |at: usize| format!("byte {at}: the ZIP archive's directory is damaged");
        let (count, mut at) = short(bytes, end + 10).zip(long(bytes, end + 16)).ok_or_else(|| damaged(end))?;
        let mut files = Vec::new();
        for _ in 0..count {
            let (file, next) = entry(bytes, at).ok_or_else(|| damaged(at))?;
            files.push(file);
            at = next;
        }
        Ok(Self { files })
    }

    /// The file of this name; the last one if there are several.
    pub fn get(&self, name: &str) -> Option<&ZipFile<'b>> {
        self.files.iter().rev().find(|file| file.name == name)
    }

    /// Names of all files.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|file| &file.name[..])
    }
}

impl<'b> ZipFile<'b> {
    /// The name in the archive.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The content.
    ///
    /// # Errors
    /// The problem, if it is damaged, packed in another way, or longer than `limit`.
    pub fn unpack(&self, limit: usize) -> Result<Cow<'b, [u8]>, String> {
        if self.size > limit {
            return Err(format!("has {} bytes, more than the {limit} that it may have", self.size));
        }
        let content = match self.method {
            0 => Cow::Borrowed(self.packed),
            8 => {
                let mut content = Vec::new();
                // No more than the directory promises is unpacked.
                let packed = DeflateDecoder::new(self.packed);
                packed.take(self.size as u64 + 1).read_to_end(&mut content).map_err(|error| error.to_string())?;
                Cow::Owned(content)
            }
            method => return Err(format!("is packed by method {method}, expected 0 (stored) or 8 (deflated)")),
        };
        let mut checksum = Crc::new();
        checksum.update(&content);
        if content.len() != self.size || checksum.sum() != self.checksum {
            return Err("is damaged: size or checksum differ from the archive's directory".to_owned());
        }
        Ok(content)
    }
}

/// The directory's entry at a place, and the place of the next one.
fn entry(bytes: &[u8], at: usize) -> Option<(ZipFile<'_>, usize)> {
    if !bytes.get(at..)?.starts_with(b"PK\x01\x02") {
        return None;
    }
    let (packed, size) = (long(bytes, at + 20)?, long(bytes, at + 24)?);
    let (name, local) = (short(bytes, at + 28)?, long(bytes, at + 42)?);
    if packed.max(size).max(local) >= BEYOND {
        return None;
    }
    // The local header may have other extra fields than the directory.
    let data = local + 30 + short(bytes, local + 26)? + short(bytes, local + 28)?;
    let file = ZipFile {
        name: String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned(),
        method: short(bytes, at + 10)?,
        packed: bytes.get(data..data.checked_add(packed)?)?,
        size,
        checksum: long(bytes, at + 16)? as u32,
    };
    Some((file, at + 46 + name + short(bytes, at + 30)? + short(bytes, at + 32)?))
}

fn short(bytes: &[u8], at: usize) -> Option<usize> {
    Some(usize::from(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?)))
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written by Python's `zipfile`: `a.txt` with "hello" stored, `b` with 1,000 times "ab"
    /// deflated.
    const ARCHIVE: &[&str] = &[
        "504b03041400000000000000210086a61036050000000500000005000000612e74787468656c6c6f504b030414000000",
        "08000000210073abb7c912000000d007000001000000624b4c4a1c85a370148ec251380a47e1108700504b0102140314",
        "00000000000000210086a610360500000005000000050000000000000000000000800100000000612e747874504b0102",
        "14031400000008000000210073abb7c912000000d007000001000000000000000000000080012800000062504b050600",
        "0000000200020062000000590000000000",
    ];

    fn archive() -> Vec<u8> {
        let digits = ARCHIVE.concat();
        (0..digits.len()).step_by(2).map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap()).collect()
    }

    #[test]
    fn stored_and_deflated_files_are_read() {
        let bytes = archive();
        let zip = ZipArchive::read(&bytes).unwrap();
        assert_eq!(zip.names().collect::<Vec<_>>(), ["a.txt", "b"]);
        assert_eq!(*zip.get("a.txt").unwrap().unpack(5).unwrap(), *b"hello");
        assert_eq!(*zip.get("b").unwrap().unpack(2000).unwrap(), *b"ab".repeat(1000));
        assert!(zip.get("c").is_none());
        assert!(zip.get("b").unwrap().unpack(1999).unwrap_err().contains("2000 bytes, more than the 1999"));
    }

    #[test]
    fn damage_is_noticed() {
        let whole = archive();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            let Ok(zip) = ZipArchive::read(&bytes) else { continue };
            for (name, content) in [("a.txt", &b"hello"[..]), ("b", &b"ab".repeat(1000))] {
                if let Some(Ok(found)) = zip.get(name).map(|file| file.unpack(4000)) {
                    assert_eq!(*found, *content, "byte {at}");
                }
            }
            assert!(ZipArchive::read(&whole[..at]).is_err());
        }
    }

    #[test]
    fn what_is_not_an_archive_is_refused() {
        for bytes in [&b""[..], b"PK\x03\x04", b"PK\x05\x06", &[b'x'; 40]] {
            assert!(ZipArchive::read(bytes).unwrap_err().contains("without its end"));
        }
        let mut empty = b"PK\x05\x06".to_vec();
        empty.resize(END, 0);
        assert_eq!(ZipArchive::read(&empty).unwrap().names().count(), 0);
        empty[10] = 1;
        assert!(ZipArchive::read(&empty).unwrap_err().contains("byte 0: the ZIP archive's directory is damaged"));
    }
}
