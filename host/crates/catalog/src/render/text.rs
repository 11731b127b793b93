//! Fits text into a width: estimates the width of text in any font, and truncates text.

/// Replaces omitted text.
const GAP: char = '…';

/// Replaces characters that pictures must not contain.
const REPLACEMENT: char = '\u{fffd}';

/// The ratio of regular to bold widths.
pub(super) const REGULAR: f64 = 0.88;

/// The maximum width of a bold text, in units of the font size.
///
/// The reader's font is unknown. These are the widths of wide common fonts (Verdana, DejaVu Sans),
/// rounded up.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().map(char_width).sum()
}

fn char_width(character: char) -> f64 {
    match character {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '\'' | '|' | '!' | ' ' | '·' => 0.42,
        'f' | 't' | 'r' | '-' | '(' | ')' | '[' | ']' | '/' | '\\' => 0.54,
        'm' | 'w' | 'M' | 'W' | '%' | '@' | GAP => 1.12,
        'a'..='z' | '0'..='9' | '_' | '"' | '*' | '?' => 0.73,
        '\u{20}'..='\u{24f}' => 0.88,
        // Emoji and similar characters are wider than high in some fonts.
        '\u{1f000}'.. => 1.4,
        _ => 1.12,
    }
}

/// Fits a text into this width. Its middle is omitted, because names differ at their start and end.
pub(super) fn fit_text(text: &str, width_max: f64) -> String {
    if text_width(text) <= width_max {
        return text.to_owned();
    }
    let characters: Vec<char> = text.chars().collect();
    let mut room = width_max - char_width(GAP);
    let (mut first, mut last) = (0, characters.len());
    while first < last {
        let takes_first = first <= characters.len() - last;
        let next = if takes_first { first } else { last - 1 };
        room -= char_width(characters[next]);
        if room < 0.0 {
            break;
        }
        if takes_first {
            first += 1;
        } else {
            last -= 1;
        }
    }
    // A combining character has no meaning without the character before it.
    let tail = characters[last..].iter().skip_while(|character| is_joining(**character));
    characters[..first].iter().chain([&GAP]).chain(tail).collect()
}

fn is_joining(character: char) -> bool {
    matches!(
        character,
        '\u{300}'..='\u{36f}' | '\u{200d}' | '\u{fe00}'..='\u{fe0f}' | '\u{1f3fb}'..='\u{1f3ff}'
    )
}

/// A text on one line of at most this number of characters, without characters that XML does not
/// allow or that change the text direction.
pub(super) fn clean_text(text: &str, chars_max: usize) -> String {
    let clean = |character| match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => REPLACEMENT,
        '\u{fdd0}'..='\u{fdef}' | '\u{fffe}' | '\u{ffff}' => REPLACEMENT,
        other if other.is_control() => REPLACEMENT,
        other => other,
    };
    let mut cleaned: String = text.chars().take(chars_max).map(clean).collect();
    if text.chars().nth(chars_max).is_some() {
        cleaned.push(GAP);
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_middle_is_left_out() {
        assert_eq!(fit_text("orders", 10.0), "orders");
        assert_eq!(fit_text("a-very-long-name-of-a-stream-eu-west-1", 10.0), "a-very…west-1");
        assert_eq!(fit_text("日本日本日本日本日本", 6.0), "日本…日本");
        assert_eq!(fit_text("orders", 0.0), "…");
        // A combining accent without its letter is omitted.
        assert_eq!(fit_text("aaaaaae\u{301}", 3.1), "a…");
    }

    #[test]
    fn text_is_one_clean_line() {
        assert_eq!(clean_text("a\nb\u{0}\u{202e}c\u{7f}", 10), "a b\u{fffd}\u{fffd}c\u{fffd}");
        assert_eq!(clean_text("abcdef", 3), "abc…");
        assert_eq!(clean_text("abc", 3), "abc");
    }

    proptest! {
        #[test]
        fn what_is_cut_fits(text in ".{0,60}", room in 1.2_f64..30.0) {
            let fitted = fit_text(&text, room);
            prop_assert!(text_width(&fitted) <= room + 1e-9, "{fitted:?}");
            prop_assert!(fitted == text || fitted.contains(GAP));
        }
    }
}
