//! Tests the library's pipeline with arbitrary lines: each has exactly one outcome.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, LazyLock};

use proptest::prelude::*;
use standpipe::config::{Overrides, RawSettings, Settings, parse};
use standpipe::run::{Run, RunOptions, Summary};
use standpipe::source::Input;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_tests::DeadLetter;
use standpipe_tests::oracle::{Oracle, Streams, assert_same};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CASES: u32 = 64;
const ROWS: &[(&str, &str)] = &[("named", "by-name"), ("TRACK", "by-type"), ("ß", "bare")];
const SETTINGS: &str =
    "workers = 2\n[delivery]\nmax_delay = '1ms'\n[streams.bare]\nnewline = false";

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().expect("a runtime"));

proptest! {
    #![proptest_config(ProptestConfig { cases: CASES, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_is_accounted_for_once(
        lines in prop::collection::vec(any_line(), 0..60),
        last_newline in any::<bool>(),
        refusals in any::<bool>(),
    ) {
        let mut input = lines.join(&b"\n"[..]);
        input.extend(last_newline.then_some(b'\n'));
        let (summary, accepted, dead_letters) = run_pipeline(&input, refusals);
        let fate = Oracle { rows: ROWS, without_newline: &["bare"] }.expected_outcome(&input);

        let events = fate.delivered_count() + fate.filtered;
        prop_assert_eq!(summary.read, events + fate.not_events.len() as u64);
        prop_assert_eq!((summary.delivered, summary.filtered), (fate.delivered_count(), fate.filtered));
        prop_assert_eq!((summary.dead, summary.undelivered), (fate.not_events.len() as u64, 0));
        prop_assert_eq!(summary.read, summary.delivered + summary.filtered + summary.dead);
        assert_same(&fate.streams, &accepted);
        let dead_lettered = dead_letters.into_iter().map(|dead_letter| (dead_letter.line, dead_letter.event));
        prop_assert_eq!(dead_lettered.collect::<BTreeMap<_, _>>(), fate.not_events);
    }
}

fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let word =
        prop::sample::select(vec!["named", "NAMED", "track", "Track", "ß", "SS", "page", ""]);
    let event = (word.clone(), word, ".{0,20}").prop_map(|(event, message_type, fill)| {
        serde_json::json!({"type": message_type, "event": event, "fill": fill}).to_string()
    });
    let odd = prop::sample::select(vec![
        "",
        " ",
        "\r",
        "[]",
        "7",
        "\"named\"",
        "null",
        "{",
        "{}",
        "{\"type\":7}",
        "{\"event\":null}",
        "{\"type\":\"track\"}\r",
        "{\"event\":\"named\",\"event\":[]}",
        "\u{feff}{}",
        "{} {}",
        " {} ",
    ]);
    prop_oneof![
        4 => event.prop_map(String::into_bytes),
        2 => odd.prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..12).prop_map(without_line_feeds),
    ]
    .prop_filter("a byte order mark is dropped at the start", |line| {
        !line.starts_with(b"\xef\xbb\xbf")
    })
}

fn without_line_feeds(mut bytes: Vec<u8>) -> Vec<u8> {
    bytes.retain(|&byte| byte != b'\n');
    bytes
}

/// Runs the pipeline in this process, with a Firehose in memory that sometimes rejects a record.
fn run_pipeline(input: &[u8], refusals: bool) -> (Summary, Streams, Vec<DeadLetter>) {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().join("input.ndjson");
    std::fs::write(&path, input).expect("a file");
    let script = move |_: &_, _: &_, number: usize| match number % 3 {
        1 if refusals => InjectedFault::Refuse(vec![0], "ServiceUnavailableException"),
        _ => InjectedFault::None,
    };
    let port = Arc::new(FaultyClient::new(script));
    let settings = run_settings(&path, directory.path());
    let summary = RUNTIME.block_on(async {
        let options = RunOptions { firehose_client: Some(port.clone()), ..RunOptions::default() };
        let run = Run::start(settings, options, RUNTIME.handle()).await;
        run.expect("good settings").finish().await
    });
    let accepted = port.accepted().into_iter().map(|(name, records)| (name.to_string(), records));
    let accepted = accepted.filter(|(_, records)| !records.is_empty()).collect();
    (summary, accepted, DeadLetter::read_all(directory.path()))
}

fn run_settings(input: &Path, directory: &Path) -> Settings {
    let cache = directory.join("cache");
    standpipe_tests::compiled::link_shared_plugins(&cache);
    let raw: RawSettings = parse(SETTINGS).expect("good settings");
    let overrides = Overrides {
        inputs: vec![Input::File(input.to_owned())],
        mappings: ROWS
            .iter()
            .map(|(event, stream)| ((*event).to_owned(), (*stream).to_owned()))
            .collect(),
        local: Some(directory.join("unused")),
        data_dir: Some(directory.to_owned()),
        ..Overrides::default()
    };
    raw.check(directory, overrides).expect("good settings")
}
