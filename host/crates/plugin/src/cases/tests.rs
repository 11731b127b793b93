//! Tests cases with the default mapping: passing cases, readable differences, and invalid files
//! with the position of the mistake.

use std::convert::Infallible;

use proptest::prelude::*;

use super::*;
use crate::{Decision, LoadError, Output, OutputTarget};

const ROWS: &str = r#"{"mappings":[{"event":"A","stream":"a"}],"unmapped":"dead_letter"}"#;

fn parse(text: &str) -> Cases {
    Cases::parse(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn one(case: &str) -> Cases {
    parse(&format!(r#"{{"settings":{ROWS},"cases":[{case}]}}"#))
}

fn native(settings: &str) -> Result<Result<Plugin, LoadError>, Infallible> {
    Ok(Plugin::native(settings))
}

/// Returns the failure of a case with the default mapping.
fn failure_of(case: &str) -> Option<String> {
    let failures = one(case).run_all("{}", native).unwrap();
    failures.first().map(ToString::to_string)
}

#[test]
fn cases_that_come_out_as_expected_are_silent() {
    for case in [
        r#"{"name":"n","event":{"event":"a"},"expect":[{"stream":"a"}]}"#,
        r#"{"name":"n","event":"{ \"event\":\"A\" }","expect":[{"stream":"a","payload":"{ \"event\":\"A\" }"}]}"#,
        r#"{"name":"n","event":{"event":"A","n":1.50},"expect":[{"stream":"a","payload":{"n":1.5,"event":"A"}}]}"#,
        r#"{"name":"n","event":{},"expect":{"reject":"no mapping matches"}}"#,
        r#"{"name":"n","settings":{"mappings":[{"event":"x","stream":"s"}]},"event":{},"expect":[]}"#,
    ] {
        assert_eq!(failure_of(case), None, "{case}");
    }
}

#[test]
fn differences_are_readable() {
    for (case, lines) in [
        (
            r#"{"name":"n","event":{"event":"a"},"expect":[{"stream":"b"}]}"#,
            "FAILED \"n\" (case 1)\n  - expected b: the event's text as received\n  \
             + got      a: the event's text as received",
        ),
        (
            r#"{"name":"n","event":{"event":"a","p":{"x":[1,2]}},"expect":[{"stream":"a","payload":{"event":"a","p":{"x":[1,3]}}}]}"#,
            "FAILED \"n\" (case 1)\n    the payload to a differs at /p/x/1\n  - expected 3\n  + got      2",
        ),
        (
            r#"{"name":"n","event":{"event":"a"},"expect":[{"stream":"a","payload":"{\"event\":\"b\"}"}]}"#,
            "FAILED \"n\" (case 1)\n    the payload to a differs from byte 10\n  - expected b\"}\n  + got      a\"}",
        ),
        (
            r#"{"name":"n","event":{"event":"b"},"expect":[]}"#,
            "FAILED \"n\" (case 1)\n  - expected no rejection\n  + got      a rejection: \"no mapping matches \
             the event's name or type, and there is no mapping for *\"",
        ),
        (
            r#"{"name":"n","settings":{"mappings":[{"event":"x","stream":"s"}]},"event":{},"expect":[{"stream":"s"}]}"#,
            "FAILED \"n\" (case 1)\n  - expected s: the event's text as received\n  + got      nothing: the event is filtered",
        ),
        (
            r#"{"name":"n","settings":{},"event":{"event":"b"},"expect":[]}"#,
            "FAILED \"n\" (case 1)\n  ! it refuses its settings: no mapping names both",
        ),
    ] {
        let failure = failure_of(case).unwrap_or_else(|| panic!("no failure: {case}"));
        assert!(failure.starts_with(lines), "{failure}\n{lines}");
    }
}

#[test]
fn an_object_takes_no_payload_that_a_text_asks_for() {
    let plugin = Plugin::native(ROWS).unwrap();
    let payloads = [r#"{"x":1}"#, r#"{ "x": 1 }"#];
    let output = |payload: &str| {
        let decision = Decision::Deliver(OutputTarget::Declared(0), Some(payload.into()));
        Output { input: 0, decision }
    };
    let expected = r#"[{"stream":"a","payload":{"x":1}},{"stream":"a","payload":"{\"x\":1}"}]"#;
    let expected: Expected = serde_json::from_str(expected).unwrap();
    let outputs = payloads.map(output);
    assert_eq!(expected.compare("{}", &plugin, &outputs), []);
    let outputs = [output("{}"), output(payloads[0])];
    let differences = expected.compare("{}", &plugin, &outputs);
    let [CaseDifference::Payload { place, .. }] = &differences[..] else {
        panic!("{differences:?}")
    };
    assert_eq!(place, "at /x");
}

#[test]
fn cases_without_settings_run_with_those_of_production() {
    let cases = parse(
        r#"{"cases":[{"name":"one","event":{"event":"a"},"expect":[{"stream":"prod"}]},
            {"name":"two","event":{"event":"a"},"settings":{"mappings":[{"event":"a","stream":"own"}]},"expect":[{"stream":"own"}]},
            {"name":"three","event":{},"expect":[{"stream":"prod"}]}]}"#,
    );
    let without_settings = cases.0.iter().filter(|case| case.settings.is_none()).count();
    assert_eq!((cases.len(), without_settings), (3, 2));
    let production = r#"{"mappings":[{"event":"a","stream":"prod"}]}"#;
    let mut mapper = Mapper::new(Plugin::native(production).unwrap());
    let failures = cases.run(&mut mapper);
    assert_eq!(failures.iter().map(|failure| failure.number).collect::<Vec<_>>(), [3]);
    let mut loads = 0;
    let failures = cases.run_all(production, |settings| {
        loads += 1;
        native(settings)
    });
    assert_eq!((failures.unwrap().len(), loads), (1, 2));
}

#[test]
fn what_is_no_case_is_refused_with_its_place() {
    for (text, words) in [
        ("", "line 1"),
        ("{}", "missing field `cases`"),
        (r#"{"cases":[]}"#, "add at least one case"),
        (
            r#"{"case":[]}"#,
            "unknown field `case`, expected `settings` or `cases` at line 1 column 7",
        ),
        (
            "{\"cases\":[\n{\"name\":\"n\",\"evnt\":{}}]}",
            "unknown field `evnt`, expected one of `name`",
        ),
        (r#"{"cases":[{"name":"n","event":1,"expect":[]}]}"#, "`event` must be an object"),
        (r#"{"cases":[{"name":"n","event":"{","expect":[]}]}"#, "never reaches a plugin"),
        (r#"{"cases":[{"name":"n","event":"[]","expect":[]}]}"#, "JSON, but not an object"),
        (r#"{"cases":[{"name":"n","event":{},"expect":null}]}"#, "an array of deliveries, or"),
        (r#"{"cases":[{"name":"n","event":{},"expect":{"rejects":"x"}}]}"#, "expected `reject`"),
        (
            r#"{"cases":[{"name":"n","event":{},"expect":[{"stream":"a b"}]}]}"#,
            "not the name of a delivery stream",
        ),
        (
            r#"{"cases":[{"name":"n","event":{},"expect":[{"to":"a"}]}]}"#,
            "expected `stream` or `payload`",
        ),
        (
            r#"{"cases":[{"name":"n","event":{},"expect":[{"stream":"a","payload":7}]}]}"#,
            "`payload` must be",
        ),
        (r#"{"settings":[],"cases":[]}"#, "`settings` must be an object"),
        (r#"{"cases":[{"name":"n","event":{},"expect":[]}]} x"#, "trailing characters"),
    ] {
        let error = Cases::parse(text.as_bytes()).expect_err(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    }
}

#[test]
fn a_directory_is_read_in_the_order_of_names() {
    let directory = tempfile::TempDir::new().unwrap();
    let write = |name: &str, case: &str| {
        let text = format!(r#"{{"cases":[{{"name":"{case}","event":{{}},"expect":[]}}]}}"#);
        fs::write(directory.path().join(name), text).unwrap();
    };
    let error = Cases::read(directory.path()).expect_err("empty").to_string();
    assert!(error.contains("no *.json"), "{error}");
    write("b.json", "second");
    write("a.json", "first");
    write("c.txt", "no case");
    let cases = Cases::read(directory.path()).unwrap();
    let names: Vec<_> = cases.0.iter().map(|case| case.name.as_str()).collect();
    assert_eq!(names, ["first", "second"]);
    fs::write(directory.path().join("d.json"), "{").unwrap();
    let error = Cases::read(directory.path()).expect_err("no JSON").to_string();
    assert!(error.contains("d.json: ") && error.contains("line 1"), "{error}");
    let error = Cases::read(&directory.path().join("none")).expect_err("missing").to_string();
    assert!(error.contains("check the path"), "{error}");
}

proptest! {
    #[test]
    fn reading_never_panics(text in ".*") {
        let _ = Cases::parse(text.as_bytes());
    }

    /// Texts similar to cases. If such a text can be parsed, its cases can be run.
    #[test]
    fn whatever_is_read_can_be_run(
        event in "[ {}\\[\\]:,\"a1\\\\]{0,12}", expect in "[ {}\\[\\]:,\"stream1]{0,24}", own in any::<bool>(),
    ) {
        let quoted = serde_json::to_string(&event).unwrap();
        for event in [&event, &quoted] {
            let own = if own { format!("\"settings\":{event},") } else { String::new() };
            let case = format!("{{{own}\"name\":\"n\",\"event\":{event},\"expect\":{expect}}}");
            let text = format!(r#"{{"settings":{ROWS},"cases":[{case}]}}"#);
            if let Ok(cases) = Cases::parse(text.as_bytes()) {
                cases.run_all("{}", native).expect("it is a plugin");
            }
        }
    }
}
