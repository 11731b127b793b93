//! Dynamic streams, among those that the settings permit.

use std::collections::HashMap;

use standpipe_plugin::{Setup, Stream};

use super::RouteTarget;
use crate::json::JsonValue;
use crate::path::FieldPath;
use crate::sample::read_value;
use crate::template::Template;

/// The maximum length of a delivery stream's name in Amazon Data Firehose.
const NAME_BYTES_MAX: usize = 64;

/// Replaces characters that Firehose does not accept in a name.
const REPLACEMENT: char = '-';

/// The streams that events may choose.
#[derive(Debug, Clone, Default)]
pub(super) struct AllowedStreams {
    streams: HashMap<String, Stream>,
    patterns: Vec<String>,
}

impl AllowedStreams {
    /// Declares names and patterns.
    ///
    /// # Errors
    ///
    /// Fails if an entry is not a valid stream name.
    pub(super) fn declare(entries: &[String], setup: &mut Setup) -> Result<Self, String> {
        let mut allowed = AllowedStreams::default();
        for entry in entries {
            let added = allowed.add_entry(entry, setup);
            added.map_err(|error| format!("`streams_allowed`: {error}"))?;
        }
        Ok(allowed)
    }

    fn add_entry(&mut self, entry: &str, setup: &mut Setup) -> Result<(), String> {
        if entry.contains('*') {
            setup.declare_pattern(entry)?;
            self.patterns.push(entry.to_owned());
        } else {
            self.streams.insert(entry.to_owned(), setup.declare(entry)?);
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.patterns.is_empty()
    }

    fn find_target<'a>(&self, name: &'a str) -> Option<RouteTarget<'a>> {
        if let Some(&stream) = self.streams.get(name) {
            return Some(RouteTarget::Declared(stream));
        }
        self.patterns
            .iter()
            .any(|pattern| pattern_covers(pattern, name))
            .then_some(RouteTarget::Named(name))
    }
}

/// How an event chooses its stream.
#[derive(Debug, Clone)]
pub(super) struct StreamChoice {
    template: Template,
    allowed: AllowedStreams,
    fallback: Option<Stream>,
}

impl StreamChoice {
    /// Creates a choice among the allowed streams. If there are none, the template's own text
    /// limits the choice.
    ///
    /// # Errors
    ///
    /// Fails if the choice is unlimited, or cannot result in a valid name.
    pub(super) fn new(
        template: &Template,
        fallback: Option<Stream>,
        allowed: &AllowedStreams,
        setup: &mut Setup,
    ) -> Result<Self, String> {
        let mut allowed = allowed.clone();
        if allowed.is_empty() {
            let pattern = template.pattern();
            if pattern.chars().all(|character| character == '*') {
                return Err(
                    "events can select any stream: write `streams_allowed = [\"events-*\"]` with \
                     the names or patterns that they may select"
                        .to_owned(),
                );
            }
            allowed.add_entry(&pattern, setup)?;
        }
        Ok(StreamChoice { template: template.clone(), allowed, fallback })
    }

    /// The stream that an event chooses, or the fallback.
    pub(super) fn choose_stream<'a>(
        &self,
        event: JsonValue<'_>,
        name: &'a mut String,
    ) -> Option<RouteTarget<'a>> {
        name.clear();
        let paths: &[FieldPath] = self.template.paths();
        let is_whole =
            self.template.write_with(name, |path| read_value(event, &paths[path]), write_clean);
        let fallback = self.fallback.map(RouteTarget::Declared);
        if !is_whole || name.len() > NAME_BYTES_MAX {
            return fallback;
        }
        self.allowed.find_target(name).or(fallback)
    }
}

/// Writes a value as a valid stream name: each run of other characters becomes one replacement.
/// Returns `false` if nothing is left.
fn write_clean(name: &mut String, value: &str) -> bool {
    let is_fit =
        |character: char| character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '-');
    for piece in value.split_inclusive(|character| !is_fit(character)) {
        let fit = piece.trim_end_matches(|character| !is_fit(character));
        name.push_str(fit);
        if fit.len() < piece.len() && (!fit.is_empty() || !name.ends_with(REPLACEMENT)) {
            name.push(REPLACEMENT);
        }
    }
    value.contains(is_fit)
}

/// Whether a name matches a pattern. `*` stands for any characters.
fn pattern_covers(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let mut pieces = rest.split('*').peekable();
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return left.ends_with(piece);
        }
        let Some(place) = left.find(piece) else { return false };
        left = &left[place + piece.len()..];
    }
    true
}

#[cfg(test)]
mod tests;
