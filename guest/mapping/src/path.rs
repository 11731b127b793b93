//! Paths of fields: `properties.products[].price`.

use std::fmt;

/// The maximum number of steps in a path. Real paths have about five. The limit bounds the stack.
const STEPS_MAX: usize = 32;

/// A step in a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PathStep {
    /// The member of this name.
    Name(Box<str>),
    /// Each element of an array.
    Each,
}

/// The position of a value in an event. Without steps, it is the event itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct FieldPath(Vec<PathStep>);

impl FieldPath {
    /// Parses names separated by dots, each followed by any number of `[]`. A backslash makes a
    /// dot, a bracket, or a backslash part of a name.
    ///
    /// # Errors
    ///
    /// Fails with a sentence about the mistake.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (mut steps, mut rest) = (Vec::new(), text);
        loop {
            let (name, behind) = parse_name(rest)
                .map_err(|what| format!("the path {text:?} {what}: write it as `a.b[].c`"))?;
            steps.push(PathStep::Name(name.into()));
            rest = behind;
            while let Some(behind) = rest.strip_prefix("[]") {
                steps.push(PathStep::Each);
                rest = behind;
            }
            let Some(behind) = rest.strip_prefix('.') else { break };
            rest = behind;
        }
        if !rest.is_empty() {
            return Err(format!(
                "the path {text:?} continues with {rest:?}: only a dot can follow `[]`, and an \
                 element cannot be selected by its number"
            ));
        }
        if steps.len() > STEPS_MAX {
            return Err(format!("the path {text:?} has more than {STEPS_MAX} steps"));
        }
        Ok(FieldPath(steps))
    }

    /// Also accepts the empty path.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`FieldPath::parse`].
    pub(crate) fn parse_any(text: &str) -> Result<Self, String> {
        if text.is_empty() { Ok(FieldPath::default()) } else { FieldPath::parse(text) }
    }

    pub(crate) fn steps(&self) -> &[PathStep] {
        &self.0
    }

    /// This path followed by another one.
    pub(crate) fn join(&self, then: &FieldPath) -> FieldPath {
        FieldPath(self.0.iter().chain(&then.0).cloned().collect())
    }

    /// The member of this name in the value at the path.
    pub(crate) fn member(&self, name: &str) -> FieldPath {
        self.join(&FieldPath(vec![PathStep::Name(name.into())]))
    }

    /// Whether one of the two paths equals or contains the other.
    pub(crate) fn touches(&self, other: &FieldPath) -> bool {
        self.0.iter().zip(&other.0).all(|(a, b)| a == b)
    }

    /// The number of steps up to and including the last array.
    pub(crate) fn steps_to_last_array(&self) -> usize {
        self.0.iter().rposition(|step| *step == PathStep::Each).map_or(0, |last| last + 1)
    }

    /// Whether the path leads to the elements of an array.
    pub(crate) fn ends_in_array(&self) -> bool {
        self.0.last() == Some(&PathStep::Each)
    }
}

fn parse_name(text: &str) -> Result<(String, &str), &'static str> {
    let mut name = String::new();
    let mut characters = text.char_indices();
    let mut end = text.len();
    while let Some((place, character)) = characters.next() {
        match character {
            '\\' => name.push(characters.next().ok_or("ends in a backslash")?.1),
            '.' | '[' => {
                end = place;
                break;
            }
            ']' => return Err("has a closing bracket without an opening one"),
            other => name.push(other),
        }
    }
    if end == 0 {
        return Err("has an empty name");
    }
    Ok((name, &text[end..]))
}

impl fmt::Display for FieldPath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, step) in self.0.iter().enumerate() {
            match step {
                PathStep::Each => formatter.write_str("[]")?,
                PathStep::Name(name) => {
                    formatter.write_str(if place == 0 { "" } else { "." })?;
                    formatter.write_str(name)?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FieldPath, PathStep};

    fn parse_steps(text: &str) -> Vec<PathStep> {
        FieldPath::parse(text).expect("a path").steps().to_vec()
    }

    #[test]
    fn names_arrays_and_escapes_are_read() {
        let name = |name: &str| PathStep::Name(name.into());
        assert_eq!(parse_steps("a"), [name("a")]);
        assert_eq!(
            parse_steps("a.b c[][].d"),
            [name("a"), name("b c"), PathStep::Each, PathStep::Each, name("d")]
        );
        assert_eq!(parse_steps(r"a\.b\[\]\\"), [name(r"a.b[]\")]);
        assert!(FieldPath::parse_any("").expect("a path").steps().is_empty());
    }

    #[test]
    fn invalid_paths_are_refused() {
        for text in
            ["", ".", "a.", ".a", "a..b", "a[0]", "a[", "a]", "[]", "a[]b", "a\\", &"a.".repeat(40)]
        {
            assert!(FieldPath::parse(text).is_err(), "{text}");
        }
    }
}
