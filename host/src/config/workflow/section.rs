//! A mapping of a workflow file that is read key by key. Keys that were not read become errors with
//! line, path and the closest known key.

use super::WorkflowError;
use super::yaml::{YamlNode, YamlValue};
use crate::config::nearest_key;
use standpipe_core::secret::Secret;

/// A mapping that is read key by key. A key that was never read is an error at the end. The error
/// lists the keys that were read, so no second list is necessary.
#[derive(Debug)]
pub(super) struct Section {
    path: String,
    line: Option<usize>,
    entries: Vec<(String, YamlNode)>,
    known: Vec<&'static str>,
}

impl Section {
    /// Creates a section from a mapping at a path. The path of the whole document is empty.
    pub(super) fn new(path: String, node: YamlNode) -> Result<Self, WorkflowError> {
        let line = node.line;
        let entries = match node.value {
            YamlValue::Map(entries) => entries,
            YamlValue::Null => Vec::new(),
            _ => {
                let what = if path.is_empty() { "the file" } else { &path };
                return Err(WorkflowError::at(
                    line,
                    format!("{what} must be keys with their values"),
                ));
            }
        };
        Ok(Section { path, line, entries, known: Vec::new() })
    }

    /// Creates an error about one of the section's keys.
    pub(super) fn error_at_key(&self, key: &str, problem: &str) -> WorkflowError {
        self.error_at_line(None, key, problem)
    }

    fn error_at_line(&self, line: Option<usize>, key: &str, problem: &str) -> WorkflowError {
        WorkflowError::at(line.or(self.line), format!("{}: {problem}", self.path_of(key)))
    }

    /// The path of a key.
    pub(super) fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// Any value. A null value counts as missing.
    pub(super) fn take(&mut self, key: &'static str) -> Option<YamlNode> {
        self.known.push(key);
        let place = self.entries.iter().position(|(known, _)| known == key)?;
        let (_, node) = self.entries.remove(place);
        (node.value != YamlValue::Null).then_some(node)
    }

    /// The section of a key, or an empty section if it is missing.
    pub(super) fn section(&mut self, key: &'static str) -> Result<Section, WorkflowError> {
        let path = self.path_of(key);
        let node = self.take(key).unwrap_or(YamlNode { line: self.line, value: YamlValue::Null });
        Section::new(path, node)
    }

    /// The section of a key, or `None` if it is missing.
    pub(super) fn optional_section(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Section>, WorkflowError> {
        let path = self.path_of(key);
        self.take(key).map(|node| Section::new(path, node)).transpose()
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<String>, WorkflowError> {
        Ok(self.scalar(key, "text")?.map(|(text, _)| text))
    }

    /// A required text.
    pub(super) fn required_text(
        &mut self,
        key: &'static str,
        example: &str,
    ) -> Result<String, WorkflowError> {
        match self.text(key)? {
            Some(text) if !text.is_empty() => Ok(text),
            _ => {
                Err(self
                    .error_at_key(key, &format!("this is missing: write it, such as {example}")))
            }
        }
    }

    pub(super) fn secret(&mut self, key: &'static str) -> Result<Option<Secret>, WorkflowError> {
        Ok(self.text(key)?.map(Secret::new))
    }

    /// A boolean in any form of YAML, including older words, with or without quotes.
    pub(super) fn flag(&mut self, key: &'static str) -> Result<Option<bool>, WorkflowError> {
        let flag = |text: &str| match &*text.to_ascii_lowercase() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        };
        self.parsed(key, "true or false", "true or false", flag)
    }

    pub(super) fn number(
        &mut self,
        key: &'static str,
        most: u64,
    ) -> Result<Option<u64>, WorkflowError> {
        let number = |text: &str| text.parse().ok().filter(|number| *number <= most);
        self.parsed(key, "a number", &format!("a number from 0 to {most}"), number)
    }

    /// One of several words.
    pub(super) fn word(
        &mut self,
        key: &'static str,
        words: &[&'static str],
    ) -> Result<Option<&'static str>, WorkflowError> {
        let word = |text: &str| words.iter().find(|word| word.eq_ignore_ascii_case(text)).copied();
        self.parsed(key, "a word", &format!("one of {}", words.join(", ")), word)
    }

    /// A list of texts, or `None` if it is missing.
    pub(super) fn texts(
        &mut self,
        key: &'static str,
    ) -> Result<Option<Vec<String>>, WorkflowError> {
        let Some(node) = self.take(key) else { return Ok(None) };
        let line = node.line;
        let YamlValue::List(items) = node.value else {
            return Err(self.error_at_line(line, key, "write a list, such as [one, another]"));
        };
        let text = |node: YamlNode| match node.value {
            YamlValue::Scalar(text) => Ok(text),
            _ => Err(self.error_at_line(node.line, key, "write a list of text")),
        };
        items.into_iter().map(text).collect::<Result<_, _>>().map(Some)
    }

    /// All remaining keys with their text values.
    pub(super) fn into_texts(mut self) -> Result<Vec<(String, String)>, WorkflowError> {
        let entries = std::mem::take(&mut self.entries);
        let text = |(key, node): (String, YamlNode)| match node.value {
            YamlValue::Scalar(text) => Ok((key, text)),
            _ => Err(self.error_at_line(node.line, &key, "write text")),
        };
        entries.into_iter().map(text).collect()
    }

    /// Fails if a key was not read.
    pub(super) fn end(self) -> Result<(), WorkflowError> {
        let Some((key, node)) = self.entries.first() else { return Ok(()) };
        let advice = match nearest_key(key, self.known.iter().copied()) {
            Some(nearest) => format!("did you mean `{nearest}`?"),
            None => format!("known here: {}", self.known.join(", ")),
        };
        Err(self.error_at_line(node.line, key, &format!("this key is unknown: {advice}")))
    }

    /// Parses a scalar. The error says what to write instead.
    fn parsed<T>(
        &mut self,
        key: &'static str,
        scalar: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, WorkflowError> {
        let Some((text, line)) = self.scalar(key, scalar)? else { return Ok(None) };
        let parsed = parse(&text);
        parsed.map(Some).ok_or_else(|| self.error_at_line(line, key, &format!("write {expected}")))
    }

    fn scalar(
        &mut self,
        key: &'static str,
        what: &str,
    ) -> Result<Option<(String, Option<usize>)>, WorkflowError> {
        match self.take(key) {
            None => Ok(None),
            Some(YamlNode { line, value: YamlValue::Scalar(text) }) => Ok(Some((text, line))),
            Some(node) => Err(self.error_at_line(node.line, key, &format!("write {what}"))),
        }
    }
}
