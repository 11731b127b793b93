//! Values that are read in place mean what serde_json reads, and no text panics.

use proptest::prelude::*;

use super::{Kind, Value};

#[test]
fn members_and_elements_are_found_in_place() {
    let text = " {\"a\" : [1, \"x,]\" ,{}] ,\"b\\u0063\":\"\\\"}\", \"n\":-1.50e+2,\"a\":null} ";
    let value = Value::of_text(text);
    assert_eq!(value.kind(), Kind::Object);
    let members: Vec<_> =
        value.members().map(|member| (member.name().into_owned(), member.value.raw())).collect();
    let expected =
        [("a", "[1, \"x,]\" ,{}]"), ("bc", "\"\\\"}\""), ("n", "-1.50e+2"), ("a", "null")];
    assert_eq!(members, expected.map(|(name, raw)| (name.to_owned(), raw)));
    assert_eq!(value.get("a").map(Value::kind), Some(Kind::Null), "the last one counts");
    assert_eq!(value.get("bc").and_then(Value::string).as_deref(), Some("\"}"));
    let first = value.members().next().expect("a member").value;
    assert_eq!(first.elements().map(Value::raw).collect::<Vec<_>>(), ["1", "\"x,]\"", "{}"]);
    assert_eq!(Value::of_text("[]").elements().count(), 0);
    assert_eq!(Value::of_text("{ }").members().count(), 0);
}

#[test]
fn escapes_are_read() {
    for (text, expected) in [
        (r#""\b\f\n\r\t\/\\\"""#, "\u{8}\u{c}\n\r\t/\\\""),
        (r#""\u00e9\ud83d\ude00""#, "é😀"),
        (r#""\ud83d-\ude00\ud83d\ud83d\ude00""#, "\u{fffd}-\u{fffd}\u{fffd}😀"),
    ] {
        assert_eq!(Value::of_text(text).string().as_deref(), Some(expected));
    }
}

fn json() -> impl Strategy<Value = serde_json::Value> {
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

/// Both read the same.
fn compare(value: Value<'_>, expected: &serde_json::Value) {
    match expected {
        serde_json::Value::Object(members) => {
            assert_eq!(value.kind(), Kind::Object);
            assert_eq!(value.members().count(), members.len());
            for member in value.members() {
                let name = member.name();
                compare(member.value, &members[&*name]);
                assert_eq!(value.get(&name).map(Value::raw), Some(member.value.raw()));
            }
        }
        serde_json::Value::Array(elements) => {
            assert_eq!(value.kind(), Kind::Array);
            assert_eq!(value.elements().count(), elements.len());
            value.elements().zip(elements).for_each(|(value, expected)| compare(value, expected));
        }
        serde_json::Value::String(text) => assert_eq!(value.string().as_deref(), Some(&**text)),
        scalar => assert_eq!(value.raw(), scalar.to_string()),
    }
}

fn walk(value: Value<'_>, depth: usize) {
    if depth == 0 {
        return;
    }
    let _ = (value.kind(), value.string());
    value.members().for_each(|member| {
        let _ = member.name();
        walk(member.value, depth - 1);
    });
    value.elements().for_each(|element| walk(element, depth - 1));
}

proptest! {
    #[test]
    fn every_value_reads_as_serde_json_reads_it(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        compare(Value::of_text(&text.expect("JSON")), &value);
    }

    #[test]
    fn no_text_is_a_panic(text in "[\\[\\]{}\",:\\\\a1 é\n]{0,200}", any: String) {
        walk(Value::of_text(&text), 5);
        walk(Value::of_text(&any), 5);
    }
}
