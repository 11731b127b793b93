//! Tests that members that no action names keep their bytes.

use proptest::prelude::*;

use super::apply_transform;
use crate::json::JsonValue;

/// Numbers, escapes and whitespace that no serializer would write.
const ODD: &str = "{ \"id\" : 9223372036854775807,\t\"sum\":123456789012345678901234567890.10,\"e\":-0.0E+0,\
                   \"\\u006be\\/y\":\"\\ud83d\\ude00\\u00e9\\/\\u0000\",\"twice\":1,\"twice\":2 ,\n\"o\":{\"deep\":[1.0,\
                   [ ],{ }],\"x\":1}, \"last\":null }";

#[test]
fn odd_texts_stay_around_every_action() {
    let without_x = ODD.replace(",\"x\":1", "");
    for (actions, expected) in [
        (r#"{"drop_fields":["o.x"]}"#, without_x.clone()),
        (r#"{"set":{"o.x":2}}"#, ODD.replace("\"x\":1", "\"x\":2")),
        (r#"{"set":{"o.y":2}}"#, ODD.replace("\"x\":1", "\"x\":1,\"y\":2")),
        (r#"{"default":{"o.x":2,"last":0}}"#, ODD.replace("null", "0")),
        (r#"{"copy":{"sum":"last"}}"#, ODD.replace("null", "123456789012345678901234567890.10")),
        (r#"{"rename":{"o.x":"last"}}"#, without_x.replace("null", "1")),
        (r#"{"to_string":["id"]}"#, ODD.replace("9223372036854775807", "\"9223372036854775807\"")),
        (
            r#"{"to_string":["sum"]}"#,
            ODD.replace(
                "123456789012345678901234567890.10",
                "\"123456789012345678901234567890.10\"",
            ),
        ),
        (r#"{"redact":["o.deep"]}"#, ODD.replace("[1.0,[ ],{ }]", "\"[redacted]\"")),
        (r#"{"lowercase":["ke\\/y"],"trim":["twice"],"flatten":{"o":"_"}}"#, ODD.to_owned()),
        (
            r#"{"partition_keys":{"id":"id"}}"#,
            ODD.replace(":null }", ":null,\"partition_keys\":{\"id\":\"9223372036854775807\"} }"),
        ),
    ] {
        assert_eq!(apply_transform(actions, ODD).as_deref().unwrap_or(ODD), expected, "{actions}");
    }
}

/// JSON texts with arbitrary whitespace, escapes and duplicates.
fn odd_json() -> impl Strategy<Value = String> {
    let blank = "[ \n\t]{0,2}";
    let string =
        r#"([a-cé😀{}\[\],:]|\\u00[46][1-9]|\\ud83d\\ude00|\\ud800|\\"|\\\\|\\/|\\n){0,30}"#;
    let string = || string.prop_map(|inside| format!("\"{inside}\""));
    let number = r"-?(0|[1-9][0-9]{0,25})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![string(), number, Just("null".to_owned()), Just("true".to_owned())];
    let any = leaf.prop_recursive(4, 30, 5, move |inner| {
        let padded =
            (blank, inner, blank).prop_map(|(before, value, after)| before + &value + &after);
        let member = (blank, string(), blank, padded.clone())
            .prop_map(|(before, key, after, value)| before + &key + &after + ":" + &value);
        prop_oneof![
            prop::collection::vec(padded, 0..5)
                .prop_map(|elements| format!("[{}]", elements.join(","))),
            prop::collection::vec(member, 0..6)
                .prop_map(|members| format!("{{{}}}", members.join(","))),
        ]
    });
    (
        prop::collection::vec(
            (
                prop_oneof![Just("\"a\""), Just("\"b\""), Just("\"\\u0063\""), Just("\"d\"")],
                any,
                blank,
            ),
            0..8,
        ),
        blank,
    )
        .prop_map(move |(members, end)| {
            let members = members
                .into_iter()
                .map(|(key, value, blank)| format!("{blank}{key}{blank}:{blank}{value}{blank}"));
            format!("{{{}{end}}}", members.collect::<Vec<_>>().join(","))
        })
}

/// The unparsed members, except those with these names.
fn members_but<'a>(text: &'a str, names: &[&str]) -> Vec<(&'a str, &'a str)> {
    let members = JsonValue::of_text(text).members();
    let members = members.filter(|member| !names.iter().any(|name| member.is_named(name)));
    members.map(|member| (member.key, member.value.raw_text())).collect()
}

proptest! {
    #[test]
    fn other_members_keep_their_text(text in odd_json()) {
        prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() || text.contains("ud800"), "{}", text);
        for (actions, names) in [
            (r#"{"drop_fields":["a","c"]}"#, &["a", "c"][..]),
            (r#"{"set":{"c":1,"x.y":"${b}"},"drop_fields":["d"]}"#, &["c", "x", "d"]),
            (r#"{"hash":["a","b"],"flatten":{"c":"."}}"#, &["a", "b", "c"]),
            (r#"{"rename":{"a":"c"},"to_string":["d"]}"#, &["a", "c", "d"]),
            (r#"{"allow_fields":{"":["b","d"]}}"#, &["a", "c"]),
        ] {
            let made = apply_transform(actions, &text).unwrap_or_else(|| text.clone());
            prop_assert_eq!(members_but(&made, names), members_but(&text, names));
            if !text.contains("ud800") {
                let parsed = serde_json::from_str::<serde::de::IgnoredAny>(&made);
                prop_assert!(parsed.is_ok(), "{} of {} is {}", actions, text, made);
            }
        }
    }

    #[test]
    fn fuzz_invariants_hold(text in odd_json(), any: String) {
        crate::fuzzing::check_transforms(r#"{"mappings":[{"event":"*","stream":"s-${a}","flatten":{"":"."}}]}"#, &text);
        crate::fuzzing::check_transforms(&text, &any);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[\\[\\]{}\",:\\\\abcdu0 é\n]{0,200}") {
        for actions in [
            r#"{"drop_fields":["a","b.c"],"set":{"c.d":1,"b.a[].b":2},"copy":{"b":"d"}}"#,
            r#"{"hash":["a","b.a"],"lowercase":["c"],"flatten":{"d":"_"},"allow_fields":{"":["a","b","c","d"]}}"#,
        ] {
            let _ = apply_transform(actions, &text);
        }
    }
}
