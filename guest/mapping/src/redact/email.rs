//! E-mail addresses.

use super::TextReplacement;

/// Bytes before the `@`, RFC 5321's limit.
const LOCAL_BYTES_MAX: usize = 64;

/// Bytes of a domain, RFC 1035's limit.
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

/// Where an `@` stands, and how long it is: URLs write `%40`.
fn next_at(text: &str, from: usize) -> Option<(usize, usize)> {
    let rest = &text[from..];
    let mut places = rest.match_indices(['@', '%']).map(|(place, _)| place);
    let place = places
        .find(|&place| rest[place..].starts_with(['@']) || rest[place..].starts_with("%40"))?;
    Some((from + place, if rest[place..].starts_with('@') { 1 } else { 3 }))
}

/// Where the part before the `@` starts, which ends this text.
fn local_start(text: &str) -> Option<usize> {
    let is_local = |character: char| {
        character.is_alphanumeric() || matches!(character, '.' | '_' | '+' | '-' | '\'')
    };
    let nearest = text.char_indices().rev();
    let nearest = nearest.take_while(|&(place, character)| {
        is_local(character) && text.len() - place <= LOCAL_BYTES_MAX
    });
    // It starts with a letter or digit: there may be quotes before it.
    nearest.filter(|(_, character)| character.is_alphanumeric()).last().map(|(place, _)| place)
}

/// How long the domain is that starts this text. Its last part has letters only
/// or is a spelled-out one of another script.
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
