//! Comments of Rust files, paragraphs of Markdown pages, and the words of either.

/// A comment or paragraph: its text line by line, with line numbers.
#[derive(Debug, Default)]
pub(crate) struct Block {
    pub(crate) lines: Vec<(usize, String)>,
    /// True for the beginning of a doc comment or of one of its sections.
    pub(crate) doc: bool,
}

/// Lower-case words of a block with their lines, without code, link targets and addresses; "" between clauses.
pub(crate) fn words(block: &Block) -> Vec<(usize, String)> {
    let (mut words, mut code) = (Vec::new(), false);
    for (number, line) in &block.lines {
        let mut prose = String::new();
        let mut target = false;
        for (at, c) in line.char_indices() {
            match c {
                '`' => {
                    code = !code;
                    // Something was said in code: it parts the words around it.
                    prose.push('|');
                }
                _ if code => {}
                '(' if line[..at].ends_with(']') => target = true,
                ')' if target => target = false,
                _ if !target => prose.push(c),
                _ => {}
            }
        }
        for piece in prose.split_whitespace().filter(|piece| !piece.contains("://")) {
            let part = |c: char| !c.is_alphanumeric() && !"'’()[]*_\"“”-".contains(c);
            for (at, clause) in piece.split(part).enumerate() {
                if at > 0 {
                    words.push((*number, String::new()));
                }
                let each = clause.split(|c: char| !c.is_alphanumeric() && !"'’".contains(c));
                let each = each.filter(|word| !word.is_empty());
                words.extend(each.map(|word| (*number, word.replace('’', "'").to_lowercase())));
            }
        }
    }
    words
}

/// Lines of Markdown outside fenced code, with their numbers.
pub(crate) fn outside_fences(text: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push((at + 1, line));
        }
    }
    lines
}

/// Paragraphs of a Markdown page.
pub(crate) fn paragraphs(text: &str) -> Vec<Block> {
    let mut blocks = vec![Block::default()];
    let mut last = 0;
    for (number, line) in outside_fences(text) {
        if line.trim().is_empty() || number > last + 1 || line.starts_with('|') {
            blocks.push(Block::default());
        }
        blocks.last_mut().unwrap().lines.push((number, line.to_owned()));
        last = number;
    }
    blocks
}

/// Comments of a Rust file; doc comments are cut at blank lines and headings, so that each section has an opening.
pub(crate) fn comments(text: &str) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::new();
    let (mut last, mut fenced) = ((0, ""), false);
    for (number, comment) in comment_lines(text) {
        let marker = ["///", "//!", "//"].into_iter().find(|marker| comment.starts_with(marker)).unwrap_or("");
        let content = comment[marker.len()..].trim();
        let begins = number != last.0 + 1 || marker != last.1;
        let doc = (marker == "///" && !comment.starts_with("////")) || marker == "//!";
        last = (number, marker);
        if begins {
            fenced = false;
        }
        if doc && content.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let heading = doc && blocks.last().is_some_and(|block| block.doc && is_heading(block));
            // Only the first paragraph and what follows a heading are openings.
            if begins || heading {
                blocks.push(Block { doc, ..Block::default() });
            } else if content.is_empty() || content.starts_with('#') || content.starts_with('|') {
                blocks.push(Block { doc: content.starts_with('#'), ..Block::default() });
            }
            if let Some(block) = blocks.last_mut() {
                block.lines.push((number, content.to_owned()));
            }
        }
    }
    blocks
}

fn is_heading(block: &Block) -> bool {
    matches!(&block.lines[..], [(_, line)] if line.starts_with("# "))
}

/// Each line's comment, from its slashes on, with the line's number. Strings and characters are told from comments.
fn comment_lines(text: &str) -> Vec<(usize, String)> {
    let chars: Vec<char> = text.chars().collect();
    let (mut at, mut line, mut found) = (0, 1, Vec::new());
    let end_of_line = |from: usize| (from..chars.len()).find(|&i| chars[i] == '\n').unwrap_or(chars.len());
    while at < chars.len() {
        let next = match (chars[at], chars.get(at + 1)) {
            ('/', Some('/')) => {
                let end = end_of_line(at);
                found.push((line, chars[at..end].iter().collect()));
                end
            }
            ('/', Some('*')) => after(&chars, at + 2, &['*', '/']),
            ('"', _) => after_string(&chars, at + 1),
            ('r', Some('"' | '#')) if !joined(&chars, at) => {
                let hashes = chars[at + 1..].iter().take_while(|c| **c == '#').count();
                match chars.get(at + 1 + hashes) {
                    Some('"') => {
                        let close: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
                        after(&chars, at + 2 + hashes, &close)
                    }
                    _ => at + 1,
                }
            }
            ('\'', Some('\\')) => after(&chars, at + 3, &['\'']),
            ('\'', Some(_)) if chars.get(at + 2) == Some(&'\'') => at + 3,
            _ => at + 1,
        };
        line += chars[at..next.min(chars.len())].iter().filter(|c| **c == '\n').count();
        at = next;
    }
    found
}

/// True if `at` goes on with an identifier, such as the r of `for`; the b of `br""` does not count.
fn joined(chars: &[char], at: usize) -> bool {
    let word = |at: usize| chars.get(at).is_some_and(|c| c.is_alphanumeric() || *c == '_');
    let before = at.checked_sub(1).filter(|before| word(*before));
    before.is_some_and(|before| chars[before] != 'b' || before.checked_sub(1).is_some_and(word))
}

/// Index after the next `close`.
fn after(chars: &[char], from: usize, close: &[char]) -> usize {
    (from..chars.len()).find(|&i| chars[i..].starts_with(close)).map_or(chars.len(), |i| i + close.len())
}

/// Index after the string that `from` is in.
fn after_string(chars: &[char], mut from: usize) -> usize {
    while from < chars.len() && chars[from] != '"' {
        from += if chars[from] == '\\' { 2 } else { 1 };
    }
    from + 1
}
