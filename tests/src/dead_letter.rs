//! Parses dead letters with the tests' own parser.

use std::path::Path;

use serde_json::Value;

/// A dead letter, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The reason's word, such as `not_json`.
    pub reason: String,
    /// Details.
    pub detail: String,
    /// The input of the event.
    pub source: String,
    /// The line in the input, counted from 1.
    pub line: u64,
    /// The delivery stream, if one was chosen.
    pub stream: Option<String>,
    /// The SHA-256 of the plugin that decided the event, if one did.
    pub plugin: Option<String>,
    /// The number of the plugin's generation.
    pub generation: Option<u64>,
    /// How often the record was sent.
    pub attempts: u64,
    /// The event as received, or its start.
    pub event: Vec<u8>,
    /// The event's length, if only its start is kept.
    pub bytes_total: Option<u64>,
    /// The reasons of the earlier dead letters of the event, oldest first.
    pub history: Vec<String>,
}

impl DeadLetter {
    /// All dead letters in a data directory, in order. Empty if there are none.
    pub fn read_all(data_directory: &Path) -> Vec<DeadLetter> {
        let Ok(files) = std::fs::read_dir(data_directory.join("dead")) else { return Vec::new() };
        let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        paths.sort();
        let texts =
            paths.iter().map(|path| std::fs::read_to_string(path).expect("letters are UTF-8"));
        texts.flat_map(|text| text.lines().map(DeadLetter::parse).collect::<Vec<_>>()).collect()
    }

    fn parse(line: &str) -> DeadLetter {
        let dead_letter: Value = serde_json::from_str(line).expect("a dead letter is JSON");
        let text = |key: &str| dead_letter[key].as_str().map(str::to_owned);
        let event = match text("event_base64") {
            Some(base64) => base64_simd::STANDARD.decode_to_vec(base64).expect("base64"),
            None => text("event").expect("a dead letter has its event").into_bytes(),
        };
        let history = dead_letter["history"].as_array().into_iter().flatten();
        let history = history.map(|death| death["reason"].as_str().expect("a reason").to_owned());
        DeadLetter {
            history: history.collect(),
            reason: text("reason").expect("a reason"),
            detail: text("detail").expect("a detail"),
            source: text("source").expect("a source"),
            line: dead_letter["line"].as_u64().expect("a line"),
            stream: text("stream"),
            plugin: text("plugin"),
            generation: dead_letter["generation"].as_u64(),
            attempts: dead_letter["attempts"].as_u64().expect("attempts"),
            event,
            bytes_total: dead_letter["bytes_total"].as_u64(),
        }
    }
}
