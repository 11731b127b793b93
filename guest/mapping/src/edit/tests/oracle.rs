//! Compares transforms with a simple model: parse, change the tree, print.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use standpipe_plugin::testing::{Harness, event};

use super::decided_text;
use crate::Mapping;
use crate::path::{FieldPath, PathStep};

/// Visits all values at a path, including each element of arrays. Creates missing values.
fn visit_path(
    value: &mut Value,
    steps: &[PathStep],
    make: bool,
    each: &mut impl FnMut(&mut Value),
) {
    match (steps, value) {
        ([], value) => each(value),
        ([PathStep::Each, rest @ ..], Value::Array(elements)) => {
            let is_last = rest.is_empty();
            let elements = elements.iter_mut();
            elements
                .filter(|element| is_last || !element.is_null())
                .for_each(|element| visit_path(element, rest, make, each));
        }
        ([PathStep::Name(name), rest @ ..], value) => {
            if value.is_null() && make && !rest.contains(&PathStep::Each) {
                *value = json!({});
            }
            let Value::Object(members) = value else { return };
            if make && !rest.contains(&PathStep::Each) {
                members.entry(&**name).or_insert(Value::Null);
            }
            if let Some(member) = members.get_mut(&**name) {
                visit_path(member, rest, make, each);
            }
        }
        _ => {}
    }
}

fn remove_path(event: &mut Value, path: &FieldPath) {
    let Some((PathStep::Name(name), parent)) = path.steps().split_last() else { return };
    visit_path(event, parent, false, &mut |parent| {
        if let Value::Object(members) = parent {
            members.remove(&**name);
        }
    });
}

fn read_path(event: &Value, path: &FieldPath) -> Option<Value> {
    path.steps()
        .iter()
        .try_fold(event, |value, step| match step {
            PathStep::Name(name) => value.as_object()?.get(&**name),
            PathStep::Each => None,
        })
        .cloned()
}

fn scalar_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn flatten_members(value: &mut Value) {
    fn lift(prefix: &str, members: &Map<String, Value>, flat: &mut Vec<(String, Value)>) {
        for (name, value) in members {
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    lift(&format!("{prefix}{name}_/"), inner, flat);
                }
                value => flat.push((format!("{prefix}{name}"), value.clone())),
            }
        }
    }
    if let Value::Object(members) = value {
        let mut flat = Vec::new();
        lift("", members, &mut flat);
        *members = flat.into_iter().collect();
    }
}

/// The effect of one action.
fn apply_action(event: &mut Value, key: &str, argument: &Value) {
    let path = |text: &str| FieldPath::parse_any(text).expect("a path");
    let paths =
        || argument.as_array().into_iter().flatten().map(|text| path(text.as_str().expect("text")));
    let pairs =
        || argument.as_object().into_iter().flatten().map(|(key, value)| (path(key), value));
    let change = |event: &mut Value, change: fn(&mut Value)| {
        paths().for_each(|path| visit_path(event, path.steps(), false, &mut |value| change(value)));
    };
    match key {
        "drop_fields" => paths().for_each(|path| remove_path(event, &path)),
        "allow_fields" => pairs().for_each(|(path, names)| {
            visit_path(event, path.steps(), false, &mut |value| {
                if let Value::Object(members) = value {
                    let names = names.as_array().expect("a list");
                    members.retain(|name, _| names.iter().any(|allowed| allowed == name));
                }
            });
        }),
        "set" => pairs().for_each(|(path, new)| {
            visit_path(event, path.steps(), true, &mut |value| *value = new.clone());
        }),
        "default" => pairs().for_each(|(path, new)| {
            visit_path(event, path.steps(), true, &mut |value| {
                if value.is_null() {
                    *value = new.clone();
                }
            });
        }),
        "lowercase" => change(event, |value| {
            if let Value::String(text) = value {
                *text = text.to_lowercase();
            }
        }),
        "to_string" => change(event, |value| {
            if !value.is_null() {
                *value = scalar_text(value).into();
            }
        }),
        "hash" => change(event, |value| {
            if !value.is_null() {
                let digest = Sha256::digest(scalar_text(value).as_bytes());
                *value = digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into();
            }
        }),
        "truncate" => pairs().for_each(|(path, characters)| {
            visit_path(event, path.steps(), false, &mut |value| {
                if let Value::String(text) = value {
                    *text = text
                        .chars()
                        .take(characters.as_u64().expect("a number") as usize)
                        .collect();
                }
            });
        }),
        "flatten" => pairs()
            .for_each(|(path, _)| visit_path(event, path.steps(), false, &mut flatten_members)),
        _ => unreachable!("{key}"),
    }
}

/// The effect of a transform, for actions whose stage order equals the order of this list.
fn expected_event(event: &Value, actions: &Map<String, Value>) -> Value {
    let initial = event.clone();
    let mut event = event.clone();
    let pairs = |key: &str| {
        let pairs = actions.get(key).and_then(Value::as_object).into_iter().flatten();
        let path = |text: &str| FieldPath::parse(text).expect("a path");
        pairs
            .map(move |(from, to)| (path(from), path(to.as_str().expect("text"))))
            .collect::<Vec<_>>()
    };
    for key in ["drop_fields", "allow_fields"] {
        actions.get(key).into_iter().for_each(|argument| apply_action(&mut event, key, argument));
    }
    pairs("rename").iter().for_each(|(from, _)| remove_path(&mut event, from));
    // Missing members are added in alphabetical order.
    let mut puts: Vec<(FieldPath, Option<Value>, bool)> = Vec::new();
    for (from, to) in pairs("rename").into_iter().chain(pairs("copy")) {
        puts.push((to, read_path(&initial, &from), false));
    }
    for (key, only_missing) in [("set", false), ("default", true)] {
        for (path, value) in actions.get(key).and_then(Value::as_object).into_iter().flatten() {
            puts.push((FieldPath::parse(path).expect("a path"), Some(value.clone()), only_missing));
        }
    }
    puts.sort_by_key(|(path, ..)| {
        path.steps().iter().map(|step| format!("{step:?}")).collect::<Vec<_>>()
    });
    for (path, value, only_missing) in puts {
        let Some(value) = value else { continue };
        visit_path(&mut event, path.steps(), true, &mut |old| {
            if !only_missing || old.is_null() {
                *old = value.clone();
            }
        });
    }
    for key in ["lowercase", "to_string", "truncate", "hash", "flatten"] {
        actions.get(key).into_iter().for_each(|argument| apply_action(&mut event, key, argument));
    }
    event
}

fn any_name() -> impl Strategy<Value = String> {
    prop_oneof![Just("a"), Just("b"), Just("c"), Just("é"), Just("d\"d")].prop_map(str::to_owned)
}

fn any_path() -> impl Strategy<Value = String> {
    let step = (any_name(), prop::bool::weighted(0.15))
        .prop_map(|(name, each)| if each { format!("{name}[]") } else { name });
    prop::collection::vec(step, 1..4).prop_map(|steps| steps.join("."))
}

fn any_plain_path() -> impl Strategy<Value = String> {
    prop::collection::vec(any_name(), 1..4).prop_map(|steps| steps.join("."))
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(serde_json::from_str("123456789012345678901234567890.10").expect("a number")),
        "[A-Ca-c\"\\\\{}\\[\\],:\n\u{1}éÀ😀]{0,40}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            any_object(inner),
        ]
    })
}

fn any_object(value: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    prop::collection::vec((any_name(), value), 0..6)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

fn any_table<T: Strategy>(
    paths: impl Strategy<Value = String>,
    value: T,
) -> impl Strategy<Value = Value>
where
    T::Value: Into<Value>,
{
    prop::collection::vec((paths, value), 1..3).prop_map(|pairs| {
        Value::Object(pairs.into_iter().map(|(path, value)| (path, value.into())).collect())
    })
}

/// One or two actions of each kind.
fn any_actions() -> impl Strategy<Value = Map<String, Value>> {
    let list = || prop::collection::vec(any_path(), 1..3).prop_map(Value::from).boxed();
    let scalars = || prop_oneof![Just(json!(1.50)), Just(json!("x\"y")), Just(json!([1, {}]))];
    let action = prop_oneof![
        list().prop_map(|paths| ("drop_fields", paths)),
        any_table(any_path(), prop::collection::vec(any_name(), 0..3))
            .prop_map(|table| ("allow_fields", table)),
        any_table(any_plain_path(), any_plain_path()).prop_map(|table| ("rename", table)),
        any_table(any_plain_path(), any_path()).prop_map(|table| ("copy", table)),
        any_table(any_path(), scalars()).prop_map(|table| ("set", table)),
        any_table(any_path(), scalars()).prop_map(|table| ("default", table)),
        list().prop_map(|paths| ("lowercase", paths)),
        list().prop_map(|paths| ("to_string", paths)),
        any_table(any_path(), 0_u64..9).prop_map(|table| ("truncate", table)),
        list().prop_map(|paths| ("hash", paths)),
        any_table(any_path(), Just("_/")).prop_map(|table| ("flatten", table)),
    ];
    prop::collection::vec(action, 1..4).prop_map(|actions| {
        actions.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn transforms_do_what_changing_a_tree_does(event_value in any_object(any_value()), actions in any_actions(), pretty: bool) {
        let settings = json!({"mappings": [{"event": "*", "stream": "s"}], "transforms": [actions]});
        // Some actions affect the same path and are rejected.
        let Ok(mut mapping) = Harness::<Mapping>::configure(&settings.to_string()) else { return Ok(()) };
        // These actions read the text of arrays and objects, in which new members are last. The
        // members of the tree are sorted by name.
        let reads_text = actions.contains_key("hash") || actions.contains_key("to_string");
        let adds_members = ["set", "default", "copy", "rename"].iter().any(|action| actions.contains_key(*action));
        prop_assume!(!(reads_text && adds_members));
        let pretty = pretty && !reads_text;
        let text = if pretty { serde_json::to_string_pretty(&event_value) } else { serde_json::to_string(&event_value) };
        let text = text.expect("JSON");
        let made = decided_text(&mapping.map(event(&text))).unwrap_or(text);
        let parsed: Value = serde_json::from_str(&made).expect("valid JSON");
        prop_assert_eq!(parsed, expected_event(&event_value, &actions), "{}", made);
    }
}
