//! Expands `$NAME` and `${NAME}` in a workflow file like Python's `expandvars`: unset names stay,
//! and values are not expanded again.

/// Replaces `$NAME` and `${NAME}` by environment variables, like Python's `expandvars`: unset names
/// stay, and values are not expanded again.
pub(super) fn expand_variables(text: &str, variable: impl Fn(&str) -> Option<String>) -> String {
    let mut expanded = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(place) = rest.find('$') {
        let (before, from) = rest.split_at(place);
        expanded.push_str(before);
        let (name, length) = name_of(&from[1..]);
        match name.filter(|name| !name.is_empty()).and_then(&variable) {
            Some(value) => expanded.push_str(&value),
            None => expanded.push_str(&from[..=length]),
        }
        rest = &from[1 + length..];
    }
    expanded + rest
}

/// The name at the start, and its length in bytes.
fn name_of(text: &str) -> (Option<&str>, usize) {
    if let Some(inner) = text.strip_prefix('{') {
        return match inner.find('}') {
            Some(end) => (Some(&inner[..end]), end + 2),
            None => (None, 0),
        };
    }
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let length = text.bytes().position(|byte| !is_part(byte)).unwrap_or(text.len());
    (Some(&text[..length]), length)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn known(name: &str) -> Option<String> {
        let value = match name {
            "A" => "1",
            "B_2" => "$A",
            "EMPTY" => "",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn names_are_replaced_where_they_are_set() {
        for (text, expected) in [
            ("$A ${A} $A.", "1 1 1."),
            ("x${B_2}y$B_2", "x$Ay$A"),
            ("$EMPTY|", "|"),
            ("$NO ${NO} $ ${} ${A $", "$NO ${NO} $ ${} ${A $"),
            ("$Aé $é", "1é $é"),
            ("prod-.*$", "prod-.*$"),
            ("$$A", "$1"),
        ] {
            assert_eq!(expand_variables(text, known), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn without_variables_nothing_changes(text in "[$a{}A_é ]{0,30}|\\PC{0,30}") {
            prop_assert_eq!(expand_variables(&text, |_| None), text);
        }
    }
}
