//! Property tests of single changes: numbers are recognized as defined by JSON, and a text is
//! truncated at characters, not bytes.

use proptest::prelude::*;

use super::{is_number, truncate_text};

proptest! {
    #[test]
    fn numbers_are_recognised_as_json_does(text in "-{0,2}[0-9]{0,3}(\\.[0-9]{0,2})?([eE][+-]?[0-9]{0,2})?", any: String) {
        for text in [text, any] {
            let is_json = text.trim() == text && !text.starts_with(['"', '[', '{', 't', 'f', 'n'])
                && serde_json::from_str::<serde_json::Value>(&text).is_ok();
            prop_assert_eq!(is_number(&text), is_json, "{}", text);
        }
    }

    #[test]
    fn truncation_keeps_the_given_characters(text: String, characters in 0_usize..20) {
        let mut left = text.clone();
        let is_changed = truncate_text(&mut left, characters);
        prop_assert_eq!(left.chars().count(), text.chars().count().min(characters));
        prop_assert_eq!(is_changed, left != text);
        prop_assert!(text.starts_with(&left));
    }
}
