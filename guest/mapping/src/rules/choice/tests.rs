//! Tests dynamic streams: a template limits the choice, only allowed names can be chosen, and
//! patterns match as defined.

use proptest::prelude::*;
use standpipe_plugin::testing::{Decision, Harness, deliver, event};
use standpipe_plugin::{Plugin as _, Setup};

use super::pattern_covers;
use crate::Mapping;

/// The stream for an event with this tenant.
fn map_tenant(harness: &mut Harness<Mapping>, tenant: &str) -> Vec<Decision> {
    harness.map(event(&serde_json::json!({"tenant": tenant}).to_string()))
}

fn configure_choice(template: &str, more: &str) -> Result<Harness<Mapping>, String> {
    Harness::configure(&format!(
        r#"{{"mappings":[{{"event":"*","stream":"{template}","fallback":"rest"}}]{more}}}"#
    ))
}

#[test]
fn a_template_bounds_the_choice_by_its_own_text() {
    let mut harness = configure_choice("events-${tenant | lower}", "").expect("good settings");
    let mut streams = harness.streams();
    streams.sort_unstable();
    assert_eq!(streams, ["events-*", "rest"]);
    for (tenant, expected) in [
        ("Acme", "events-acme"),
        ("a.b_c-d", "events-a.b_c-d"),
        ("a / b//c", "events-a-b-c"),
        ("/a/", "events-a-"),
        ("*", "rest"),
        ("é", "rest"),
        ("", "rest"),
        (&"x".repeat(57), &*format!("events-{}", "x".repeat(57))),
        (&"x".repeat(58), "rest"),
    ] {
        assert_eq!(map_tenant(&mut harness, tenant), [deliver(expected)], "{tenant}");
    }
    assert_eq!(harness.map(event("{}")), [deliver("rest")]);
    assert_eq!(harness.map(event(r#"{"tenant":7}"#)), [deliver("events-7")]);
    assert_eq!(harness.map(event(r#"{"tenant":[]}"#)), [deliver("rest")]);
}

#[test]
fn only_allowed_streams_can_be_chosen() {
    let more = r#","streams_allowed":["a","eu-*-x"]"#;
    let mut harness = configure_choice("${tenant}", more).expect("good settings");
    for (tenant, expected) in [
        ("a", "a"),
        ("b", "rest"),
        ("A", "rest"),
        ("eu--x", "eu--x"),
        ("eu-1-x", "eu-1-x"),
        ("eu-x", "rest"),
        ("eu-*-x", "eu---x"),
        ("my-eu-1-x", "rest"),
    ] {
        assert_eq!(map_tenant(&mut harness, tenant), [deliver(expected)], "{tenant}");
    }
}

#[test]
fn without_a_fallback_the_next_row_is_used() {
    let settings = r#"{"mappings":[{"event":"*","stream":"all"},{"event":"page","stream":"pages"},
        {"event":"page","stream":"p-${tenant}"}]}"#;
    let mut harness = Harness::<Mapping>::configure(settings).expect("good settings");
    let mut map = |text: &str| {
        harness
            .map(standpipe_plugin::Event { message_type: Some("page".to_owned()), ..event(text) })
    };
    assert_eq!(map(r#"{"tenant":"a"}"#), [deliver("p-a")]);
    assert_eq!(map("{}"), [deliver("pages")]);
}

#[test]
fn unbounded_templates_are_refused() {
    for (template, more, expected) in [
        ("${tenant}", "", "streams_allowed"),
        ("${a}${b}", "", "streams_allowed"),
        ("a b ${tenant}", "", "mapping 1"),
        ("e-${tenant", "", "mapping 1"),
        ("e-${p[].x}", "", "many values"),
        ("e-${tenant | loud}", "", "loud"),
        ("e-${tenant}", r#","streams_allowed":["a b"]"#, "streams_allowed"),
    ] {
        let error = configure_choice(template, more).expect_err(template);
        assert!(error.contains(expected), "{template}: {error}");
    }
    let error = Mapping::configure(
        r#"{"mappings":[{"event":"a","stream":"b","fallback":"c"}]}"#,
        &mut Setup::default(),
    );
    assert!(error.expect_err("no template").contains("fallback"));
}

/// A simple implementation.
fn covers_slowly(pattern: &[u8], name: &[u8]) -> bool {
    match (pattern, name) {
        ([b'*', rest @ ..], _) => {
            (0..=name.len()).any(|skipped| covers_slowly(rest, &name[skipped..]))
        }
        ([first, rest @ ..], [byte, behind @ ..]) => first == byte && covers_slowly(rest, behind),
        ([], []) => true,
        _ => false,
    }
}

proptest! {
    #[test]
    fn patterns_cover_what_they_say(pattern in "[ab*]{0,6}", name in "[ab]{0,8}") {
        prop_assert_eq!(pattern_covers(&pattern, &name), covers_slowly(pattern.as_bytes(), name.as_bytes()));
    }

    #[test]
    fn no_event_chooses_what_is_not_allowed(tenant: String, odd in "[a-e*/. -]{0,12}") {
        let mut harness = configure_choice("e-${tenant}", r#","streams_allowed":["e-a*","e-b"]"#).expect("good settings");
        for tenant in [tenant, odd] {
            let decided = map_tenant(&mut harness, &tenant);
            let [Decision::Deliver(name, None)] = &decided[..] else { panic!("{decided:?}") };
            let is_allowed = name.starts_with("e-a") || name == "e-b" || name == "rest";
            prop_assert!(is_allowed, "{}", name);
            prop_assert!(name.len() <= 64 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte)));
        }
    }
}
