//! Runs the examples of `host/docs/transformations.md`. The end-to-end tests run its blocks with
//! commands.

use standpipe_plugin::Event;
use standpipe_plugin::testing::{Decision, Harness, event};

use crate::Mapping;

const TEXT: &str = include_str!("../../../../host/docs/transformations.md");

/// The fenced blocks: the text after the fence, the lines, and the line number of each.
fn fenced_blocks() -> Vec<(&'static str, String, usize)> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String, usize)> = None;
    for (index, line) in TEXT.lines().enumerate() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(info), None) => open = Some((info, String::new(), index + 1)),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text, _))) => {
                text.push_str(line);
                text.push('\n');
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The plugin with the settings of a block, in which every event has a stream.
fn configure_block(toml: &str, line: usize) -> Harness<Mapping> {
    let file: toml::Table =
        toml::from_str(toml).unwrap_or_else(|error| panic!("line {line}: {error}"));
    let mut settings = serde_json::to_value(&file["plugin"]["settings"]).expect("JSON");
    let settings = settings.as_object_mut().expect("a table");
    settings
        .entry("mappings")
        .or_insert_with(|| serde_json::json!([{"event": "*", "stream": "all"}]));
    let settings = serde_json::Value::Object(settings.clone()).to_string();
    Harness::configure(&settings).unwrap_or_else(|error| panic!("line {line}: {error}"))
}

/// The event as the host passes it to the plugin.
fn hand_in(text: &str) -> Event {
    let parsed: serde_json::Value = serde_json::from_str(text).expect("JSON");
    let word = |key: &str| parsed[key].as_str().filter(|word| !word.is_empty()).map(str::to_owned);
    Event { message_type: word("type"), name: word("event"), ..event(text) }
}

#[test]
fn examples_of_the_documentation_are_true() {
    let (mut mapping, mut input, mut examples) = (None, None, 0);
    for (info, text, line) in fenced_blocks() {
        let text = text.trim_end();
        match info.split_once(' ') {
            Some(("toml", "part")) => mapping = Some(configure_block(text, line)),
            Some(("toml", _)) => {}
            None if matches!(info, "sh" | "console") => {}
            Some(("json", "in")) => input = Some(text.to_owned()),
            Some((kind @ ("json" | "text"), out)) => {
                let mapping = mapping.as_mut().expect("settings come first");
                let input = input.take().expect("an event comes before");
                let stream = out.strip_prefix("out to ").unwrap_or("all");
                let expected = (kind == "json").then(|| (stream.to_owned(), text.to_owned()));
                let decided =
                    mapping.map(hand_in(&input)).into_iter().map(|decision| match decision {
                        Decision::Deliver(stream, payload) => {
                            let payload =
                                payload.map(|payload| String::from_utf8(payload).expect("UTF-8"));
                            (stream, payload.unwrap_or_else(|| input.clone()))
                        }
                        Decision::Reject(reason) => panic!("line {line}: {reason}"),
                    });
                assert_eq!(
                    decided.collect::<Vec<_>>(),
                    expected.into_iter().collect::<Vec<_>>(),
                    "line {line}"
                );
                examples += 1;
            }
            _ => panic!("line {line}: unknown block {info:?}"),
        }
    }
    assert!(examples > 30, "{examples} were found");
}
