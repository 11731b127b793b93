//! Tests the default mapping through the SDK's harness: name before type before `*`, fan-out,
//! unmapped events and rejected settings. `documentation` runs the examples of the docs, `settings`
//! checks the errors.

mod documentation;
mod settings;

use standpipe_plugin::Event;
use standpipe_plugin::testing::{Decision, Harness, deliver, event};

use crate::Mapping;

fn configure_mapping(settings: &str) -> Harness<Mapping> {
    Harness::configure(settings).expect("good settings")
}

fn rows_json(rows: &[(&str, &str)]) -> String {
    let rows =
        rows.iter().map(|(event, stream)| serde_json::json!({"event": event, "stream": stream}));
    serde_json::json!({"mappings": rows.collect::<Vec<_>>()}).to_string()
}

fn map_event(
    plugin: &mut Harness<Mapping>,
    name: Option<&str>,
    message_type: Option<&str>,
) -> Vec<Decision> {
    plugin.map(Event {
        name: name.map(str::to_owned),
        message_type: message_type.map(str::to_owned),
        ..event("")
    })
}

#[test]
fn name_beats_type_beats_any() {
    let all = [("Order Completed", "orders"), ("track", "tracks"), ("*", "rest")];
    for (rows_left, expected) in [(&all[..], "orders"), (&all[1..], "tracks"), (&all[2..], "rest")]
    {
        let mut plugin = configure_mapping(&rows_json(rows_left));
        assert_eq!(
            map_event(&mut plugin, Some("order COMPLETED"), Some("track")),
            [deliver(expected)]
        );
    }
}

#[test]
fn order_of_rows_does_not_matter_between_levels() {
    let mut plugin =
        configure_mapping(&rows_json(&[("*", "rest"), ("track", "tracks"), ("A", "a")]));
    assert_eq!(map_event(&mut plugin, Some("A"), Some("track")), [deliver("a")]);
}

#[test]
fn the_last_of_two_rows_counts_and_an_empty_stream_falls_through() {
    let mut plugin = configure_mapping(&rows_json(&[
        ("A", "one"),
        ("a", "two"),
        ("B", "b"),
        ("b", ""),
        ("track", "t"),
    ]));
    assert_eq!(map_event(&mut plugin, Some("A"), Some("track")), [deliver("two")]);
    assert_eq!(map_event(&mut plugin, Some("B"), Some("track")), [deliver("t")]);
}

#[test]
fn rows_without_a_usable_event_are_skipped() {
    let mut plugin = configure_mapping(
        r#"{"mappings":[{"event":"","stream":"x"},{"stream":"x"},{"event":null,"stream":"x"},
            {"event":7,"stream":"x"},{"event":true,"stream":"x"},{"event":"a","stream":"a"}]}"#,
    );
    assert_eq!(plugin.streams(), ["a"]);
    assert_eq!(map_event(&mut plugin, Some("7"), Some("true")), []);
}

#[test]
fn spaces_count_and_case_folds_as_javascript_does() {
    let mut plugin = configure_mapping(&rows_json(&[
        ("Order ", "spaced"),
        ("ΟΔΟΣ", "sigma"),
        ("straße", "street"),
    ]));
    assert_eq!(map_event(&mut plugin, Some("Order"), None), []);
    assert_eq!(map_event(&mut plugin, Some("order "), None), [deliver("spaced")]);
    assert_eq!(map_event(&mut plugin, Some("οδος"), None), [deliver("sigma")]);
    assert_eq!(map_event(&mut plugin, Some("STRAßE"), None), [deliver("street")]);
    assert_eq!(map_event(&mut plugin, Some("STRASSE"), None), []);
}

#[test]
fn names_and_types_share_one_key_space() {
    let mut plugin = configure_mapping(&rows_json(&[("page", "pages"), ("checkout", "steps")]));
    assert_eq!(map_event(&mut plugin, Some("Page"), Some("track")), [deliver("pages")]);
    assert_eq!(map_event(&mut plugin, Some("checkout"), Some("identify")), [deliver("steps")]);
}

#[test]
fn names_of_object_prototypes_are_ordinary_names() {
    let mut plugin = configure_mapping(&rows_json(&[("constructor", "c"), ("*", "rest")]));
    assert_eq!(map_event(&mut plugin, Some("constructor"), None), [deliver("c")]);
    assert_eq!(map_event(&mut plugin, Some("__proto__"), None), [deliver("rest")]);
}

#[test]
fn fan_out_delivers_to_each_matching_stream_once() {
    let mut plugin = configure_mapping(
        r#"{"fan_out":true,"mappings":[{"event":"*","stream":"all"},{"event":"track","stream":"all"},
            {"event":"A","stream":"a"},{"event":"a","stream":"b"},{"event":"track","stream":"t"}]}"#,
    );
    let streams = ["a", "b", "all", "t"].map(deliver);
    assert_eq!(map_event(&mut plugin, Some("A"), Some("track")), streams);
    assert_eq!(map_event(&mut plugin, None, None), [deliver("all")]);
    assert_eq!(map_event(&mut plugin, Some("b"), Some("track")), [deliver("all"), deliver("t")]);
}

#[test]
fn unmapped_events_are_filtered_or_rejected() {
    let mut plugin = configure_mapping(&rows_json(&[("a", "a")]));
    assert_eq!(map_event(&mut plugin, Some("b"), None), []);
    let mut plugin =
        configure_mapping(r#"{"unmapped":"dead_letter","mappings":[{"event":"a","stream":"a"}]}"#);
    assert!(matches!(map_event(&mut plugin, Some("b"), None)[..], [Decision::Reject(_)]));
}

#[test]
fn bad_settings_name_the_row() {
    let long = "x".repeat(65);
    for (settings, expected) in [
        ("{}".to_owned(), "no mapping names"),
        (r#"{"mappings":[]}"#.to_owned(), "no mapping names"),
        (rows_json(&[("a", "")]), "no mapping names"),
        (rows_json(&[("a", "ok"), ("b", "no spaces")]), "mapping 2"),
        (rows_json(&[("a", "straße")]), "mapping 1"),
        (rows_json(&[("a", long.as_str())]), "mapping 1"),
        (r#"{"mappings":[{"event":"a","stream":7}]}"#.to_owned(), "mapping 1"),
        (r#"{"mappings":[{"event":"a","to":"b"}]}"#.to_owned(), "\"to\""),
        (r#"{"mappings":["a"]}"#.to_owned(), "mapping 1"),
        (r#"{"fanout":true}"#.to_owned(), "fanout"),
        ("[]".to_owned(), "settings"),
    ] {
        let error = Harness::<Mapping>::configure(&settings).expect_err(&settings);
        assert!(error.contains(expected), "{settings}: {error}");
    }
}
