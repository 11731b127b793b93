//! A dead letter that was read back, its history, and its JSON form with or without the event.
//! Errors never quote the line.

use std::borrow::Cow;

use thiserror::Error;
use time::OffsetDateTime;

use super::PriorAttempt;
use super::json_line::JsonLine;
use standpipe_core::clock;

/// Maximum number of earlier dead letters of the same event in the history.
const DEAD_HISTORY_MAX: usize = 20;

/// A dead letter that was read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDeadLetter {
    /// When the dead letter was written.
    pub time: OffsetDateTime,
    /// The reason's word. A word of a newer version is not in [`super::Reason`].
    pub reason: String,
    /// Details.
    pub detail: String,
    /// The input that the event came from.
    pub source: String,
    /// The event's line in this input, counted from 1.
    pub line: u64,
    /// The intended stream.
    pub stream: Option<String>,
    /// The SHA-256 of the plugin that decided the event.
    pub plugin: Option<String>,
    /// The number of the plugin's generation in that run.
    pub generation: Option<u64>,
    /// How often the record was sent.
    pub attempts: u32,
    /// The length of the event, if only its start is kept.
    pub bytes_total: Option<u64>,
    /// The event as received, or its start.
    pub event: Vec<u8>,
    /// The earlier dead letters of the event, oldest first.
    pub history: Vec<PriorAttempt>,
}

impl StoredDeadLetter {
    /// Parses the line of a dead letter.
    ///
    /// # Errors
    ///
    /// Fails if the line is not a dead letter. The error never quotes it.
    pub fn parse(line: &[u8]) -> Result<Self, CorruptDeadLetter> {
        let line: JsonLine<'_> =
            serde_json::from_slice(line).map_err(|error| CorruptDeadLetter::of(&error))?;
        let event = match (line.event, line.event_base64) {
            (Some(text), None) => text.into_owned().into_bytes(),
            (None, Some(base64)) => base64_simd::STANDARD
                .decode_to_vec(base64.as_bytes())
                .map_err(|_| CorruptDeadLetter::NotBase64)?,
            _ => return Err(CorruptDeadLetter::NotOneEvent),
        };
        if event.len() > standpipe_core::limits::EVENT_BYTES_MAX {
            return Err(CorruptDeadLetter::EventTooLong);
        }
        Ok(StoredDeadLetter {
            time: clock::parse_rfc3339(&line.time).ok_or(CorruptDeadLetter::Time)?,
            reason: line.reason.into_owned(),
            detail: line.detail.into_owned(),
            source: line.source.into_owned(),
            line: line.line,
            stream: line.stream.map(Cow::into_owned),
            plugin: line.plugin.map(Cow::into_owned),
            generation: line.generation,
            attempts: line.attempts,
            bytes_total: line.bytes_total,
            event,
            history: line.history,
        })
    }

    /// The history for a later dead letter of the same event: JSON text with the newest
    /// `DEAD_HISTORY_MAX` dead letters.
    pub fn history_with_this(&self) -> String {
        let this = PriorAttempt {
            time: clock::rfc3339(self.time),
            reason: self.reason.clone(),
            detail: self.detail.clone(),
            plugin: self.plugin.clone(),
            stream: self.stream.clone(),
            attempts: self.attempts,
        };
        let older = (self.history.len() + 1).saturating_sub(DEAD_HISTORY_MAX);
        let kept: Vec<_> = self.history.iter().skip(older).chain([&this]).collect();
        serde_json::to_string(&kept).expect("attempts have string keys")
    }

    /// The dead letter as JSON on one line, without its event if that must not be shown.
    pub fn to_json(&self, event: ShowEvent) -> String {
        let text = std::str::from_utf8(&self.event).ok();
        let is_shown = event == ShowEvent::Yes;
        let encode = || base64_simd::STANDARD.encode_to_string(&self.event).into();
        let line = JsonLine {
            time: clock::rfc3339(self.time).into(),
            reason: self.reason.as_str().into(),
            detail: self.detail.as_str().into(),
            source: self.source.as_str().into(),
            line: self.line,
            stream: self.stream.as_deref().map(Cow::from),
            plugin: self.plugin.as_deref().map(Cow::from),
            generation: self.generation,
            attempts: self.attempts,
            history: self.history.clone(),
            bytes_total: self.bytes_total,
            event: text.filter(|_| is_shown).map(Cow::from),
            event_base64: (text.is_none() && is_shown).then(encode),
        };
        serde_json::to_string(&line).expect("a dead letter has string keys")
    }
}

/// Whether a dead letter is shown with its event, which may contain personal data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShowEvent {
    /// With the whole event.
    Yes,
    /// Without the event.
    No,
}

/// Why a line is not a dead letter. The parser's own error would quote the event.
#[derive(Debug, Clone, Error, PartialEq, Eq)]
pub enum CorruptDeadLetter {
    /// The line ends within its JSON.
    #[error("incomplete JSON")]
    CutOff,
    /// The line has other members.
    #[error("JSON, but not a dead letter")]
    NotALetter,
    /// The line is not JSON from this byte on.
    #[error("invalid JSON at byte {0}")]
    NotJson(usize),
    /// The event is marked as base64, but is not.
    #[error("invalid base64 in event_base64")]
    NotBase64,
    /// The line has no event, or both a text and a base64 event.
    #[error("expected one of event and event_base64")]
    NotOneEvent,
    /// The event is longer than any event can be.
    #[error("the event is longer than the limit")]
    EventTooLong,
    /// The time has another format.
    #[error("invalid time: expected RFC 3339")]
    Time,
}

impl CorruptDeadLetter {
    fn of(error: &serde_json::Error) -> Self {
        match error.classify() {
            serde_json::error::Category::Eof => CorruptDeadLetter::CutOff,
            serde_json::error::Category::Data => CorruptDeadLetter::NotALetter,
            _ => CorruptDeadLetter::NotJson(error.column()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = r#"{"time":"2026-01-02T03:04:05.678Z","reason":"of_tomorrow","detail":"d","source":"in","line":7,"stream":null,"plugin":null,"attempts":0,"new":[1],"event":"{}"}"#;

    #[test]
    fn letters_of_newer_versions_can_be_read() {
        let dead_letter = StoredDeadLetter::parse(LINE.as_bytes()).unwrap();
        assert_eq!((dead_letter.reason.as_str(), dead_letter.line), ("of_tomorrow", 7));
        assert_eq!(dead_letter.event, b"{}");
        let json = dead_letter.to_json(ShowEvent::Yes);
        assert_eq!(StoredDeadLetter::parse(json.as_bytes()).unwrap(), dead_letter);
        assert!(!dead_letter.to_json(ShowEvent::No).contains("event"));
    }

    #[test]
    fn what_is_no_letter_is_told_without_quoting_it() {
        let secret = LINE.replace("\"line\":7", "\"line\":\"hush\"");
        for (line, words) in [
            (&LINE[..LINE.len() - 1], "incomplete JSON"),
            (&LINE.replace("\"event\":", "\"other\":"), "expected one of"),
            (&LINE.replace("2026-01-02T", "yesterday"), "time"),
            (&LINE.replace("\"event\"", "\"event_base64\""), "base64"),
            (&secret, "not a dead letter"),
            ("x", "invalid JSON at byte 1"),
        ] {
            let error = StoredDeadLetter::parse(line.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words) && !error.contains("hush"), "{line}: {error}");
        }
    }

    #[test]
    fn a_history_keeps_the_newest() {
        let mut dead_letter = StoredDeadLetter::parse(LINE.as_bytes()).unwrap();
        for attempts in 0..30 {
            dead_letter.attempts = attempts;
            dead_letter.history = serde_json::from_str(&dead_letter.history_with_this()).unwrap();
        }
        assert_eq!(dead_letter.history.len(), DEAD_HISTORY_MAX);
        let attempts: Vec<_> = dead_letter.history.iter().map(|death| death.attempts).collect();
        assert_eq!(attempts, (10..30).collect::<Vec<_>>());
    }
}
