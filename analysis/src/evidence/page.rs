//! Tables between the markers of a page.

use std::path::Path;

use super::claims::claims;
use super::manifest::Evidence;
use super::tables::table;
use crate::error::AnalysisError;

const END: &str = "<!-- end -->";

/// The page's text with the tables between its markers made anew from the logs below `results`.
///
/// # Errors
/// If logs cannot be read, a marker names no table, or has no end.
pub fn fill(page: &str, results: &Path, evidence: &Evidence) -> Result<String, AnalysisError> {
    let (mut text, mut rest) = (String::new(), page);
    while let Some((before, marker, after)) = next_marker(rest) {
        let wrong = |problem: &str| AnalysisError::Request(format!("the marker `{marker}`: {problem}"));
        let made = match marker.strip_prefix("table ") {
            None => claims(results, evidence)?,
            Some(name) => {
                let of = evidence.tables.get(name).ok_or_else(|| wrong("there is no such table in the list"))?;
                let source = evidence.sources.get(&of.of).ok_or_else(|| wrong("its source is not in the list"))?;
                table(results, source, of)?
            }
        };
        let (_, after) = after.split_once(END).ok_or_else(|| wrong("there is no `<!-- end -->` after it"))?;
        text.push_str(&format!("{before}<!-- {marker} -->\n\n{made}\n{END}"));
        rest = after;
    }
    text.push_str(rest);
    Ok(text)
}

/// The text before a marker, its words, and the text after it.
fn next_marker(text: &str) -> Option<(&str, &str, &str)> {
    let starts = ["<!-- claims -->", "<!-- table "].into_iter().filter_map(|start| text.find(start));
    let start = starts.min()?;
    let inner = &text[start + "<!-- ".len()..];
    let (marker, after) = inner.split_once(" -->")?;
    Some((&text[..start], marker, after))
}
