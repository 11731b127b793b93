//! Tests that values in place equal those of serde_json, and that no text panics.

use proptest::prelude::*;

use super::{JsonKind, JsonValue};

#[test]
fn members_and_elements_are_found_in_place() {
    let text = " {\"a\" : [1, \"x,]\" ,{}] ,\"b\\u0063\":\"\\\"}\", \"n\":-1.50e+2,\"a\":null} ";
    let value = JsonValue::of_text(text);
    assert_eq!(value.kind(), JsonKind::Object);
    let members: Vec<_> = value
        .members()
        .map(|member| (member.name().into_owned(), member.value.raw_text()))
        .collect();
    let expected =
        [("a", "[1, \"x,]\" ,{}]"), ("bc", "\"\\\"}\""), ("n", "-1.50e+2"), ("a", "null")];
    assert_eq!(members, expected.map(|(name, raw)| (name.to_owned(), raw)));
    assert_eq!(value.get("a").map(JsonValue::kind), Some(JsonKind::Null), "the last one counts");
    assert_eq!(value.get("bc").and_then(JsonValue::as_string).as_deref(), Some("\"}"));
    let first = value.members().next().expect("a member").value;
    assert_eq!(
        first.elements().map(JsonValue::raw_text).collect::<Vec<_>>(),
        ["1", "\"x,]\"", "{}"]
    );
    assert_eq!(JsonValue::of_text("[]").elements().count(), 0);
    assert_eq!(JsonValue::of_text("{ }").members().count(), 0);
}

#[test]
fn escapes_are_read() {
    for (text, expected) in [
        (r#""\b\f\n\r\t\/\\\"""#, "\u{8}\u{c}\n\r\t/\\\""),
        (r#""\u00e9\ud83d\ude00""#, "é😀"),
        (r#""\ud83d-\ude00\ud83d\ud83d\ude00""#, "\u{fffd}-\u{fffd}\u{fffd}😀"),
    ] {
        assert_eq!(JsonValue::of_text(text).as_string().as_deref(), Some(expected));
    }
}

fn any_json() -> impl Strategy<Value = serde_json::Value> {
    let text = prop_oneof!["[a-c\"\\\\{}\\[\\],: \u{1}é😀]{0,80}", "[\\\\\"]{0,70}"];
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f32>().prop_map(|number| f64::from(number).into()),
        text.clone().prop_map(Into::into),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Asserts that both values are equal.
fn compare_values(value: JsonValue<'_>, expected: &serde_json::Value) {
    match expected {
        serde_json::Value::Object(members) => {
            assert_eq!(value.kind(), JsonKind::Object);
            assert_eq!(value.members().count(), members.len());
            for member in value.members() {
                let name = member.name();
                compare_values(member.value, &members[&*name]);
                assert_eq!(
                    value.get(&name).map(JsonValue::raw_text),
                    Some(member.value.raw_text())
                );
            }
        }
        serde_json::Value::Array(elements) => {
            assert_eq!(value.kind(), JsonKind::Array);
            assert_eq!(value.elements().count(), elements.len());
            value
                .elements()
                .zip(elements)
                .for_each(|(value, expected)| compare_values(value, expected));
        }
        serde_json::Value::String(text) => assert_eq!(value.as_string().as_deref(), Some(&**text)),
        scalar => assert_eq!(value.raw_text(), scalar.to_string()),
    }
}

fn walk_value(value: JsonValue<'_>, depth: usize) {
    if depth == 0 {
        return;
    }
    let _ = (value.kind(), value.as_string());
    value.members().for_each(|member| {
        let _ = member.name();
        walk_value(member.value, depth - 1);
    });
    value.elements().for_each(|element| walk_value(element, depth - 1));
}

proptest! {
    #[test]
    fn every_value_reads_as_serde_json_reads_it(value in any_json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        compare_values(JsonValue::of_text(&text.expect("JSON")), &value);
    }

    #[test]
    fn any_text_is_read_without_panic(text in "[\\[\\]{}\",:\\\\a1 é\n]{0,200}", any: String) {
        walk_value(JsonValue::of_text(&text), 5);
        walk_value(JsonValue::of_text(&any), 5);
    }
}
