//! Tests the effect of single transforms on an event's text: fields that are dropped, allowed, set,
//! copied, changed in place and flattened. `bytes` checks that other fields keep their bytes.
//! `oracle` compares with a tree of serde_json.

mod bytes;
mod oracle;

use standpipe_plugin::Event;
use standpipe_plugin::testing::{Decision, Harness, event};

use crate::Mapping;

/// The text of an event after one transform, or `None` if it is unchanged.
fn apply_transform(actions: &str, text: &str) -> Option<String> {
    let settings = format!(
        r#"{{"mappings":[{{"event":"*","stream":"s"}}],"transforms":[{actions}],
            "secrets":{{"key":"secret"}},"tables":{{"regions":{{"DE":"eu","1":true}}}}}}"#
    );
    let mut mapping = Harness::<Mapping>::configure(&settings).expect("good settings");
    decided_text(&mapping.map(event(text)))
}

fn decided_text(decisions: &[Decision]) -> Option<String> {
    let [Decision::Deliver(stream, payload)] = decisions else { panic!("{decisions:?}") };
    assert_eq!(stream, "s");
    payload.as_ref().map(|payload| String::from_utf8(payload.clone()).expect("UTF-8"))
}

/// Checks cases of actions, an event, and the resulting text, which is the same if the event is
/// unchanged.
#[track_caller]
fn check_cases(cases: &[(&str, &str, &str)]) {
    for (actions, text, expected) in cases {
        let result = apply_transform(actions, text);
        assert_eq!(result.as_deref().unwrap_or(text), *expected, "{actions} of {text}");
    }
}

#[test]
fn fields_are_dropped_with_their_commas() {
    let drop_ab = r#"{"drop_fields":["a","b","o.x"]}"#;
    check_cases(&[
        (drop_ab, r#"{"a":1}"#, "{}"),
        (drop_ab, r#"{"a":1,"b":[2,{"c":"]"}]}"#, "{}"),
        (drop_ab, r#"{"a":1,"c":3,"b":2}"#, r#"{"c":3}"#),
        (drop_ab, r#"{"c":3,"a":1,"b":2}"#, r#"{"c":3}"#),
        (drop_ab, r#"{"c":3,"a":1,"b":2,"d":4}"#, r#"{"c":3,"d":4}"#),
        (drop_ab, r#"{ "a" : 1 , "b":2,  "c" : 3 }"#, r#"{ "c" : 3 }"#),
        (drop_ab, r#"{"c":3 , "a":1 }"#, r#"{"c":3 }"#),
        (drop_ab, r#"{"o":{"x":1,"y":2},"c":{"x":1}}"#, r#"{"o":{"y":2},"c":{"x":1}}"#),
        (drop_ab, r#"{"o":"x","c":{"a":1}}"#, r#"{"o":"x","c":{"a":1}}"#),
    ]);
}

#[test]
fn every_member_of_a_name_is_touched_and_the_last_one_is_read() {
    check_cases(&[
        (r#"{"drop_fields":["a"]}"#, r#"{"a":1,"b":2,"a":3}"#, r#"{"b":2}"#),
        (r#"{"drop_fields":["a"]}"#, r#"{"\u0061":1,"b":2}"#, r#"{"b":2}"#),
        (r#"{"set":{"a":0}}"#, r#"{"a":1,"b":2,"a":3}"#, r#"{"a":0,"b":2,"a":0}"#),
        (
            r#"{"lowercase":["o.a"]}"#,
            r#"{"o":{"a":"X"},"o":{"a":"Y"}}"#,
            r#"{"o":{"a":"x"},"o":{"a":"y"}}"#,
        ),
        (r#"{"copy":{"a":"b"}}"#, r#"{"a":1,"a":3}"#, r#"{"a":1,"a":3,"b":3}"#),
        (r#"{"copy":{"o.a":"b"}}"#, r#"{"o":{"a":1},"o":{}}"#, r#"{"o":{"a":1},"o":{}}"#),
        (r#"{"rename":{"a":"b"}}"#, r#"{"a":1,"a":3}"#, r#"{"b":3}"#),
    ]);
}

#[test]
fn only_allowed_fields_stay() {
    let allow = r#"{"allow_fields":{"p":["a","b"]}}"#;
    check_cases(&[
        (allow, r#"{"p":{"a":1,"c":2,"b":3,"d":4},"c":5}"#, r#"{"p":{"a":1,"b":3},"c":5}"#),
        (allow, r#"{"p":{"c":2}}"#, r#"{"p":{}}"#),
        (allow, r#"{"p":[{"c":2}]}"#, r#"{"p":[{"c":2}]}"#),
        (r#"{"allow_fields":{"p":[]}}"#, r#"{"p":{"c":2}}"#, r#"{"p":{}}"#),
        (r#"{"allow_fields":{"":["a"]}}"#, r#"{"p":{"c":2},"a":1}"#, r#"{"a":1}"#),
        (r#"{"allow_fields":{"p[]":["a"]}}"#, r#"{"p":[{"c":2,"a":1},3]}"#, r#"{"p":[{"a":1},3]}"#),
        (
            r#"{"allow_fields":{"":["a"]},"set":{"a":2,"b.c":3}}"#,
            r#"{"b":{"d":1},"a":1}"#,
            r#"{"a":2,"b":{"c":3}}"#,
        ),
        (r#"{"allow_fields":{"":["a"]},"default":{"b":3}}"#, r#"{"b":1}"#, r#"{"b":3}"#),
        (
            r#"{"allow_fields":{"p":["a"]},"lowercase":["p.a","p.b"]}"#,
            r#"{"p":{"b":"B","a":"A"}}"#,
            r#"{"p":{"a":"a"}}"#,
        ),
    ]);
}

#[test]
fn values_are_set_where_they_are_or_at_the_end() {
    let set = r#"{"set":{"a":1,"o.x.y":"é\n"}}"#;
    check_cases(&[
        (set, "{}", r#"{"a":1,"o":{"x":{"y":"é\n"}}}"#),
        (set, r#"{ "a" : 0 , "o":{"x":{"y":null}}}"#, r#"{ "a" : 1 , "o":{"x":{"y":"é\n"}}}"#),
        (set, r#"{"a":0,"o":null}"#, r#"{"a":1,"o":{"x":{"y":"é\n"}}}"#),
        (set, r#"{"a":0,"o":"text"}"#, r#"{"a":1,"o":"text"}"#),
        (set, r#"{"a":0,"o":{ "x":{ } }}"#, r#"{"a":1,"o":{ "x":{"y":"é\n" } }}"#),
        (r#"{"set":{"o":{"x":1,"y":{}}}}"#, r#"{"o":{"z":2}}"#, r#"{"o":{"z":2,"x":1,"y":{}}}"#),
        (r#"{"set":{"l":[1,{"a":"${b}"}]}}"#, "{}", r#"{"l":[1,{"a":"${b}"}]}"#),
        (
            r#"{"set":{"p[].c":true}}"#,
            r#"{"p":[{"a":1},{},[],null,"x",{"c":0}]}"#,
            r#"{"p":[{"a":1,"c":true},{"c":true},[],null,"x",{"c":true}]}"#,
        ),
        (r#"{"set":{"p[].c":true}}"#, "{}", "{}"),
        (r#"{"set":{"p[]":0}}"#, r#"{"p":[1,[2],{}]}"#, r#"{"p":[0,0,0]}"#),
        (r#"{"drop_fields":["a"],"set":{"b":1}}"#, r#"{"a":0}"#, r#"{"b":1}"#),
        (r#"{"default":{"a":1,"b":2,"c":3}}"#, r#"{"a":0,"b":null}"#, r#"{"a":0,"b":2,"c":3}"#),
    ]);
}

#[test]
fn values_are_copied_as_they_stand() {
    check_cases(&[
        (
            r#"{"copy":{"a":["b.c","d"]}}"#,
            r#"{"a":1.50e+01}"#,
            r#"{"a":1.50e+01,"b":{"c":1.50e+01},"d":1.50e+01}"#,
        ),
        (r#"{"copy":{"a":"b"}}"#, r#"{"b":1}"#, r#"{"b":1}"#),
        (
            r#"{"copy":{"a":"b"}}"#,
            r#"{"a":{ "x":[1, 2] },"b":1}"#,
            r#"{"a":{ "x":[1, 2] },"b":{ "x":[1, 2] }}"#,
        ),
        (r#"{"rename":{"o.a":"b"}}"#, r#"{"o":{"a":"\u00e9"}}"#, r#"{"o":{},"b":"\u00e9"}"#),
        (
            r#"{"rename":{"p[].a":"p[].b"}}"#,
            r#"{"p":[{"a":1},{"b":2},{"a":3,"b":4}]}"#,
            r#"{"p":[{"b":1},{"b":2},{"b":3}]}"#,
        ),
        (
            r#"{"copy":{"u":"p[].u"}}"#,
            r#"{"p":[{},{"u":0}],"u":7}"#,
            r#"{"p":[{"u":7},{"u":7}],"u":7}"#,
        ),
        // Every action reads the original event.
        (r#"{"copy":{"a":"b","b":"a"}}"#, r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#),
        (r#"{"drop_fields":["a"],"copy":{"a":"b"},"hash":["c"]}"#, r#"{"a":1}"#, r#"{"b":1}"#),
        (
            r#"{"lookup":[{"from":"c","table":"regions","to":"r"}]}"#,
            r#"{"c":"\u0044E"}"#,
            r#"{"c":"\u0044E","r":"eu"}"#,
        ),
        (
            r#"{"lookup":[{"from":"c","table":"regions","to":"r"}]}"#,
            r#"{"c":1}"#,
            r#"{"c":1,"r":true}"#,
        ),
        (
            r#"{"lookup":[{"from":"c","table":"regions","to":"r"}]}"#,
            r#"{"c":"FR"}"#,
            r#"{"c":"FR"}"#,
        ),
        (
            r#"{"lookup":[{"from":"c","table":"regions","to":"r","default":"row"}]}"#,
            "{}",
            r#"{"r":"row"}"#,
        ),
        (
            r#"{"set":{"t":"${a}-${b | default 'x' | upper}"}}"#,
            r#"{"a":7}"#,
            r#"{"a":7,"t":"7-X"}"#,
        ),
        (r#"{"set":{"t":"${a}-${b}"}}"#, r#"{"a":7,"t":1}"#, r#"{"a":7,"t":1}"#),
        (r#"{"set":{"t":"$${a}"}}"#, "{}", r#"{"t":"${a}"}"#),
        (
            r#"{"partition_keys":{"t":"o.t","d":"${ts | date}"}}"#,
            r#"{"o":{"t":"a\"b"},"ts":"2026-08-01T00:00:00Z"}"#,
            r#"{"o":{"t":"a\"b"},"ts":"2026-08-01T00:00:00Z","partition_keys":{"d":"2026-08-01","t":"a\"b"}}"#,
        ),
        (
            r#"{"partition_keys":{"t":"t"}}"#,
            r#"{"t":"","partition_keys":1}"#,
            r#"{"t":"","partition_keys":{"t":"unknown"}}"#,
        ),
    ]);
}

#[test]
fn values_are_changed_in_place() {
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hashed = format!(r#"{{"a":"{sha}"}}"#);
    check_cases(&[
        (
            r#"{"lowercase":["a","p[].b"]}"#,
            r#"{"a":"ÀB","p":[{"b":"C"},{"b":7}]}"#,
            r#"{"a":"àb","p":[{"b":"c"},{"b":7}]}"#,
        ),
        (r#"{"lowercase":["a"]}"#, r#"{"a":"\u0061b"}"#, r#"{"a":"\u0061b"}"#),
        (r#"{"uppercase":["a"]}"#, r#"{"a":"\u0061\"\u0001"}"#, r#"{"a":"A\"\u0001"}"#),
        (r#"{"trim":["a","b"]}"#, r#"{"a":" x ","b":[" "]}"#, r#"{"a":"x","b":[" "]}"#),
        (
            r#"{"to_string":["a","b","c","d","e"]}"#,
            r#"{"a":9007199254740993,"b":null,"c":"x","d":true,"e":[1, "x"]}"#,
            r#"{"a":"9007199254740993","b":null,"c":"x","d":"true","e":"[1, \"x\"]"}"#,
        ),
        (
            r#"{"to_number":["a","b","c","d"]}"#,
            r#"{"a":" 12.50 ","b":"007","c":true,"d":"-1e5"}"#,
            r#"{"a":12.50,"b":"007","c":1,"d":-1e5}"#,
        ),
        (
            r#"{"to_bool":["a","b","c","d"]}"#,
            r#"{"a":"Yes","b":0,"c":"maybe","d":true}"#,
            r#"{"a":true,"b":false,"c":"maybe","d":true}"#,
        ),
        (r#"{"truncate":{"a":2}}"#, r#"{"a":"é😀x"}"#, r#"{"a":"é😀"}"#),
        (r#"{"truncate":{"a":2}}"#, r#"{"a":"é\u0021"}"#, r#"{"a":"é\u0021"}"#),
        (r#"{"truncate":{"a":0}}"#, r#"{"a":"é"}"#, r#"{"a":""}"#),
        (
            r#"{"redact":["a","b"]}"#,
            r#"{"a":{"x":[1]},"b":null}"#,
            r#"{"a":"[redacted]","b":null}"#,
        ),
        (r#"{"redact":[{"path":"a","with":"?"}]}"#, r#"{"a":1}"#, r#"{"a":"?"}"#),
        (r#"{"hash":["a"]}"#, r#"{"a":"\u0061bc"}"#, &hashed),
        (r#"{"trim":["a"],"lowercase":["a"],"hash":["a"]}"#, r#"{"a":" ABC"}"#, &hashed),
        (r#"{"hash":["a"]}"#, r#"{"a":null,"b":"abc"}"#, r#"{"a":null,"b":"abc"}"#),
        (
            r#"{"hash":[{"path":"a","secret":"key"}]}"#,
            r#"{"a":"abc"}"#,
            r#"{"a":"9946dad4e00e913fc8be8e5d3f7e110a4a9e832f83fb09c345285d78638d8a0e"}"#,
        ),
    ]);
}

#[test]
fn objects_are_flattened() {
    check_cases(&[
        (
            r#"{"flatten":{"o":"_"}}"#,
            r#"{"o":{"a":{"b":1,"c":{"d":[{"e":1}]}},"f":{}}}"#,
            r#"{"o":{"a_b":1,"a_c_d":[{"e":1}],"f":{}}}"#,
        ),
        (r#"{"flatten":{"":"."}}"#, r#"{"a":{"\u0062":1.0},"c":2}"#, r#"{"a.\u0062":1.0,"c":2}"#),
        (r#"{"flatten":{"":"\""}}"#, r#"{"a":{"b":1}}"#, r#"{"a\"b":1}"#),
        (r#"{"flatten":{"o":"_"}}"#, r#"{"o":{"a":1 , "b":[ ]}}"#, r#"{"o":{"a":1 , "b":[ ]}}"#),
        (r#"{"flatten":{"p[]":"_"}}"#, r#"{"p":[{"a":{"b":1}},2]}"#, r#"{"p":[{"a_b":1},2]}"#),
    ]);
}

#[test]
fn copied_values_cannot_exceed_the_size_limit() {
    let key = "k".repeat(10_000);
    let members: Vec<_> = (0..10_000).map(|number| format!("\"{number}\":1")).collect();
    let text = format!(r#"{{"o":{{"{key}":{{{}}}}}}}"#, members.join(","));
    assert_eq!(apply_transform(r#"{"flatten":{"o":"_"}}"#, &text), None);
    let text = format!(r#"{{"a":"{key}","p":[{}{{}}]}}"#, "{},".repeat(10_000));
    let made = apply_transform(r#"{"copy":{"a":"p[].a"}}"#, &text).expect("it is changed");
    assert!(made.len() < 17 * 1024 * 1024, "{}", made.len());
    assert!(serde_json::from_str::<serde_json::Value>(&made).is_ok());
}

#[test]
fn actions_on_one_field_run_in_stage_order() {
    check_cases(&[
        (
            r#"{"rename":{"a":"b"},"lowercase":["b"],"set":{"c":"X"},"truncate":{"c":0}}"#,
            r#"{"a":"XY"}"#,
            r#"{"b":"xy","c":""}"#,
        ),
        (
            r#"{"to_string":["o.a.b"],"flatten":{"o":"_"}}"#,
            r#"{"o":{"a":{"b":1}}}"#,
            r#"{"o":{"a_b":"1"}}"#,
        ),
        (
            r#"{"allow_fields":{"o":["a"]},"flatten":{"o":"_"}}"#,
            r#"{"o":{"a":{"b":1},"c":2}}"#,
            r#"{"o":{"a_b":1}}"#,
        ),
        (
            r#"{"allow_fields":{"o":["a"]},"hash":["o"]}"#,
            r#"{"o":{"a":1,"b":2}}"#,
            r#"{"o":"015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"}"#,
        ),
    ]);
}

#[test]
fn values_that_are_not_objects_are_unchanged() {
    let everything = r#"{"drop_fields":["a"],"set":{"b":1},"hash":["c"],"copy":{"d":"e"}}"#;
    for text in [
        "",
        " ",
        "7",
        "[]",
        "\"",
        "{",
        "{\"",
        "{\"a",
        "{\"a\":",
        "{\"a\"}",
        "{\"c\":\"",
        "}{",
        "{,}",
        "{\"c\":}",
    ] {
        let _ = apply_transform(everything, text);
    }
    assert_eq!(apply_transform(everything, "[{\"a\":1}]"), None);
}

#[test]
fn events_of_one_instance_do_not_mix() {
    let settings = r#"{"mappings":[{"event":"*","stream":"s"}],
        "transforms":[{"copy":{"a":"p[].a","p[].x":"p[].y"},"when":"k != true"}]}"#;
    let mut mapping = Harness::<Mapping>::configure(settings).expect("good settings");
    let mut run = |text: &str| decided_text(&mapping.map(Event { ..event(text) }));
    assert_eq!(
        run(r#"{"a":1,"p":[{"x":2}]}"#).as_deref(),
        Some(r#"{"a":1,"p":[{"x":2,"a":1,"y":2}]}"#)
    );
    assert_eq!(run(r#"{"p":[{}]}"#), None);
    assert_eq!(run(r#"{"a":1,"p":[{"x":2}],"k":true}"#), None);
}
