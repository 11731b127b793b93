//! Tests that responses of PutRecordBatch are read with the same result as by serde_json, that
//! incomplete, damaged and modified responses are rejected, and that nothing panics.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn ids(records: usize) -> String {
    vec![r#"{"RecordId":"0a1B2c3D"}"#; records].join(",")
}

fn answer(count: &str, results: &str) -> String {
    format!(r#"{{"Encrypted":false,"FailedPutCount":{count},"RequestResponses":[{results}]}}"#)
}

#[test]
fn answers_in_firehoses_form_are_looked_over_alone() {
    for yes in [
        answer("0", &ids(3)),
        format!(r#"{{"RequestResponses":[{}],"FailedPutCount":0}}"#, ids(3)),
        format!(r#"{{"FailedPutCount":0,"RequestResponses":[{}],"Encrypted":true}}"#, ids(3)),
        answer("0", r#"{"RecordId":"1"},{"RecordId":"22"},{"RecordId":"1"}"#),
    ] {
        assert_eq!(accepts_all(yes.as_bytes(), 3), Some(()), "{yes}");
        assert_eq!(read_put_answer(yes.as_bytes(), 3), Ok(PutResponse::default()), "{yes}");
    }
    let good = answer("0", &ids(3));
    for no in [
        answer("00", &ids(3)),
        answer("1", &ids(3)),
        answer("0", &ids(2)),
        answer("0", &ids(4)),
        answer("0", &format!("{},", ids(3))),
        answer("0", r#"{"RecordId":"1"},{"RecordId":""},{"RecordId":"1"}"#),
        answer("0", r#"{"RecordId":"1"},{"RecordId":"\""},{"RecordId":"1"}"#),
        answer("0", &format!(r#"{},{{"ErrorCode":"x"}}"#, ids(2))),
        good.replace("RequestResponses", "requestResponses"),
        good.replace("false", "falsetrue"),
        good.replace("\"Encrypted\":false,", "\"FailedPutCount\":0,"),
        format!("{good} "),
        format!("{good}}}"),
        good[..good.len() - 1].to_owned(),
        String::new(),
    ] {
        assert_eq!(accepts_all(no.as_bytes(), 3), None, "{no}");
    }
    for length in 0..good.len() {
        assert!(read_put_answer(&good.as_bytes()[..length], 3).is_err(), "{length}");
    }
}

#[test]
fn complete_answers_are_read_in_any_form() {
    let refused = |at: &[(usize, &str, &str)]| {
        let refusal = |code: &str, message: &str| RecordRefusal {
            code: code.to_owned(),
            message: message.to_owned(),
        };
        let refused = at.iter().map(|(at, code, message)| (*at, refusal(code, message)));
        Ok(PutResponse { refused: refused.collect() })
    };
    for (text, expected) in [
        (
            r#" { "FailedPutCount": 0, "RequestResponses": [ {"RecordId": "\u0061"}, {"RecordId": "b", "ErrorCode": null} ] } "#,
            refused(&[]),
        ),
        (
            r#"{"FailedPutCount":1,"RequestResponses":[{"RecordId":"a"},{"ErrorCode":"C","ErrorMessage":"\"m\""}],"New":{"a":[1]}}"#,
            refused(&[(1, "C", "\"m\"")]),
        ),
        (
            r#"{"FailedPutCount":2,"RequestResponses":[{"ErrorCode":"C"},{"RecordId":"","ErrorCode":"D","New":1}]}"#,
            refused(&[(0, "C", ""), (1, "D", "")]),
        ),
    ] {
        assert_eq!(read_put_answer(text.as_bytes(), 2), expected, "{text}");
    }
    let long = json!({"FailedPutCount": 1, "RequestResponses": [{"ErrorCode": "c".repeat(9000), "ErrorMessage": "m".repeat(9000)}]});
    let read = read_put_answer(long.to_string().as_bytes(), 1).unwrap();
    let RecordRefusal { code, message } = &read.refused[0].1;
    assert!(code.len() < 1024 && message.len() < 1024);
}

#[test]
fn what_an_answer_lacks_is_named() {
    let failed = r#"{"ErrorCode":"C"}"#;
    for (text, expected) in [
        (String::new(), "is empty"),
        (" \n".to_owned(), "is empty"),
        ("<html>".to_owned(), "not a complete JSON object"),
        ("null".to_owned(), "not a complete JSON object"),
        (format!("[0,[{}]]", ids(2)), "not a complete JSON object"),
        (answer("0", &ids(2)).replace("]}", ""), "not a complete JSON object"),
        ("{}".to_owned(), "has no FailedPutCount"),
        (answer("null", &ids(2)), "has no FailedPutCount"),
        (answer("\"0\"", &ids(2)), "FailedPutCount has the wrong type"),
        (answer("-1", &ids(2)), "FailedPutCount has the wrong type"),
        (answer("0.0", &ids(2)), "FailedPutCount has the wrong type"),
        (r#"{"FailedPutCount":0}"#.to_owned(), "has no RequestResponses"),
        (
            r#"{"FailedPutCount":0,"RequestResponses":{}}"#.to_owned(),
            "RequestResponses has the wrong type",
        ),
        (answer("0", r#"["a"],["b"]"#), "RequestResponses has the wrong type"),
        (answer("0", r#"{"RecordId":1},{"RecordId":2}"#), "RequestResponses has the wrong type"),
        (answer("0", ""), "0 results for 2 records"),
        (answer("0", &ids(1)), "1 results for 2 records"),
        (answer("0", &ids(3)), "3 results for 2 records"),
        (answer("0", &format!("{},{{}}", ids(1))), "result 1 has neither"),
        (answer("0", r#"{"RecordId":""},{"RecordId":""}"#), "result 0 has neither"),
        (answer("1", r#"{"RecordId":"a"},{"RecordId":"b","ErrorCode":"C"}"#), "result 1 has both"),
        (answer("0", &format!("{},{failed}", ids(1))), "is 0, and 1 results"),
        (answer("2", &format!("{},{failed}", ids(1))), "is 2, and 1 results"),
        (answer("1", &ids(2)), "is 1, and 0 results"),
    ] {
        let error = read_put_answer(text.as_bytes(), 2).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("`endpoint_url`"), "{text}: {error}");
    }
    // A duplicate count is invalid.
    let twice = r#"{"FailedPutCount":0,"FailedPutCount":0,"RequestResponses":[]}"#;
    assert!(read_put_answer(twice.as_bytes(), 0).is_err());
}

/// The same result by parsing into a tree, without regard to speed.
fn fates(answer: &[u8], records: usize) -> Option<Vec<(usize, String)>> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    let count = answer.as_object()?.get("FailedPutCount")?.as_u64()?;
    let results = answer["RequestResponses"].as_array()?;
    let text = |result: &Value, key: &str| match result.as_object()?.get(key) {
        None | Some(Value::Null) => Some(String::new()),
        Some(value) => value.as_str().map(str::to_owned),
    };
    let mut refused = Vec::new();
    for (position, result) in results.iter().enumerate() {
        let (id, code) = (text(result, "RecordId")?, text(result, "ErrorCode")?);
        if id.is_empty() == code.is_empty() {
            return None;
        }
        if !code.is_empty() {
            text(result, "ErrorMessage")?;
            refused.push((position, code));
        }
    }
    (results.len() == records && refused.len() as u64 == count).then_some(refused)
}

/// Results that are mostly valid.
fn any_result() -> impl Strategy<Value = String> {
    let text = "[a-z0-9]{0,3}|\\\\u0061|\\\\\"|\\PC{0,3}";
    let text = text.prop_map(|text| {
        // Escapes in the pattern stay. Characters that would need an escape are left out.
        let is_escaped = text == "\\u0061" || text == "\\\"";
        let is_bare = |c: char| !matches!(c, '"' | '\\') && c >= ' ';
        if is_escaped { text } else { text.chars().filter(|&c| is_bare(c)).collect() }
    });
    prop_oneof![
        6 => Just(r#"{"RecordId":"0a1B2c3D"}"#.to_owned()),
        2 => text.clone().prop_map(|text| format!(r#"{{"RecordId":"{text}"}}"#)),
        2 => text.clone().prop_map(|text| format!(r#"{{"ErrorCode":"C","ErrorMessage":"{text}"}}"#)),
        1 => text.prop_map(|text| format!(r#"{{"RecordId":"{text}","ErrorCode":"{text}"}}"#)),
        1 => prop::sample::select(vec![
            "{}", "null", "[]", "7", r#"{"RecordId":null}"#, r#"{"RecordId":7}"#, r#"{"ErrorCode":"C","ErrorMessage":7}"#,
            r#"{ "RecordId" : "a" }"#, r#"{"RecordId":"a","New":[{}]}"#,
        ]).prop_map(str::to_owned),
    ]
}

prop_compose! {
    fn any_answer()(
        results in prop::collection::vec(any_result(), 0..6),
        count in prop_oneof![6 => Just("0"), 3 => Just("1"), 1 => Just("null"), 1 => Just("\"0\""), 1 => Just("-0")],
        form in 0..5_u8,
        cut in prop::option::weighted(0.1, 0..60_usize),
    ) -> Vec<u8> {
        let results = results.join(",");
        let mut text = match form {
            0 => format!(r#"{{"RequestResponses":[{results}],"FailedPutCount":{count}}}"#),
            1 => format!(r#"{{ "FailedPutCount": {count}, "RequestResponses": [{results}] }}"#),
            2 => format!(r#"{{"RequestResponses":[{results}]}}"#),
            _ => answer(count, &results),
        }.into_bytes();
        if let Some(cut) = cut {
            text.truncate(text.len().saturating_sub(cut));
        }
        text
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn it_is_read_as_by_way_of_a_tree(answer in any_answer(), records in 0..6_usize) {
        let read = read_put_answer(&answer, records).ok().map(|answer| {
            answer.refused.into_iter().map(|(at, refusal)| (at, refusal.code)).collect::<Vec<_>>()
        });
        prop_assert_eq!(&read, &fates(&answer, records), "{}", answer.escape_ascii());
        if accepts_all(&answer, records).is_some() {
            prop_assert_eq!(read, Some(Vec::new()));
        }
    }

    #[test]
    fn no_change_of_a_byte_is_overlooked(
        records in 1..4_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = answer("0", &ids(records)).into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let expected = fates(&bytes, records);
        // For a duplicate member, one reader fails, and the other uses the last one.
        let is_same = read_put_answer(&bytes, records).is_ok() == expected.is_some();
        prop_assert!(is_same, "{}", bytes.escape_ascii());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), records in 0..4_usize) {
        let _ = read_put_answer(&bytes, records);
    }
}
