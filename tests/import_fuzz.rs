//! Damaged files of every format that `liprl import` reads: no panic, no hang, at most 1 GB of memory,
//! and a message that names the file and the place.

// Test code fails by panicking, and the shared helpers serve other tests too.
#![allow(clippy::expect_used, clippy::panic, dead_code)]

#[path = "torture/damage.rs"]
mod damage;
#[path = "cli/runs.rs"]
mod runs;
#[path = "cli/support.rs"]
mod support;

use std::path::Path;

use damage::damage;
use liprl::import::{ImportOptions, Squash, mapping};
use liprl_logbook::{ZipArchive, peak_memory_bytes};
use liprl_numerics::{Activation, Streams};

/// Damaged copies of each file.
const COPIES: usize = 200;
/// Most memory of the whole test.
const MEMORY: u64 = 1 << 30;

/// CRC-32 of ZIP archives, bit by bit.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            sum = if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 };
        }
    }
    !sum
}

/// A ZIP archive of stored files.
fn zip(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let (mut all, mut directory) = (Vec::new(), Vec::new());
    let short = |n: usize| (n as u16).to_le_bytes();
    let long = |n: usize| (n as u32).to_le_bytes();
    for (name, bytes) in files {
        let at = all.len();
        let facts = [
            &[0; 2][..],
            &[0; 4],
            &checksum(bytes).to_le_bytes(),
            &long(bytes.len()),
            &long(bytes.len()),
            &short(name.len()),
            &[0; 2],
        ]
        .concat();
        all.extend([&b"PK\x03\x04\x14\0\0\0"[..], &facts, name.as_bytes(), bytes].concat());
        directory.extend([&b"PK\x01\x02\x14\0\x14\0\0\0"[..], &facts, &[0; 10], &long(at), name.as_bytes()].concat());
    }
    let ends = [
        &b"PK\x05\x06\0\0\0\0"[..],
        &short(files.len()),
        &short(files.len()),
        &long(directory.len()),
        &long(all.len()),
        &[0; 2],
    ]
    .concat();
    [all, directory, ends].concat()
}

/// An archive with one file of it changed, however deep: `archive/data.pkl`, or a file of the
/// archive `policy.pth` in an archive.
fn with_changed(bytes: &[u8], wanted: &str, change: &mut impl FnMut(&mut Vec<u8>)) -> Vec<u8> {
    let archive = ZipArchive::read(bytes).expect("an archive");
    let files = archive.names().map(|name| {
        let mut content = archive.get(name).expect("a file").unpack(1 << 30).expect("whole").into_owned();
        if name == wanted || name.ends_with(&format!("/{wanted}")) {
            change(&mut content);
        } else if name == "policy.pth" {
            content = with_changed(&content, wanted, change);
        }
        (name.to_owned(), content)
    });
    zip(&files.collect::<Vec<_>>())
}

/// Reads a damaged file; a refusal has to name it and say something about it.
fn read_well(path: &Path, options: &ImportOptions, damaged: &Path, how: &str) -> bool {
    let Err(error) = mapping(path, options) else { return true };
    let told = format!("{error:#}");
    let rest = told.strip_prefix(&format!("{}: ", damaged.display()));
    assert!(rest.is_some_and(|rest| rest.len() > 10), "{how}: {told}");
    false
}

#[test]
fn damaged_files_are_read_or_refused() {
    let files = runs::foreign_files("foreign_fuzz");
    let folder = tempfile::tempdir().expect("a folder");
    let mut rng = Streams::new(11).rng("damage");
    let free =
        ImportOptions { activation: Some(Activation::Relu), squash: Some(Squash::Tanh), ..ImportOptions::default() };
    let (plain, chosen) = (ImportOptions::default(), ImportOptions { prefix: Some("nets.pi.".into()), ..free.clone() });
    let original = |name: &str| std::fs::read(files.join(name)).expect("a file");
    let mut good = 0;
    for (name, options, within) in [
        ("sac.zip", &plain, None),
        ("sac.zip", &plain, Some("data")),
        ("ppo.zip", &plain, Some("data.pkl")),
        ("cleanrl_td3.cleanrl_model", &plain, None),
        ("cleanrl_td3.cleanrl_model", &plain, Some("data.pkl")),
        ("rsl_rl.pt", &plain, Some("data.pkl")),
        ("strided.pt", &chosen, Some("data.pkl")),
        ("half.safetensors", &free, None),
        ("fast.onnx", &plain, None),
        ("by_hand.onnx", &plain, None),
    ] {
        let bytes = original(name);
        let file = folder.path().join(name);
        std::fs::write(&file, with_unchanged(&bytes, within)).expect("written");
        mapping(&file, options).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        for copy in 0..COPIES {
            let mut how = "";
            let mut change = |bytes: &mut Vec<u8>| how = damage(bytes, &mut rng);
            let damaged = match within {
                Some(wanted) => with_changed(&bytes, wanted, &mut change),
                None => {
                    let mut bytes = bytes.clone();
                    change(&mut bytes);
                    bytes
                }
            };
            std::fs::write(&file, damaged).expect("written");
            good += usize::from(read_well(&file, options, &file, &format!("{name}, {within:?}, copy {copy}, {how}")));
        }
    }
    for name in ["vec_normalize.pkl", "protocol_5.pkl"] {
        let file = folder.path().join(name);
        let options = ImportOptions { normaliser: Some(file.clone()), ..ImportOptions::default() };
        for copy in 0..COPIES {
            let mut bytes = original(name);
            let how = damage(&mut bytes, &mut rng);
            std::fs::write(&file, bytes).expect("written");
            good +=
                usize::from(read_well(&files.join("ppo.zip"), &options, &file, &format!("{name}, copy {copy}, {how}")));
        }
    }
    assert!(good > 100, "{good}: some damage changes nothing that is read");
    let peak = peak_memory_bytes().expect("known on Linux");
    assert!(peak < MEMORY, "{peak} bytes");
}

fn with_unchanged(bytes: &[u8], within: Option<&str>) -> Vec<u8> {
    within.map_or_else(|| bytes.to_vec(), |wanted| with_changed(bytes, wanted, &mut |_| ()))
}

/// Sizes that promise more than a file has.
#[test]
fn promises_of_size_take_no_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let tensor = |shape: &str, stride: &str| {
        let storage = "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ\x04\0\0\0tQ";
        let call = format!("ctorch._utils\n_rebuild_tensor_v2\n({storage}K\0{shape}{stride}\u{89}NtR");
        // The text holds the byte 0x89 as two.
        let bytes: Vec<u8> = call.chars().map(|letter| letter as u8).collect();
        [&b"\x80\x02}X\x08\0\0\x00a.weight"[..], &bytes, b"s."].concat()
    };
    let huge = "(J\u{ff}\u{ff}\u{ff}\u{7f}J\u{ff}\u{ff}\u{ff}\u{7f}t";
    for (name, shape, stride, wanted) in [
        ("sound.pt", "(K\x02K\x02t", "(K\x02K\x01t", ""),
        ("product.pt", huge, "(K\0K\0t", "more than 16777216 numbers are to be read"),
        ("repeated.pt", "(J\0\0\0\x08K\x01t", "(K\0K\0t", "more than 16777216 numbers are to be read"),
        ("beyond.pt", "(K\x02K\x03t", "(K\x03K\x01t", "reaches beyond its numbers"),
    ] {
        let file = folder.path().join(name);
        let parts = [("a/data.pkl".to_owned(), tensor(shape, stride)), ("a/data/0".to_owned(), vec![0; 16])];
        std::fs::write(&file, zip(&parts)).expect("written");
        let told = mapping(&file, &ImportOptions { squash: Some(Squash::None), ..ImportOptions::default() });
        match wanted {
            "" => assert!(told.as_ref().is_ok_and(|told| told.contains('a')), "{told:?}"),
            _ => {
                let told = format!("{:#}", told.expect_err("too large"));
                assert!(told.contains(wanted) && told.contains("`a.weight`"), "{told}");
            }
        }
    }
    // A deflated file that promises little and unpacks to much, and one that promises too much.
    let bomb = folder.path().join("bomb.zip");
    let script = "import sys, zipfile\n\
                  z = zipfile.ZipFile(sys.argv[1], 'w', zipfile.ZIP_DEFLATED)\n\
                  z.writestr('a/data.pkl', bytes(300 << 20))";
    let mut python = std::process::Command::new(runs::python());
    python.args(["-c", script, support::text(&bomb)]);
    assert_eq!(support::finish(python).0, 0);
    let told = format!("{:#}", mapping(&bomb, &ImportOptions::default()).expect_err("too large"));
    assert!(told.contains("data.pkl: has 314572800 bytes, more than the 67108864"), "{told}");
    let mut bytes = std::fs::read(&bomb).expect("a file");
    let size = (300_u32 << 20).to_le_bytes();
    let places: Vec<usize> = (0..bytes.len() - 4).filter(|at| bytes[*at..*at + 4] == size).collect();
    places.iter().for_each(|at| bytes[*at..*at + 4].copy_from_slice(&100_u32.to_le_bytes()));
    std::fs::write(&bomb, bytes).expect("written");
    let told = format!("{:#}", mapping(&bomb, &ImportOptions::default()).expect_err("damaged"));
    assert!(told.contains("data.pkl: is damaged"), "{told}");
    assert!(peak_memory_bytes().expect("known on Linux") < MEMORY);
}
