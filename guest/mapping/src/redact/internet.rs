//! Detects IP addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::TextReplacement;
use super::digits::{begins_word, ends_word};

/// Colons of the shortest IPv6 address, `::1`.
pub(super) const V6_COLONS_MIN: usize = 2;

/// Dots of an IPv4 address.
pub(super) const V4_DOTS: usize = 3;

/// Number of 16-bit groups of an IPv6 address that are kept: the network of a site.
const V6_GROUPS_KEPT: usize = 3;

/// Length of the longest IPv6 address, with an IPv4 address at its end.
const V6_CHARS_MAX: usize = 45;

/// The first IPv4 address in a text with more than its first 24 bits.
pub(super) fn next_v4(text: &str) -> Option<TextReplacement> {
    let mut at = 0;
    while let Some(start) = text[at..].find(|character: char| character.is_ascii_digit()) {
        let start = at + start;
        let is_part = |byte: &u8| byte.is_ascii_digit() || *byte == b'.';
        let length = text.as_bytes()[start..].iter().take_while(|byte| is_part(byte)).count();
        let part = text[start..start + length].trim_end_matches('.');
        at = start + part.len();
        let stands_alone =
            begins_address(text, start) && !text[..start].ends_with('.') && ends_address(text, at);
        let Ok(address) = part.parse::<Ipv4Addr>() else { continue };
        let [a, b, c, _] = address.octets();
        let short = Ipv4Addr::new(a, b, c, 0);
        if stands_alone && short != address {
            return Some((start..at, short.to_string().into()));
        }
    }
    None
}

/// The first IPv6 address in a text with more than its first 48 bits.
pub(super) fn next_v6(text: &str) -> Option<TextReplacement> {
    let mut at = 0;
    let is_part = |character: char| character.is_ascii_hexdigit() || matches!(character, ':' | '.');
    while let Some(start) = text[at..].find(is_part) {
        let start = at + start;
        let length = text[start..].find(|character| !is_part(character));
        let end = length.map_or(text.len(), |length| start + length);
        at = end;
        let part = text[start..end].trim_end_matches('.');
        // Words with two colons between them are not addresses.
        let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
        let may_be = part.len() <= V6_CHARS_MAX + 1 && has_digit && begins_address(text, start);
        let alternatives = [Some(part), part.strip_suffix(':')];
        let parsed = alternatives
            .into_iter()
            .flatten()
            .find_map(|part| Some((part.len(), part.parse::<Ipv6Addr>().ok().filter(|_| may_be)?)));
        let Some((length, address)) = parsed else { continue };
        let short = shorten_address(address);
        if short != address && ends_address(text, start + length) {
            return Some((start..start + length, short.to_string().into()));
        }
    }
    None
}

fn shorten_address(address: Ipv6Addr) -> Ipv6Addr {
    if let Some(v4) = address.to_ipv4_mapped() {
        let [a, b, c, _] = v4.octets();
        return Ipv4Addr::new(a, b, c, 0).to_ipv6_mapped();
    }
    let mut groups = address.segments();
    groups[V6_GROUPS_KEPT..].fill(0);
    groups.into()
}

// Replacements of numbers are in brackets. A number has no address next to it, and neither has its
// replacement.

fn begins_address(text: &str, at: usize) -> bool {
    begins_word(text, at) && !text[..at].ends_with(']')
}

fn ends_address(text: &str, at: usize) -> bool {
    ends_word(text, at) && !text[at..].trim_start_matches(['.', ':']).starts_with('[')
}
