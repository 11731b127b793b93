//! Compares the scan with `serde_json`: both accept the same texts and find the same values, up to
//! 127 levels, where `serde_json` stops.

use std::borrow::Cow;

use proptest::prelude::*;
use serde::de::IgnoredAny;
use serde_json::Value;

use super::{Malformed, scan};

fn scanned(text: &[u8]) -> Option<[Option<String>; 2]> {
    let (_, envelope) = scan(text, 1024).ok()?;
    Some([envelope.message_type, envelope.name].map(|word| word.map(Cow::into_owned)))
}

/// Compares with `serde_json`. If `serde_json` cannot represent a value, such as a lone surrogate
/// or a huge number, only compares whether the text is an object.
#[track_caller]
fn agree(text: &[u8]) {
    let is_json = std::str::from_utf8(text).is_ok()
        && serde_json::from_slice::<IgnoredAny>(text).is_ok()
        && text.trim_ascii_start().starts_with(b"{");
    let scanned = scanned(text);
    assert_eq!(scanned.is_some(), is_json, "{}", text.escape_ascii());
    if let Ok(value) = serde_json::from_slice::<Value>(text) {
        let word = |key| value.get(key).and_then(Value::as_str).filter(|word| !word.is_empty());
        let words = is_json.then(|| ["type", "event"].map(|key| word(key).map(str::to_owned)));
        assert_eq!(scanned, words, "{}", text.escape_ascii());
    }
}

/// All texts of these characters up to this length.
fn texts_of(alphabet: &[u8], len_max: u32, mut check: impl FnMut(&[u8])) {
    let mut text = Vec::new();
    for len in 0..=len_max {
        for number in 0..alphabet.len().pow(len) {
            text.clear();
            let digit = |n| alphabet[number / alphabet.len().pow(n) % alphabet.len()];
            text.extend((0..len).map(digit));
            check(&text);
        }
    }
}

/// An object around a text that begins at this position of the second block.
fn frame(place: usize, text: &[u8]) -> Vec<u8> {
    let mut framed = br#"{"type":"a","pad":""#.to_vec();
    framed.resize(64 + place - 3, b'x');
    framed.extend_from_slice(b"\",\"");
    framed.truncate(64 + place - 1);
    framed.extend_from_slice(text);
    framed.push(b'}');
    framed
}

const SAMPLES: [&str; 4] = [
    r#"{"type":"track","event":"Ä","n":[-0.5e+7,{"type":"no"},[]],"o":{},"s":"a\"\\\u00e9\ud83d\ude00","t":true}"#,
    r#" { "event" : "\u0041" , "type" : [ 1 , null , false ] , "type" : "page" , "" : { "event" : 0 } } "#,
    r#"{"a":{"b":[{"c":"\\\\\\\"","d":"{[,:]}"}]},"\u0074ype":"x","\u0065vent":"\n","f":[[],[[]],{}]}"#,
    r#"{"event":"","type":"identify","traits":{"name":"\/\b\f","long":"0123456789012345678901234567890123456789"}}"#,
];

#[test]
fn short_texts_of_structure() {
    texts_of(b"{}[]\",:\\1 ", 6, agree);
    texts_of(b"{}[]\",:1", 6, |text| agree(&[b"{", text, b"}"].concat()));
    for place in [0, 61, 62, 63] {
        texts_of(b"{}[]\",:\\1 ", 4, |text| agree(&frame(place, text)));
    }
}

#[test]
fn short_numbers_and_literals() {
    for (before, after) in
        [("{\"a\":", "}"), ("{\"a\":[", " ]}"), ("{\"event\":\"x\",\"a\":1", ",\"b\":2}")]
    {
        texts_of(b"019-+.eE ", 5, |text| {
            agree(&[before.as_bytes(), text, after.as_bytes()].concat());
        });
        for literal in ["true", "false", "null"] {
            texts_of(b"tuens\x0c", 2, |text| {
                agree(&[before.as_bytes(), literal.as_bytes(), text, after.as_bytes()].concat());
                agree(&[before.as_bytes(), text, literal.as_bytes(), after.as_bytes()].concat());
            });
        }
    }
}

#[test]
fn short_strings_with_escapes() {
    texts_of(b"\\\"ubx0d/\x1f", 5, |text| agree(&[b"{\"a\":\"", text, b"\"}"].concat()));
    texts_of(b"\\\"u07", 6, |text| agree(&[b"{\"", text, b"\":\"b\"}"].concat()));
}

#[test]
fn samples_cut_off_or_with_any_byte_anywhere() {
    for sample in SAMPLES.map(str::as_bytes) {
        agree(sample);
        for at in 0..sample.len() {
            agree(&sample[..at]);
            for byte in 0..=u8::MAX {
                let (before, after) = sample.split_at(at);
                agree(&[before, &[byte], after].concat());
                agree(&[before, &[byte], &after[1..]].concat());
            }
        }
    }
}

#[test]
fn samples_moved_over_the_border_of_a_block() {
    for sample in SAMPLES {
        for spaces in 0..130 {
            agree(format!("{}{sample}", " ".repeat(spaces)).as_bytes());
            agree(sample.replacen(',', &format!(",\"{}\":1,", "x".repeat(spaces)), 1).as_bytes());
            agree(sample.replace(':', &format!("{}:", "\r\n".repeat(spaces / 2))).as_bytes());
        }
    }
}

#[test]
fn runs_of_backslashes_of_every_length() {
    for before in 50..70 {
        for run in 0..140 {
            let (x, run) = ("x".repeat(before), "\\".repeat(run));
            agree(format!("{{\"{x}{run}\":\"\",\"type\":\"{run}\"}}").as_bytes());
            agree(format!("{{\"{x}{run}\"\":1,\"event\":\"{run}n\"}}").as_bytes());
            agree(format!("{{\"{x}\":{run}\"\"}}").as_bytes());
        }
    }
}

/// Cases from Nicolas Seriot's "Parsing JSON is a minefield", quoted from memory.
#[test]
fn minefield() {
    let values = [
        "[[]   ]",
        "[\"\"]",
        "[1\n]",
        " [1]",
        "[123e65]",
        "[0e+1]",
        "[0e1]",
        "[ 4]",
        "[-0]",
        "[-123]",
        "[1E22]",
        "[1E-2]",
        "[1E+2]",
        "[123e45]",
        "[123.456e78]",
        "[1e-2]",
        "[123.456789]",
        "[1e400]",
        "[-0.000000000000000000000000000000000000000000000000000000000000000000000000000000001]",
        "[\"\\u0060\\u012a\\u12AB\"]",
        "[\"\\uD801\\udc37\"]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        "[\"\\\\u0000\"]",
        "[\"\\\"\"]",
        "[\"a/*b*/c/*d//e\"]",
        "[\"\\\\a\"]",
        "[\"\\\\n\"]",
        "[\"\\u0012\"]",
        "[\"\\uFFFF\"]",
        "[\"\\uD834\\uDd1e\"]",
        "[\"\u{7f}\"]",
        "[\"\u{2028}\u{ffff}\"]",
        "[\"\\u0000\"]",
        "[\"\\uD800\"]",
        "[\"\\uDFAA\"]",
        "[\"\\uD888\\u1234\"]",
        "[\"\\uD800\\uD800\\n\"]",
        "[\"\\u002c\"]",
        "{\"a\":\"b\",\"a\":\"c\"}",
        "{\"\":0}",
        "{\"foo\\u0000bar\": 42}",
        "[] ",
        "\n[\n]\n",
        "[1,null,true,false]",
        "[\"a\", 4, {}, [[[]]]]",
        "20e1",
        "-0",
        "\"\\u0061\\u30af\"",
        "null ",
    ];
    let others = [
        "[1 true]",
        "[a",
        "[\"\": 1]",
        "[\"\"],",
        "[,1]",
        "[1,,2]",
        "[\"x\",,]",
        "[\"x\"]]",
        "[\"\",]",
        "[\"x\"",
        "[x",
        "[3[4]]",
        "[1:2]",
        "[,]",
        "[-]",
        "[   , \"\"]",
        "[\"a\",\n4\n,1,",
        "[1,]",
        "[1,,]",
        "[\"\u{b}a\"\\f]",
        "[*]",
        "[1,\n1\n,1",
        "[{}",
        "[fals]",
        "[nul]",
        "[tru]",
        "[++1234]",
        "[+1]",
        "[+Inf]",
        "[-01]",
        "[-1.0.]",
        "[-2.]",
        "[-NaN]",
        "[.-1]",
        "[.2e-3]",
        "[0.1.2]",
        "[0.3e+]",
        "[0.3e]",
        "[0.e1]",
        "[0E+]",
        "[0E]",
        "[0e]",
        "[1.0e+]",
        "[1.0e-]",
        "[1.0e]",
        "[1 000.0]",
        "[1eE2]",
        "[2.e+3]",
        "[2.e-3]",
        "[2.e3]",
        "[9.e+]",
        "[Inf]",
        "[NaN]",
        "[\u{ff11}]",
        "[1+2]",
        "[0x1]",
        "[0x42]",
        "[Infinity]",
        "[0e+-1]",
        "[-123.123foo]",
        "[-Infinity]",
        "[-foo]",
        "[- 1]",
        "[-012]",
        "[-.123]",
        "[-1x]",
        "[1ea]",
        "[1.]",
        "[.123]",
        "[1.2a-3]",
        "[1.8011670033376514H-308]",
        "[012]",
        "[\"x\", truth]",
        "{[: \"x\"}\n",
        "{\"x\", null}",
        "{\"x\"::\"b\"}",
        "{\"a\":\"a\" 123}",
        "{key: 'value'}",
        "{\"a\" b}",
        "{:\"b\"}",
        "{\"a\" \"b\"}",
        "{\"a\":",
        "{\"a\"",
        "{1:1}",
        "{9999E9999:1}",
        "{null:null,null:null}",
        "{\"id\":0,,,,,}",
        "{'a':0}",
        "{\"id\":0,}",
        "{\"a\":\"b\"}/**/",
        "{\"a\":\"b\"}/",
        "{\"a\":\"b\",,\"c\":\"d\"}",
        "{a: \"b\"}",
        "{\"a\":\"a",
        "{ \"foo\" : \"bar\", \"a\" }",
        "{\"a\":\"b\"}#",
        " ",
        "[\"\\uD800\\\"]",
        "[\"\\uD800\\u\"]",
        "[\"\\uD800\\u1\"]",
        "[\"\\uD800\\u1x\"]",
        "[é]",
        "[\"\\\u{0}\"]",
        "[\"\\x00\"]",
        "[\"\\\\\\\"]",
        "[\"\\\t\"]",
        "[\"\\🌀\"]",
        "[\"\\\"]",
        "[\"\\u00A\"]",
        "[\"\\uD834\\uDd\"]",
        "[\"\\a\"]",
        "[\"\\uqqqq\"]",
        "[\\u0020\"asd\"]",
        "[\\n]",
        "\"",
        "['single quote']",
        "abc",
        "[\"\\",
        "[\"a\u{0}a\"]",
        "[\"new\nline\"]",
        "[\"\t\"]",
        "\"\\UA66D\"",
        "<.>",
        "[<null>]",
        "[1]x",
        "[1]]",
        "aå",
        "[True]",
        "1]",
        "{\"x\": true,",
        "[][]",
        "]",
        "{}}",
        "{\"\":",
        "{\"a\":/*comment*/\"b\"}",
        "{\"a\": true} \"x\"",
        "['",
        "[,",
        "{,",
        "{\"",
        "{'a'",
        "[\"\\{[\"\\{[\"\\{[\"\\{",
        "*",
        "{\"a\":\"b\"}#{}",
        "[\\u000A\"\"]",
        "[1",
        "[ false, nul",
        "[\u{c}]",
        "\u{2060}[]",
        "",
    ];
    for (text, is_json) in
        values.map(|it| (it, true)).into_iter().chain(others.map(|it| (it, false)))
    {
        let inside = format!("{{\"a\":{text}}}");
        agree(text.as_bytes());
        agree(inside.as_bytes());
        assert_eq!(scan(inside.as_bytes(), 1024).is_ok(), is_json, "{inside}");
    }
}

/// Brackets of these kinds as nested levels, and the brackets that close them.
fn nested(kinds: &[bool]) -> (String, String) {
    let open = kinds.iter().map(|object| if *object { "{\"a\":" } else { "[" }).collect();
    let close = kinds.iter().rev().map(|object| if *object { '}' } else { ']' }).collect();
    (open, close)
}

/// Whitespace, usually none.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![6 => Just(String::new()), 1 => "[ \t\r\n]{1,3}", 1 => " {60,70}"]
}

/// Text between the quotes of a string.
fn string() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => "[a-z {}\\[\\],:]{0,8}",
        1 => "\\PC{0,4}".prop_map(|text| text.replace(['"', '\\'], "")),
        1 => "(\\\\[\"\\\\/bfnrt]){1,4}",
        1 => "\\\\u[0-9a-fA-F]{4}",
        1 => Just("\\ud83d\\ude00".to_owned()),
        1 => "x{50,70}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn key() -> impl Strategy<Value = String> {
    let known = ["type", "event", "\\u0074ype", "e\\u0076ent", "ype", "a\\\\\\\"type", "Type"];
    prop_oneof![2 => prop::sample::select(known.map(str::to_owned).to_vec()), 3 => string()]
}

fn value() -> impl Strategy<Value = String> {
    let number = "-?(0|[1-9][0-9]{0,17})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?";
    let leaf = prop_oneof![
        3 => string().prop_map(|text| format!("\"{text}\"")),
        1 => number,
        1 => "true|false|null|\\{\\}|\\[\\]",
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        let array = prop::collection::vec((gap(), inner.clone(), gap()), 0..6).prop_map(|items| {
            let items = items.iter().map(|(a, item, b)| format!("{a}{item}{b}"));
            format!("[{}]", items.collect::<Vec<_>>().join(","))
        });
        prop_oneof![array, object(inner)]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    let member = (gap(), key(), gap(), gap(), value, gap())
        .prop_map(|(a, key, b, c, value, d)| format!("{a}\"{key}\"{b}:{c}{value}{d}"));
    prop::collection::vec(member, 0..8).prop_map(|members| format!("{{{}}}", members.join(",")))
}

/// How a text is damaged: bytes are lost, doubled, changed or swapped.
#[derive(Debug, Clone)]
enum Damage {
    Cut(usize),
    Remove(usize, usize),
    Insert(usize, u8),
    Change(usize, u8),
    Repeat(usize, usize),
}

fn damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![
        4 => prop::sample::select(&b"{}[]\",:\\ 10-+.eEtfnu\t\n\r\x0c\0"[..]),
        1 => any::<u8>(),
    ];
    prop_oneof![
        any::<usize>().prop_map(Damage::Cut),
        (any::<usize>(), 1..4_usize).prop_map(|(at, len)| Damage::Remove(at, len)),
        (any::<usize>(), byte.clone()).prop_map(|(at, byte)| Damage::Insert(at, byte)),
        (any::<usize>(), byte).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (any::<usize>(), 1..70_usize).prop_map(|(at, len)| Damage::Repeat(at, len)),
    ]
}

fn damaged(text: &str, damages: &[Damage]) -> Vec<u8> {
    let mut text = text.as_bytes().to_vec();
    for damage in damages {
        let place = |at: usize| at % text.len().max(1);
        let end = |at, len: usize| (place(at) + len).min(text.len());
        match *damage {
            _ if text.is_empty() => {}
            Damage::Cut(at) => text.truncate(place(at)),
            Damage::Remove(at, len) => drop(text.drain(place(at)..end(at, len))),
            Damage::Insert(at, byte) => text.insert(place(at), byte),
            Damage::Change(at, byte) => {
                let at = place(at);
                text[at] = byte;
            }
            Damage::Repeat(at, len) => text.extend_from_within(place(at)..end(at, len)),
        }
    }
    text
}

proptest! {
    #[test]
    fn any_object_is_read(before in gap(), object in object(value()), after in gap()) {
        let text = format!("{before}{object}{after}");
        prop_assert!(scan(text.as_bytes(), 1024).is_ok());
        agree(text.as_bytes());
    }

    #[test]
    fn any_damage_is_seen(
        object in object(value()),
        damages in prop::collection::vec(damage(), 1..4),
    ) {
        agree(&damaged(&object, &damages));
    }

    #[test]
    fn any_mix_of_objects_and_arrays_has_its_depth(
        mut kinds in prop::collection::vec(any::<bool>(), 1..300),
        levels_max in 1..300_usize,
        wrong in any::<prop::sample::Index>(),
    ) {
        kinds[0] = true;
        let (open, close) = nested(&kinds);
        let result = scan(&[&open, "0", &close].concat().into_bytes(), levels_max).map(drop);
        let too_deep = Err(Malformed::TooDeep { levels_max });
        prop_assert_eq!(&result, if kinds.len() > levels_max { &too_deep } else { &Ok(()) });
        let mut close = close.into_bytes();
        let wrong = wrong.index(close.len());
        close[wrong] ^= b'}' ^ b']';
        let at = open.len() + 1 + wrong;
        let text = [open.as_bytes(), b"0", &close].concat();
        prop_assert_eq!(scan(&text, 300).map(drop), Err(Malformed::NotJson { at }));
    }
}
