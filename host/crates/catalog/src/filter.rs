//! Selects the delivery streams to read, by patterns of their names.
//!
//! Patterns and rules are those of OpenMetadata's workflow files, where Python's `re` matches them:
//! a pattern matches from the start of a name, and does not have to reach its end; letter case is
//! ignored; and an exclude overrides all includes.

use fancy_regex::{Regex, RegexBuilder};
use thiserror::Error;

/// Maximum backtracking steps of a pattern for one name: some milliseconds.
const CATALOG_PATTERN_STEPS_MAX: usize = 100_000;

/// Decides which names are selected.
#[derive(Debug, Clone, Default)]
pub struct StreamFilter {
    includes: Vec<Regex>,
    excludes: Vec<Regex>,
}

/// Why a pattern cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum FilterError {
    /// The pattern is not a regular expression.
    #[error(
        "invalid pattern {pattern:?} in `{list}`: {problem}: write a regular expression such as \"prod-.*\", \
         which matches names that begin with prod-, or \".*prod.*\" for prod anywhere"
    )]
    Invalid {
        /// `includes` or `excludes`.
        list: &'static str,
        /// The pattern.
        pattern: String,
        /// The error of the pattern.
        problem: String,
    },
    /// Matching a name needs too many steps.
    #[error(
        "the pattern {pattern:?} is too expensive: it took more than {} steps for the name {name:?}: write it without repetitions inside repetitions",
        CATALOG_PATTERN_STEPS_MAX
    )]
    TooCostly {
        /// The pattern.
        pattern: String,
        /// The name.
        name: String,
    },
}

impl StreamFilter {
    /// Creates a filter. It selects the names that an include matches, or all names without
    /// includes, except those that an exclude matches.
    ///
    /// # Errors
    ///
    /// Fails if a pattern is not a regular expression.
    pub fn new<T: AsRef<str>>(includes: &[T], excludes: &[T]) -> Result<Self, FilterError> {
        let all = |list, patterns: &[T]| -> Result<Vec<Regex>, FilterError> {
            patterns.iter().map(|pattern| compile_pattern(list, pattern.as_ref())).collect()
        };
        Ok(Self { includes: all("includes", includes)?, excludes: all("excludes", excludes)? })
    }

    /// Returns whether a name is selected.
    ///
    /// # Errors
    ///
    /// Fails if a pattern needs too many steps.
    pub fn keeps_name(&self, name: &str) -> Result<bool, FilterError> {
        if self.is_empty() {
            return Ok(true);
        }
        if name.is_empty() || matches_any(&self.excludes, name)? {
            return Ok(false);
        }
        Ok(self.includes.is_empty() || matches_any(&self.includes, name)?)
    }

    /// Returns whether there are no patterns, so that all names are selected.
    pub fn is_empty(&self) -> bool {
        self.includes.is_empty() && self.excludes.is_empty()
    }
}

fn compile_pattern(list: &'static str, pattern: &str) -> Result<Regex, FilterError> {
    let mut builder = RegexBuilder::new(pattern);
    builder.case_insensitive(true).backtrack_limit(CATALOG_PATTERN_STEPS_MAX);
    builder.build().map_err(|error| FilterError::Invalid {
        list,
        pattern: pattern.to_owned(),
        problem: error.to_string(),
    })
}

fn matches_any(patterns: &[Regex], name: &str) -> Result<bool, FilterError> {
    for pattern in patterns {
        let found = pattern.find(name).map_err(|_| FilterError::TooCostly {
            pattern: pattern.as_str().to_owned(),
            name: name.to_owned(),
        })?;
        // Matching returns the leftmost match, so a match at the start exists exactly if this one
        // is at the start.
        if found.is_some_and(|found| found.start() == 0) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn keeps_name(includes: &[&str], excludes: &[&str], name: &str) -> bool {
        StreamFilter::new(includes, excludes).unwrap().keeps_name(name).unwrap()
    }

    #[test]
    fn what_is_excluded_is_out_whatever_includes_it() {
        for (includes, excludes, name, is_in) in [
            (&[][..], &[][..], "any", true),
            (&["a"], &[], "ab", true),
            (&["a"], &[], "ba", false),
            (&[], &["a"], "ab", false),
            (&[], &["a"], "ba", true),
            (&["a"], &["b"], "ab", true),
            (&["a"], &["ab"], "abc", false),
            (&["a"], &["ab"], "ba", false),
            (&["a"], &["b"], "ba", false),
            (&["x", "a"], &["y", "z"], "ab", true),
        ] {
            assert_eq!(
                keeps_name(includes, excludes, name),
                is_in,
                "{includes:?} {excludes:?} {name}"
            );
        }
    }

    #[test]
    fn a_pattern_holds_from_the_start_in_any_case() {
        for (pattern, name, is_in) in [
            ("prod", "production-x", true),
            ("prod", "PROD-1", true),
            ("prod", "my-prod", false),
            ("PROD", "prod", true),
            (".*prod.*", "my-prod-1", true),
            ("^analytics-.*", "analytics-1", true),
            (".*-data-stream$", "a-data-stream", true),
            (".*-data-stream$", "a-data-streams", false),
            ("a|b", "b", true),
            ("a|b", "cb", false),
            ("(?x) a # all that begin with it", "ab", true),
            ("", "any", true),
        ] {
            assert_eq!(keeps_name(&[pattern], &[], name), is_in, "{pattern} {name}");
        }
    }

    #[test]
    fn an_empty_name_is_out_once_there_is_a_pattern() {
        assert!(keeps_name(&[], &[], ""));
        assert!(!keeps_name(&[".*"], &[], ""));
        assert!(!keeps_name(&[], &["a"], ""));
    }

    #[test]
    fn patterns_are_written_as_for_python() {
        for (pattern, name, is_in) in [
            (r"^(?!test).*", "prod", true),
            (r"^(?!test).*", "Test-1", false),
            (r"(?P<a>x+)-(?P=a)$", "xx-xx", true),
            (r"(?P<a>x+)-(?P=a)$", "xx-x", false),
            (r"(a|b)\1\Z", "aa", true),
            (r"(a|b)\1\Z", "aab", false),
            (r".*(?<!-old)$", "a-old", false),
            (r".*(?<=-new)$", "a-new", true),
            (r"\Aa\-b\_c\.d", "a-b_c.d", true),
            (r"[\w.-]+\d{2}", "a.b-12", true),
            (r"(?i)prod", "PROD", true),
            (r"(?#all of them)a", "ab", true),
            (r"a{,2}b", "aab", true),
        ] {
            assert_eq!(keeps_name(&[pattern], &[], name), is_in, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_that_cannot_be_used_is_told_with_its_place() {
        for wrong in ["*prod*", "a(", "a)|(b", "[a"] {
            let error = StreamFilter::new(&["fine"], &[wrong]).unwrap_err().to_string();
            assert!(error.contains(&format!("{wrong:?} in `excludes`")), "{error}");
            assert!(error.contains("prod-.*"), "{error}");
        }
    }

    #[test]
    fn a_pattern_that_never_ends_is_given_up() {
        let filter = StreamFilter::new(&[r"(?:a(?=.)|aa)+b"], &[]).unwrap();
        let error = filter.keeps_name(&("a".repeat(63) + "c")).unwrap_err();
        assert!(error.to_string().contains("too expensive"), "{error}");
    }

    proptest! {
        #[test]
        fn no_pattern_makes_it_panic(pattern in r"[a-c()\[\]{}?*+.\\|^$<=!:P0-9,-]{0,16}", name in "[a-c.-]{0,12}") {
            if let Ok(filter) = StreamFilter::new(&[pattern], &[]) {
                let _ = filter.keeps_name(&name);
            }
        }

        #[test]
        fn plain_names_are_found_by_their_beginning(name in "[a-zA-Z0-9_-]{1,64}", end in 1..64_usize) {
            let beginning = &name[..end.min(name.len())];
            prop_assert!(keeps_name(&[beginning], &[], &name.to_uppercase()));
            prop_assert!(!keeps_name(&[], &[beginning], &name));
        }
    }
}
