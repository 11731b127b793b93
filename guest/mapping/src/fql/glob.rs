//! Patterns for the function `match`.
//!
//! `*` matches any characters, `?` one character, `[abc]` and `[a-z]` one of these, `[^abc]` one
//! other character, and `\x` the character x itself. `/` has no special meaning. A malformed
//! pattern matches nothing.

/// A parsed pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Glob {
    text: String,
    /// `None` if the pattern is malformed.
    parts: Option<Vec<GlobPart>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum GlobPart {
    /// These exact characters.
    Literal(String),
    /// One character.
    One,
    /// One character in one of the ranges, or in none of them if negated.
    Class { ranges: Vec<(char, char)>, negated: bool },
    /// Any number of characters.
    Star,
}

impl Glob {
    pub(super) fn new(text: &str) -> Self {
        Glob { text: text.to_owned(), parts: compile_glob(text) }
    }

    /// The pattern as written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the whole string matches.
    ///
    /// If a part does not match, the last star takes one more character. Earlier stars do not have
    /// to be tried again, so the time is at most proportional to the pattern's length times the
    /// string's.
    pub(super) fn matches(&self, string: &str) -> bool {
        let Some(parts) = self.parts.as_deref() else { return false };
        let (mut parts, mut rest) = (parts, string);
        let mut star: Option<(&[GlobPart], &str)> = None;
        loop {
            match parts.split_first() {
                None if rest.is_empty() => return true,
                Some((GlobPart::Star, [])) => return true,
                Some((GlobPart::Star, behind)) => {
                    star = Some((behind, rest));
                    parts = behind;
                    continue;
                }
                Some((part, behind)) => {
                    if let Some(left) = part.strip_from(rest) {
                        (parts, rest) = (behind, left);
                        continue;
                    }
                }
                None => {}
            }
            let Some((behind, from)) = star.as_mut() else { return false };
            let mut characters = from.chars();
            if characters.next().is_none() {
                return false;
            }
            *from = characters.as_str();
            (parts, rest) = (behind, from);
        }
    }
}

impl GlobPart {
    /// The rest of a string after this part. The part must not be a star.
    fn strip_from<'a>(&self, string: &'a str) -> Option<&'a str> {
        let mut characters = string.chars();
        match self {
            GlobPart::Literal(literal) => return string.strip_prefix(literal.as_str()),
            GlobPart::One => _ = characters.next()?,
            GlobPart::Class { ranges, negated } => {
                let character = characters.next()?;
                let is_in = |&(low, high): &(char, char)| (low..=high).contains(&character);
                if ranges.iter().any(is_in) == *negated {
                    return None;
                }
            }
            GlobPart::Star => return None,
        }
        Some(characters.as_str())
    }
}

fn compile_glob(text: &str) -> Option<Vec<GlobPart>> {
    let mut parts = Vec::new();
    let mut rest = text.chars();
    while let Some(character) = rest.next() {
        let literal = match character {
            '*' => {
                if parts.last() != Some(&GlobPart::Star) {
                    parts.push(GlobPart::Star);
                }
                continue;
            }
            '?' => {
                parts.push(GlobPart::One);
                continue;
            }
            '[' => {
                parts.push(parse_class(&mut rest)?);
                continue;
            }
            '\\' => rest.next()?,
            itself => itself,
        };
        match parts.last_mut() {
            Some(GlobPart::Literal(before)) => before.push(literal),
            _ => parts.push(GlobPart::Literal(literal.to_string())),
        }
    }
    Some(parts)
}

/// Parses a class after its opening bracket. It has at least one range.
fn parse_class(rest: &mut std::str::Chars<'_>) -> Option<GlobPart> {
    let mut behind = rest.clone();
    let negated = behind.next() == Some('^');
    if negated {
        *rest = behind;
    }
    let mut ranges = Vec::new();
    while ranges.is_empty() || !rest.as_str().starts_with(']') {
        let low = end_of_range(rest)?;
        let is_single = !rest.as_str().starts_with('-');
        let high = if is_single {
            low
        } else {
            rest.next();
            end_of_range(rest)?
        };
        ranges.push((low, high));
    }
    rest.next();
    Some(GlobPart::Class { ranges, negated })
}

/// Parses the end of a range. `-` and `]` need a backslash.
fn end_of_range(rest: &mut std::str::Chars<'_>) -> Option<char> {
    match rest.next()? {
        '-' | ']' => None,
        '\\' => rest.next(),
        itself => Some(itself),
    }
}
