//! Explains why a text is not TOML.

use toml::de::Error;

use super::error::{ConfigError, Mistake};
use super::places::{KeyPositions, LineIndex, is_part_of_key};
use super::without_value;

/// Maximum number of reported mistakes in one text. A text with an early mistake has many.
const MISTAKES_MAX: usize = 20;

/// The mistakes that the parser found, one for each line, or the name of another language.
pub(super) fn explain_syntax_errors(
    lines: &LineIndex<'_>,
    text: &str,
    errors: &[Error],
) -> ConfigError {
    let place = |error: &Error| error.span().map(|span| lines.position_at(span.start));
    let first = errors.first().and_then(place);
    let wrong_line = first.map(|(line, _)| lines.line_text(line)).unwrap_or_default();
    if let Some(FileLanguage { name, example }) = detect_language(text, wrong_line) {
        let advice = format!(
            "this is {name}, and a settings file is TOML: write `[delivery]` and `max_delay = \
             \"1s\"` instead of {example}; `host config schema` prints all keys"
        );
        return ConfigError::at(first, advice);
    }
    let mut mistakes: Vec<Mistake> = Vec::new();
    for error in errors {
        let mistake = Mistake::at(place(error), without_value(error.message()));
        // Further mistakes on a line are consequences of the first.
        let is_known = mistakes.iter().any(|known| known.line == mistake.line);
        if !is_known && mistakes.len() < MISTAKES_MAX {
            mistakes.push(mistake);
        }
    }
    let error = ConfigError::of(mistakes);
    // Sorts the mistakes in the order of the file, which differs from that of the parser.
    KeyPositions::default().locate_all(error.expect("the parser found something"))
}

/// A language in which settings of other programs are often written.
#[derive(Debug, PartialEq, Eq)]
struct FileLanguage {
    name: &'static str,
    example: &'static str,
}

const YAML: FileLanguage =
    FileLanguage { name: "YAML", example: "`delivery:` and `max_delay: 1s`" };
const JSON: FileLanguage =
    FileLanguage { name: "JSON", example: "`{\"delivery\": {\"max_delay\": \"1s\"}}`" };

/// The language of a text, if its start or its first wrong line shows it.
fn detect_language(text: &str, wrong_line: &str) -> Option<FileLanguage> {
    let is_content = |line: &&str| !line.is_empty() && !line.starts_with('#');
    let mut content = text.lines().map(str::trim).filter(is_content);
    match content.next() {
        Some(first) if first.starts_with('{') => Some(JSON),
        Some(first) if is_yaml(first) || is_yaml(wrong_line.trim()) => Some(YAML),
        _ => None,
    }
}

/// Whether a line is valid YAML and never valid TOML.
fn is_yaml(line: &str) -> bool {
    if line.starts_with("---") || line.starts_with("- ") || line.starts_with("%YAML") {
        return true;
    }
    let rest = line.trim_start_matches(is_part_of_key);
    let rest_of_value = rest.strip_prefix(':');
    rest.len() < line.len() && rest_of_value.is_some_and(|it| it.is_empty() || it.starts_with(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_languages_are_recognised() {
        for (text, expected) in [
            ("# a\n\ndelivery:\n  max_delay: 1s\n", Some(YAML)),
            ("---\nworkers: 2\n", Some(YAML)),
            ("- a\n", Some(YAML)),
            ("{\n  \"workers\": 2\n}\n", Some(JSON)),
            ("workers = \n", None),
            ("[aws\n", None),
            ("url = http://host:1\n", None),
        ] {
            assert_eq!(detect_language(text, ""), expected, "{text}");
        }
        assert_eq!(detect_language("workers = 2\naws:\n", "aws:"), Some(YAML));
    }
}
