//! Detects e-mail addresses.

use super::TextReplacement;

/// Maximum bytes before the `@`, according to RFC 5321.
const LOCAL_BYTES_MAX: usize = 64;

/// Maximum bytes of a domain, according to RFC 1035.
const DOMAIN_BYTES_MAX: usize = 253;

/// The first address of a text.
pub(super) fn next_email(text: &str) -> Option<TextReplacement> {
    let mut at = 0;
    loop {
        let (place, length) = next_at(text, at)?;
        at = place + length;
        let Some(start) = local_start(&text[..place]) else { continue };
        let Some(length) = domain_length(&text[at..]) else { continue };
        return Some((start..at + length, "[email]".into()));
    }
}

/// The position and length of an `@`. URLs contain `%40` instead.
fn next_at(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let mut places = rest.match_indices(['@', '%']).map(|(place, _)| place);
    let place = places
        .find(|&place| rest[place..].starts_with(['@']) || rest[place..].starts_with("%40"))?;
    Some((from + place, if rest[place..].starts_with('@') { 1 } else { 3 }))
}

/// The start of the part before the `@`, which is at the end of this text.
fn local_start(text: &str) -> Option<usize> {
    let is_local = |character: char| {
        character.is_alphanumeric() || matches!(character, '.' | '_' | '+' | '-' | '\'')
    };
    let nearest = text.char_indices().rev();
    let nearest = nearest.take_while(|&(place, character)| {
        is_local(character) && text.len() - place <= LOCAL_BYTES_MAX
    });
    // It starts with a letter or digit, because quotes may precede it.
    nearest.filter(|(_, character)| character.is_alphanumeric()).last().map(|(place, _)| place)
}

/// The length of the domain at the start of this text. Its last part has only letters, or is an
/// encoded part of another script.
fn domain_length(text: &str) -> Option<usize> {
    let text = &text[..text.floor_char_boundary(DOMAIN_BYTES_MAX)];
    let (mut length, mut end) = (None, 0);
    for (index, label) in text.split('.').enumerate() {
        let label_end =
            label.find(|character: char| !character.is_alphanumeric() && character != '-');
        let (label, is_last) = (&label[..label_end.unwrap_or(label.len())], label_end.is_some());
        let trimmed = label.trim_end_matches('-');
        if label.is_empty() || label.starts_with('-') {
            break;
        }
        let is_top = trimmed.chars().count() >= 2 && trimmed.chars().all(char::is_alphabetic);
        if index > 0 && (is_top || trimmed.starts_with("xn--")) {
            length = Some(end + trimmed.len());
        }
        if is_last || trimmed.len() < label.len() {
            break;
        }
        end += label.len() + 1;
    }
    length
}
