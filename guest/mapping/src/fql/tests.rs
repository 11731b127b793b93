//! Tests the filter query language: all tables in `host/docs/fql.md` are correct, limits of length
//! and depth apply, and no condition or event causes a panic. `differential` compares with a second
//! evaluator.

mod differential;

use proptest::prelude::*;

use super::Condition;
use super::grammar::{DEPTH_LEVELS_MAX, LENGTH_BYTES_MAX};
use crate::json::JsonValue;

fn parse_valid(text: &str) -> Condition {
    Condition::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn condition_holds(condition: &str, event: &str) -> bool {
    parse_valid(condition).holds(JsonValue::of_text(event))
}

fn parse_error(text: &str) -> String {
    match Condition::parse(text) {
        Ok(condition) => panic!("{text} is a condition: {condition}"),
        Err(error) => error.to_string(),
    }
}

/// Checks that the printed text of a condition compiles to the same condition.
fn check_text(condition: &Condition) {
    let text = condition.to_string();
    assert_eq!(parse_valid(&text), *condition, "{text}");
    assert_eq!(parse_valid(&text).to_string(), text);
}

#[test]
fn conformance_cases_pass() {
    let (mut event, mut cases) = ("null", 0);
    for line in include_str!("conformance.txt").lines() {
        let Some((word, rest)) = line.split_once(' ') else { continue };
        match word {
            "#" => continue,
            "event" => {
                // The checker does not support all numbers and characters.
                let plain = rest.replace("1e40", "1e30").replace("\\ud83d\"", "\"");
                let is_json = serde_json::from_str::<serde_json::Value>(&plain).is_ok();
                assert!(is_json, "no JSON: {rest}");
                event = rest;
                continue;
            }
            "true" | "false" => {
                let condition = parse_valid(rest.trim_start());
                assert_eq!(condition.holds(JsonValue::of_text(event)).to_string(), word, "{line}");
                check_text(&condition);
            }
            "error" => {
                let (text, message) = rest.split_once(" => ").expect("a message");
                let error = parse_error(text);
                assert!(error.contains(message), "{line}\n{error}");
            }
            _ => panic!("no case: {line}"),
        }
        cases += 1;
    }
    assert!(cases >= 200, "{cases} cases");
}

/// Evaluates each table in the user's page with the columns Condition and Result, with the last
/// event that the page shows before it.
#[test]
fn the_tables_of_the_fql_page_are_true() {
    let page = include_str!("../../../../host/docs/fql.md");
    let (mut event, mut reads_event, mut results) = (String::new(), false, None);
    let mut examples = 0;
    for line in page.lines() {
        if line == "```json" {
            (event, reads_event) = (String::new(), true);
        } else if line == "```" {
            reads_event = false;
        } else if reads_event {
            event.push_str(line);
        }
        let cells: Vec<_> = line.trim_matches('|').split(" | ").map(str::trim).collect();
        match (&cells[..], results) {
            (["Condition", "Result", ..], _) => results = Some("holds"),
            (["Not a condition", "Error", ..], _) => results = Some("error"),
            ([line, ..], _) if line.starts_with("--") => {}
            ([condition, result, ..], Some(kind)) => {
                let [condition, result] = [condition, result].map(|cell| cell.trim_matches('`'));
                let found = match kind {
                    "holds" => condition_holds(condition, &event).to_string(),
                    _ => parse_error(condition),
                };
                assert_eq!(found, result, "{condition}");
                examples += 1;
            }
            _ => results = None,
        }
    }
    assert!(examples >= 50, "{examples} examples");
}

#[test]
fn length_and_depth_are_bounded() {
    let long = format!("a = '{}'", "é".repeat((LENGTH_BYTES_MAX - 6) / 2));
    assert_eq!(long.len(), LENGTH_BYTES_MAX);
    assert!(!condition_holds(&long, "{}"));
    assert!(parse_error(&format!("{long} ")).contains("at most 16384 bytes"));
    let nested = |levels: usize| {
        (
            format!("{}a{}", "(".repeat(levels), ")".repeat(levels)),
            format!("{}a{}", "bool(".repeat(levels), ")".repeat(levels)),
            format!("{}a = 1{}", "!(".repeat(levels), ")".repeat(levels)),
        )
    };
    let (groups, calls, negations) = nested(DEPTH_LEVELS_MAX);
    assert!(condition_holds(&groups, r#"{"a":true}"#));
    assert!(condition_holds(&calls, r#"{"a":true}"#));
    assert!(condition_holds(&negations, r#"{"a":1}"#));
    let (groups, calls, negations) = nested(DEPTH_LEVELS_MAX + 1);
    for text in [groups, calls, negations, "(".repeat(LENGTH_BYTES_MAX)] {
        assert!(parse_error(&text).contains("at most 32 levels of parentheses"), "{text}");
    }
    let negated = format!("{}a", "!".repeat(LENGTH_BYTES_MAX - 1));
    assert!(condition_holds(&negated, r#"{"a":false}"#));
    let chain = vec!["a"; LENGTH_BYTES_MAX / 7].join(" and ");
    assert!(condition_holds(&chain, r#"{"a":true}"#));
}

#[test]
fn hostile_events_cost_no_stack() {
    let deep = format!(r#"{{"a":{0}1{1},"b":{0}1{1}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(!condition_holds("a = b", &deep));
    assert!(condition_holds("length(string(a)) = 200001", &deep));
    let shallow = r#"{"a":[[{"b":[1.0]}]],"b":[[{"\u0062":[1]}]],"c":[[{"b":[2]}]]}"#;
    assert!(condition_holds("a = b and a != c", shallow));
    assert!(!condition_holds("a = b", r#"{"a":{"x":1,"y":2},"b":{"y":2,"x":1}}"#));
}

#[test]
fn constants_are_decided_when_compiled() {
    for (text, expected) in [
        ("1 = 1.0", "all"),
        ("'1' = 1", "false"),
        ("a and 1 = 2", "false"),
        ("a or 1 = 1", "all"),
        ("a and 1 = 1", "a"),
        ("a or false or b", "a or b"),
        ("x = lowercase('ABC')", "x = 'abc'"),
        ("x = length('it''s')", "column"),
        ("match('abc', 'a*') and a", "a"),
        ("!!(a and (b and c))", "a and b and c"),
        ("((a or b) and (c))", "(a or b) and c"),
        ("!(a)", "!a"),
        ("! a=1", "!(a = 1)"),
        ("x = 007.50", "x = 7.5"),
        ("x = -0", "x = 0"),
        ("x = +5", "x = 5"),
        ("x = number('1e999999999999')", "x = number('1e999999999999')"),
        ("x = \"it's\"", "x = \"it's\""),
        ("x = \"its\"", "x = 'its'"),
        ("\\a.\\b\\ c.\\and = 1", "a.b\\ c.and = 1"),
        ("\\12.5 = 1", "\\12.5 = 1"),
        ("\\all", "\\all"),
        ("x in [ 1,'a' ,null ]", "x in [1, 'a', null]"),
        ("2 in [1, 2]", "all"),
        ("match(a, b) or contains(a,'b')", "match(a, b) or contains(a, 'b')"),
    ] {
        let found = Condition::parse(text).map(|condition| condition.to_string());
        let found = found.unwrap_or_else(|error| error.to_string());
        assert!(found.starts_with(expected), "{text}: {found}");
    }
}

#[test]
fn a_condition_lists_its_paths() {
    let condition = parse_valid("a.b = c and x in y.z or !match(lowercase(d), e) and f in [g, 1]");
    let paths: Vec<_> = condition.paths().into_iter().map(ToString::to_string).collect();
    assert_eq!(paths, ["a.b", "c", "x", "y.z", "d", "e", "f", "g"]);
    assert_eq!(parse_valid("\\a\\.b.c = 1").paths()[0].keys(), ["a.b", "c"]);
}

#[test]
fn conditions_on_type_and_name_are_recognised() {
    for text in [
        "all",
        "type = 'track'",
        "'a' != event",
        "event in ['a', 'b'] or !(type = 'page')",
        "match(event, 'Order *') and contains(lowercase(event), 'x')",
        "uppercase(event) = 'A'",
    ] {
        assert!(parse_valid(text).reads_only_kind(), "{text}");
    }
    for text in [
        "type = ''",
        "event = null",
        "event",
        "event = type",
        "event = 1",
        "event in ['', 'a']",
        "event in a",
        "match(event, '*')",
        "contains(event, '')",
        "typeof(event) = 'string'",
        "length(event) > 0",
        "type.x = 'a'",
        "type = 'a' and userId = 'b'",
    ] {
        assert!(!parse_valid(text).reads_only_kind(), "{text}");
    }
}

/// A condition on only type and event has the same result for events without those of the two that
/// the plugin does not receive.
#[test]
fn conditions_on_kind_give_the_same_result_without_the_payload() {
    let texts = [
        "type = 'a'",
        "event != 'a'",
        "titlecase(event) in ['A', 'b']",
        "match(event, '?*')",
        "contains(kebabcase(type), 'a')",
    ];
    for text in texts {
        let condition = parse_valid(text);
        assert!(condition.reads_only_kind());
        let missing = condition.holds(JsonValue::of_text("{}"));
        for value in ["\"\"", "1", "null", "true", "[\"a\"]", "{\"a\":1}"] {
            let event = format!(r#"{{"type":{value},"event":{value}}}"#);
            assert_eq!(condition.holds(JsonValue::of_text(&event)), missing, "{text} of {event}");
        }
    }
}

/// Words that a condition may contain. Some combinations are valid.
fn any_words() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "and",
            "or",
            "in",
            "!",
            "(",
            ")",
            "[",
            "]",
            ",",
            "=",
            "!=",
            "<",
            ">=",
            "a",
            "a.b",
            "\\ ",
            "all",
            "true",
            "null",
            "1",
            "-1.50",
            "'a'",
            "\"a*\"",
            "contains(",
            "match(",
            "length(",
            "typeof(",
            "string(",
            "number(",
            "'1e9'",
            "'[a-z'",
            ".",
            "\\",
            "+",
            "é",
        ])
        .prop_map(str::to_owned),
        ".{0,3}",
    ];
    prop::collection::vec(word, 0..12).prop_map(|words| words.join(" "))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_text_is_read_without_panic(text in prop_oneof![".{0,60}", any_words()], event in ".{0,60}") {
        match Condition::parse(&text) {
            Ok(_) => crate::fuzzing::check_condition(&text, &event),
            Err(error) => prop_assert!(error.to_string().starts_with("column ")),
        }
    }

    #[test]
    fn any_pattern_is_matched_without_panic(pattern in "[ab*?\\[\\]^\\\\é-]{0,12}", text in "[abé]{0,8}") {
        let condition = parse_valid(&format!("match(s, '{pattern}')"));
        condition.holds(JsonValue::of_text(&format!(r#"{{"s":"{text}"}}"#)));
        check_text(&condition);
    }
}
