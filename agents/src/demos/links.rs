//! Episodes that are links to other files or places, which the HDF5 reader passes over in silence.

use std::collections::BTreeSet;

/// Beginning of the name of an episode's group.
pub(super) const EPISODE: &str = "episode_";
/// Type of a soft and of an external link (HDF5 file format, section IV.A.2.g).
const LINKS: [u8; 2] = [1, 64];

/// Numbers of the episodes whose name is that of a soft or external link, found by its message:
/// version 1, flags, type, perhaps creation order and character set, length of the name, name.
pub(super) fn linked_episodes(bytes: &[u8]) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut from = 0;
    while let Some(at) = position(bytes, from) {
        from = at + 1;
        let digits = bytes[at + EPISODE.len()..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        let name = &bytes[at..at + EPISODE.len() + digits];
        if is_link(&bytes[..at], name.len())
            && let Some(number) = std::str::from_utf8(&name[EPISODE.len()..]).ok().and_then(|id| id.parse().ok())
        {
            found.insert(number);
        }
    }
    found
}

fn position(bytes: &[u8], from: usize) -> Option<usize> {
    let found = bytes[from..].windows(EPISODE.len()).position(|window| window == EPISODE.as_bytes())?;
    Some(from + found)
}

/// True if `before` ends with the head of a link message whose name has this length.
fn is_link(before: &[u8], name: usize) -> bool {
    let [head @ .., length] = before else { return false };
    usize::from(*length) == name
        && [(0x08, 0), (0x18, 1), (0x0c, 8), (0x1c, 9)].iter().any(|&(flags, between)| {
            let message = head.len().checked_sub(between + 3).map(|at| &head[at..at + 3]);
            matches!(message, Some(&[1, found, kind]) if found == flags && LINKS.contains(&kind))
        })
}
