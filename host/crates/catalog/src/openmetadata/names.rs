//! Names in OpenMetadata: parts separated by dots. A part that contains a dot is in quotes.

/// Maximum characters of an entity's name.
const NAME_CHARACTERS_MAX: usize = 256;

/// Quotes a part of a full name. Returns `None` if it cannot be written.
pub(super) fn quote_part(part: &str) -> Option<String> {
    match part {
        "" => None,
        part if part.contains('"') => None,
        part if part.contains('.') => Some(format!("\"{part}\"")),
        part => Some(part.to_owned()),
    }
}

/// Joins parts to a full name. Returns `None` if one of them cannot be written.
pub(super) fn join_parts<'a>(parts: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let parts: Option<Vec<String>> = parts.into_iter().map(quote_part).collect();
    parts.filter(|parts| !parts.is_empty()).map(|parts| parts.join("."))
}

/// Splits a full name into its parts, without their quotes. Returns `None` if it is invalid.
pub fn split_name(name: &str) -> Option<Vec<String>> {
    let (mut parts, mut rest) = (Vec::new(), name);
    loop {
        let (part, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => rest.find('.').map_or((rest, ""), |at| rest.split_at(at)),
        };
        if part.is_empty() || part.contains('"') {
            return None;
        }
        parts.push(part.to_owned());
        match after.strip_prefix('.') {
            Some(after) => rest = after,
            None if after.is_empty() => return Some(parts),
            None => return None,
        }
    }
}

/// Escapes a text for the path or query of a URL.
pub(super) fn escape_url(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                escaped.push(char::from(byte));
            }
            byte => escaped.push_str(&format!("%{byte:02X}")),
        }
    }
    escaped
}

/// Returns whether OpenMetadata accepts this name of a service.
pub fn is_service_name(name: &str) -> bool {
    let is_short = (1..=NAME_CHARACTERS_MAX).contains(&name.chars().count());
    is_short && !name.contains("::") && !name.contains(['"', '\n', '\r', '>'])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parts_with_dots_are_quoted() {
        for (parts, expected) in [
            (&["svc", "a"][..], Some("svc.a")),
            (&["svc", "a.b"], Some("svc.\"a.b\"")),
            (&["my.svc", "x"], Some("\"my.svc\".x")),
            (&["svc", "a\"b"], None),
            (&["svc", ""], None),
            (&[], None),
        ] {
            assert_eq!(join_parts(parts.iter().copied()).as_deref(), expected, "{parts:?}");
        }
    }

    #[test]
    fn what_is_no_full_name_is_told() {
        for wrong in ["", ".", "a.", ".a", "\"a", "\"a\"b", "a\"b", "a..b", "\"\"", "\"\".a"] {
            assert_eq!(split_name(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn names_of_services_are_told_from_others() {
        for (name, expected) in [
            ("aws_firehose", true),
            ("my.svc", true),
            ("", false),
            ("a::b", false),
            ("a\"b", false),
        ] {
            assert_eq!(is_service_name(name), expected, "{name}");
        }
        assert!(!is_service_name(&"x".repeat(257)));
    }

    #[test]
    fn a_url_is_not_left_by_a_name() {
        assert_eq!(escape_url("svc.\"a.b\"/../é?x#"), "svc.%22a.b%22%2F..%2F%C3%A9%3Fx%23");
    }

    proptest! {
        #[test]
        fn a_full_name_is_taken_apart_again(parts in prop::collection::vec("[a-zA-Z0-9_. /-]{1,8}", 1..5)) {
            let name = join_parts(parts.iter().map(String::as_str)).unwrap();
            prop_assert_eq!(split_name(&name), Some(parts));
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a.\"]{0,12}") {
            if let Some(parts) = split_name(&text) {
                prop_assert!(parts.iter().all(|part| !part.is_empty()));
            }
        }
    }
}
