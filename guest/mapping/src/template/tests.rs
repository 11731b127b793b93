//! Tests that templates insert values, reject invalid texts, and never panic.

use proptest::prelude::*;

use super::Template;
use crate::json::JsonValue;
use crate::sample::read_value;

fn write_template(template: &str, event: &str) -> Option<String> {
    let template = Template::parse(template).expect("a template");
    let mut text = String::new();
    let find = |path: usize| read_value(JsonValue::of_text(event), &template.paths()[path]);
    template.write(&mut text, find).then_some(text)
}

#[test]
fn values_stand_in_their_places() {
    let event = r#"{"a":"X\u0079","n":1.50,"t":true,"z":null,"o":{"b c":"q","e":""},"}":"brace","ts":"2026-08-01T23:59:58+02:00",
                    "ms":1785542400015,"utc":"2026-12-31T07:08:09.5Z","l":[]}"#;
    for (template, expected) in [
        ("", Some("")),
        ("plain $ {x} $", Some("plain $ {x} $")),
        ("${a}", Some("Xy")),
        ("<${ n }|${t}>", Some("<1.50|true>")),
        ("${o.b c | upper}", Some("Q")),
        (r"${\}}", Some("brace")),
        ("${a | lower | upper}", Some("XY")),
        ("${a | truncate 1}", Some("X")),
        ("${z}", None),
        ("${l}", None),
        ("${missing | lower}", None),
        ("${missing | default 'a | b}' | upper}", Some("A | B}")),
        ("${z | default \"it's\"}", Some("it's")),
        ("${o.e | default none}", Some("none")),
        ("${a | default 'x'}", Some("Xy")),
        ("$${a}-${a}", Some("${a}-Xy")),
        ("${ts | date} ${ts | hour}", Some("2026-08-01 21")),
        ("${ms | date}", Some("2026-08-01")),
        ("${utc | year}/${utc | month}/${utc | day}/${utc | hour}", Some("2026/12/31/07")),
        ("${a | date}", None),
        ("${a | date | default 'undated'}", Some("undated")),
    ] {
        assert_eq!(write_template(template, event).as_deref(), expected, "{template}");
    }
}

#[test]
fn invalid_templates_are_refused() {
    for (template, expected) in [
        ("${a", "without its `}`"),
        ("${a | default 'x}", "without its `}`"),
        ("${}", "empty name"),
        ("${a.}", "empty name"),
        ("${a | loud}", "unknown filter \"loud\""),
        ("${a | default}", "default 'text'"),
        ("${a | truncate x}", "truncate 20"),
        ("${a | lower x}", "takes nothing"),
    ] {
        let error = Template::parse(template).expect_err(template);
        assert!(error.contains(expected), "{template}: {error}");
    }
}

#[test]
fn a_pattern_has_a_star_for_each_value() {
    let pattern = |text: &str| Template::parse(text).expect("a template").pattern();
    assert_eq!(pattern("a-${b}-c${d}"), "a-*-c*");
}

proptest! {
    #[test]
    fn any_text_is_read_without_panic(text in "[${}|a.'\" \\\\é]{0,30}", any: String) {
        for text in [text, any] {
            if let Ok(template) = Template::parse(&text) {
                let _ = template.write(&mut String::new(), |_| Some(JsonValue::of_text("\"2026-é\"")));
            }
        }
    }
}
