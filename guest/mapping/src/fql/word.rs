//! Classifies a word without spaces: a keyword, a number or a path.

use super::decimal::Decimal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keyword {
    And,
    Or,
    In,
    True,
    False,
    Null,
}

/// The class of a word without spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Word {
    Keyword(Keyword),
    Number,
    /// A number with an exponent, as in other languages. FQL would read it as a path that no event
    /// has.
    NumberWithExponent,
    Path,
}

impl Word {
    pub(super) fn parse(text: &str) -> Word {
        let keyword = match text {
            "and" => Keyword::And,
            "or" => Keyword::Or,
            "in" => Keyword::In,
            "true" => Keyword::True,
            "false" => Keyword::False,
            "null" => Keyword::Null,
            _ if Decimal::parse(text).is_none() => return Word::Path,
            _ if text.contains(['e', 'E']) => return Word::NumberWithExponent,
            _ => return Word::Number,
        };
        Word::Keyword(keyword)
    }
}

/// Whether a path may contain the character without a backslash.
pub(super) fn is_plain(character: char) -> bool {
    character.is_ascii_alphanumeric() || matches!(character, '_' | '-')
}
