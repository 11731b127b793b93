//! Tests the meaning of the settings of transforms and mappings, and their mistakes.

use standpipe_plugin::testing::{Decision, Harness, deliver, event};
use standpipe_plugin::{Event, Plugin as _, Setup};

use crate::Mapping;

fn row_json(more: &str) -> String {
    format!(r#"{{"mappings":[{{"event":"*","stream":"all"}}]{more}}}"#)
}

fn transform_json(actions: &str) -> String {
    row_json(&format!(r#","transforms":[{{"drop_fields":["x"]}},{actions}]"#))
}

#[test]
fn errors_name_the_place_and_the_fix() {
    for (settings, expected) in [
        (
            transform_json(r#"{"drop_field":["a"]}"#),
            &["transform 2", "drop_field", "did you mean `drop_fields`?"][..],
        ),
        (transform_json(r#"{"zzz":1}"#), &["transform 2", "known here: `name`, `when`, `sample`"]),
        (transform_json("7"), &["transform 2", "not a table"]),
        (transform_json("{}"), &["transform 2", "does nothing"]),
        (transform_json(r#"{"when":"type ="}"#), &["transform 2", "`when`", "column"]),
        (transform_json(r#"{"when":"all"}"#), &["transform 2", "does nothing"]),
        (transform_json(r#"{"sample":101}"#), &["transform 2", "0 to 100"]),
        (transform_json(r#"{"sample":{"by":"a"}}"#), &["transform 2", "percent = 10"]),
        (
            transform_json(r#"{"sample":{"percent":1,"by":"a[].b"}}"#),
            &["transform 2", "leave `[]` out"],
        ),
        (transform_json(r#"{"drop":"yes"}"#), &["`drop`", "true or false"]),
        (transform_json(r#"{"drop_fields":{"a":1}}"#), &["`drop_fields`", "list of strings"]),
        (transform_json(r#"{"drop_fields":["a..b"]}"#), &["`drop_fields`", "empty name"]),
        (
            transform_json(r#"{"drop_fields":["a[]"]}"#),
            &["`drop_fields`", "leave the last `[]` out"],
        ),
        (transform_json(r#"{"allow_fields":["a"]}"#), &["`allow_fields`", "table of paths"]),
        (transform_json(r#"{"allow_fields":{"a":"b"}}"#), &["`allow_fields`", "lists of names"]),
        (
            transform_json(r#"{"drop_fields":["a"],"set":{"a.b":1}}"#),
            &["transform 2", "same place", "`a.b`"],
        ),
        (
            transform_json(r#"{"allow_fields":{"a.b":[]},"set":{"a":1}}"#),
            &["transform 2", "same place"],
        ),
        (transform_json(r#"{"set":{"":1}}"#), &["`set`", "empty"]),
        (transform_json(r#"{"set":{"a":"${"}}"#), &["`set`", "without its `}`"]),
        (transform_json(r#"{"rename":{"a":["b","c"]}}"#), &["`rename`", "use `copy`"]),
        (transform_json(r#"{"copy":{"a":7}}"#), &["`copy`", "a string"]),
        (transform_json(r#"{"copy":{"a[].b":"c"}}"#), &["`copy`", "many values"]),
        (transform_json(r#"{"copy":{"a[].b":"c[].b"}}"#), &["`copy`", "many values"]),
        (
            transform_json(r#"{"lookup":[{"from":"a","to":"b","table":"regions"}]}"#),
            &["`lookup`", "[plugin.settings.tables.regions]"],
        ),
        (transform_json(r#"{"lookup":[{"from":"a","table":"t"}]}"#), &["`lookup`", "wants `to`"]),
        (transform_json(r#"{"partition_keys":{}}"#), &["`partition_keys`", "tenant ="]),
        (transform_json(r#"{"partition_keys":{"a":1}}"#), &["`partition_keys`", "tenant ="]),
        (transform_json(r#"{"truncate":{"a":-1}}"#), &["`truncate`", "number of characters"]),
        (transform_json(r#"{"lowercase":["a"],"hash":["a.b"]}"#), &["transform 2", "same place"]),
        (
            transform_json(r#"{"hash":[{"path":"a","with":"md5"}]}"#),
            &["`hash`", "`sha256`, `hmac-sha256`"],
        ),
        (
            transform_json(r#"{"hash":[{"path":"a","with":"hmac-sha256"}]}"#),
            &["`hash`", "wants a secret"],
        ),
        (
            transform_json(r#"{"hash":[{"path":"a","secret":"pii"}]}"#),
            &["`hash`", "\"pii\"", "secrets"],
        ),
        (transform_json(r#"{"hash":[{"with":"sha256"}]}"#), &["`hash`", "wants `path`"]),
        (transform_json(r#"{"redact":[{"with":"x"}]}"#), &["`redact`", "wants `path` or `find`"]),
        (
            transform_json(r#"{"redact":[{"find":["mail"]}]}"#),
            &["`redact`", "did you mean `email`?"],
        ),
        (transform_json(r#"{"redact":[{"find":[]}]}"#), &["`redact`", "empty"]),
        (
            transform_json(r#"{"timestamp":[{"path":"a","to":"rfc"}]}"#),
            &["`timestamp`", "%d.%m.%Y"],
        ),
        (transform_json(r#"{"timestamp":[{"path":"a","zone":"Mars"}]}"#), &["`timestamp`", "Mars"]),
        (transform_json(r#"{"flatten":{"a":1}}"#), &["`flatten`", "between keys"]),
        (
            transform_json(r#"{"name":"a","drop":true},{"name":"a","drop":true}"#),
            &["transform 3", "`name`", "rename"],
        ),
        (transform_json(r#"{"name":"a","drop":true}"#), &["\"a\"", "no mapping names"]),
        (row_json(r#","secrets":{"pii":""}"#), &["`secrets`", "\"pii\"", "not empty"]),
        (row_json(r#","tables":{"t":1}"#), &["`tables`", "[plugin.settings.tables.t]"]),
        (row_json(r#","integrations":7"#), &["`integrations`"]),
        (row_json(r#","consent":{"categories":[]}"#), &["consent", "categories"]),
        (
            row_json(r#","consent":{"strategy":"xor","categories":["a"]}"#),
            &["`strategy`", "\"and\""],
        ),
        (row_json(r#","unmapped":"keep""#), &["`unmapped`", "dead_letter"]),
        (row_json(r#","transform":[]"#), &["did you mean `transforms`?"]),
        (
            r#"{"mappings":[{"event":"a","stream":"b","transform":"c"}]}"#.to_owned(),
            &["mapping 1", "\"c\""],
        ),
        (
            r#"{"mappings":[{"event":"a","stream":"b","when":"("}]}"#.to_owned(),
            &["mapping 1", "`when`"],
        ),
        (
            r#"{"mappings":[{"event":"a","stream":"b","drop":true}]}"#.to_owned(),
            &["mapping 1", "leave `stream` out"],
        ),
        (
            r#"{"mappings":[{"event":"a","stream":"b","hash":[7]}]}"#.to_owned(),
            &["mapping 1", "`hash`"],
        ),
    ] {
        let error = Harness::<Mapping>::configure(&settings).expect_err(&settings);
        for part in expected {
            assert!(error.contains(part), "{settings}: {error:?} has no {part:?}");
        }
    }
}

#[test]
fn secrets_are_not_shown() {
    let settings = row_json(
        r#","secrets":{"pii":"hunter2"},"transforms":[{"hash":[{"path":"a","secret":"pii"}]}]"#,
    );
    let mapping = Mapping::configure(&settings, &mut Setup::default()).expect("good settings");
    assert!(!format!("{mapping:?}").contains("hunter2"));
    for wrong in [
        r#","secrets":{"pii":["hunter2"]}"#,
        r#","secrets":{"a":"hunter2"},"transforms":[{"hash":[{"path":"a","secret":"b"}]}]"#,
    ] {
        let error = Mapping::configure(&row_json(wrong), &mut Setup::default()).expect_err(wrong);
        assert!(!error.contains("hunter2"), "{error}");
    }
}

#[test]
fn texts_are_read_only_where_they_matter() {
    let all = r#"{"event":"*","stream":"all"}"#;
    for (settings, reads_text) in [
        (row_json(""), false),
        (row_json(r#","integrations":false,"transforms":[]"#), false),
        (row_json(r#","transforms":[{"when":"type = 'page'","drop":true}]"#), false),
        (row_json(r#","transforms":[{"sample":10}]"#), false),
        (
            format!(
                r#"{{"mappings":[{all},{{"event":"a","stream":"b","when":"type = 'track'"}}]}}"#
            ),
            false,
        ),
        (
            format!(r#"{{"mappings":[{all},{{"event":"a","stream":"b","when":"userId = 'x'"}}]}}"#),
            true,
        ),
        (format!(r#"{{"mappings":[{all},{{"event":"a","stream":"b-${{x}}"}}]}}"#), true),
        (format!(r#"{{"mappings":[{all},{{"event":"a","stream":"b","trim":["x"]}}]}}"#), true),
        (row_json(r#","transforms":[{"sample":{"percent":10,"by":"userId"}}]"#), true),
        (row_json(r#","transforms":[{"drop_fields":["a"]}]"#), true),
        (row_json(r#","integrations":true"#), true),
        (row_json(r#","consent":{"categories":["a"]}"#), true),
    ] {
        let mapping = Mapping::configure(&settings, &mut Setup::default()).expect(&settings);
        assert_eq!(mapping.reads_text(), reads_text, "{settings}");
    }
}

#[test]
fn conditions_on_type_and_name_need_no_text() {
    let settings = r#"{"mappings":[{"event":"A","stream":"a"},{"event":"A","stream":"b","when":"type = 'track'"},
        {"event":"*","stream":"rest"}],"transforms":[{"when":"match(event, 'test *')","drop":true}]}"#;
    let mut harness = Harness::<Mapping>::configure(settings).expect("good settings");
    let mut map = |name: &str, message_type: &str| {
        let some = |word: &str| Some(word.to_owned()).filter(|word| !word.is_empty());
        harness.map(Event { name: some(name), message_type: some(message_type), ..event("") })
    };
    assert_eq!(map("a", "track"), [deliver("b")]);
    assert_eq!(map("a", "page"), [deliver("a")]);
    assert_eq!(map("a", ""), [deliver("a")]);
    assert_eq!(map("test \"7\"", "track"), []);
    assert_eq!(map("", ""), [deliver("rest")]);
}

#[test]
fn rows_whose_condition_fails_are_skipped() {
    let settings = r#"{"unmapped":"dead_letter","mappings":[
        {"event":"a","stream":"one"},
        {"event":"A","stream":"two","when":"x = 2"},
        {"event":"a","stream":"","when":"x = 3"},
        {"event":"track","stream":"tracks","when":"x > 0"}]}"#;
    let mut harness = Harness::<Mapping>::configure(settings).expect("good settings");
    let mut map = |name: &str, text: &str| {
        harness.map(Event {
            name: Some(name.to_owned()),
            message_type: Some("track".to_owned()),
            ..event(text)
        })
    };
    assert_eq!(map("a", r#"{"x":1}"#), [deliver("one")]);
    assert_eq!(map("a", r#"{"x":2}"#), [deliver("two")]);
    assert_eq!(map("a", r#"{"x":3}"#), [deliver("tracks")]);
    assert_eq!(map("b", r#"{"x":3}"#), [deliver("tracks")]);
    assert!(matches!(map("b", r#"{"x":0}"#)[..], [Decision::Reject(_)]));
}

#[test]
fn fan_out_rows_are_independent() {
    let settings = r#"{"fan_out":true,"transforms":[{"set":{"z":0}},{"name":"n","when":"a = 1","drop_fields":["a"]}],"mappings":[
        {"event":"*","stream":"s","transform":"n"},
        {"event":"*","stream":"t","set":{"b":2},"transform":["n"]},
        {"event":"*","stream":"s","set":{"b":3}},
        {"event":"*","stream":"u","sample":0},
        {"event":"*","stream":"v","when":"a = 2"}]}"#;
    let mut harness = Harness::<Mapping>::configure(settings).expect("good settings");
    let to = |stream: &str, text: &str| {
        Decision::Deliver(stream.to_owned(), Some(text.as_bytes().to_vec()))
    };
    assert_eq!(
        harness.map(event(r#"{"a":1}"#)),
        [to("s", r#"{"z":0}"#), to("t", r#"{"z":0,"b":2}"#)]
    );
    let expected = [
        to("s", r#"{"a":2,"z":0}"#),
        to("t", r#"{"a":2,"z":0,"b":2}"#),
        to("v", r#"{"a":2,"z":0}"#),
    ];
    assert_eq!(harness.map(event(r#"{"a":2}"#)), expected);
}

#[test]
fn rows_are_looked_up_after_transforms() {
    let settings = r#"{"transforms":[{"rename":{"name":"event"}},{"default":{"type":"track"}}],
        "mappings":[{"event":"new","stream":"new"},{"event":"track","stream":"tracks"},{"event":"old","stream":"old"}]}"#;
    let mut harness = Harness::<Mapping>::configure(settings).expect("good settings");
    let mut map = |name: Option<&str>, text: &str| {
        let decided = harness.map(Event { name: name.map(str::to_owned), ..event(text) });
        decided
            .into_iter()
            .map(|decision| match decision {
                Decision::Deliver(stream, _) => stream,
                Decision::Reject(reason) => reason,
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(map(Some("old"), r#"{"event":"old","name":"N\u0065W"}"#), ["new"]);
    assert_eq!(map(Some("old"), r#"{"event":"old"}"#), ["old"]);
    assert_eq!(map(None, r#"{"event":""}"#), ["tracks"]);
}
