//! Tests imports of both vendors: the host accepts the resulting settings, options without a
//! counterpart get a note, and no secret appears outside of the TOML.

mod code;
mod rudderstack;
mod segment;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Settings, parse};
use super::*;

const ROLE: &str = "arn:aws:iam::111122223333:role/firehose-writer";

fn rudderstack(config: &Value) -> Imported {
    import(Vendor::RudderStack, &json!({"workspaceId": "1wks", "config": config}).to_string())
        .unwrap()
}

fn segment(settings: &Value) -> Imported {
    import(Vendor::Segment, &json!({"settings": settings}).to_string()).unwrap()
}

#[track_caller]
fn assert_same(vendor: Vendor, export: &Value, destination: &Value) {
    let expected = import(vendor, &destination.to_string()).unwrap();
    let export = export.to_string();
    let imported = import(vendor, &export).expect(&export);
    assert_eq!(imported.settings, expected.settings, "{export}");
    assert_eq!(imported.notes, expected.notes, "{export}");
}

#[track_caller]
fn assert_refused(vendor: Vendor, export: &Value, words: &[&str]) {
    let export = export.to_string();
    let message = import(vendor, &export).expect_err(&export).to_string();
    assert!(words.iter().all(|word| message.contains(word)), "{export}: {message}");
}

/// A list of a destination and a second similar one.
fn twins(destination: &Value) -> Value {
    let mut twin = destination.clone();
    twin["name"] = "twin".into();
    json!([destination, twin])
}

fn check(toml: &str) -> Settings {
    parse(toml).expect(toml).check(Path::new(""), Overrides::default()).expect(toml)
}

fn rows(imported: &Imported) -> Vec<(&str, &str)> {
    let mappings = imported.settings.plugin.settings.get("mappings");
    let rows = mappings.and_then(Value::as_array).into_iter().flatten();
    rows.map(|row| (row["event"].as_str().unwrap(), row["stream"].as_str().unwrap())).collect()
}

/// The number of notes that contain all of these words.
fn noted(imported: &Imported, words: &[&str]) -> usize {
    imported.notes.iter().filter(|note| words.iter().all(|word| note.contains(word))).count()
}

#[track_caller]
fn assert_noted(imported: &Imported, words: &[&str]) {
    assert_eq!(noted(imported, words), 1, "{words:?} in {:#?}", imported.notes);
}

#[track_caller]
fn assert_not_noted(imported: &Imported, word: &str) {
    assert_eq!(noted(imported, &[word]), 0, "{word:?} in {:#?}", imported.notes);
}

#[track_caller]
fn assert_round_trip(imported: &Imported) {
    let toml = imported.to_toml(SecretDisplay::Shown);
    assert_eq!(parse(&toml).expect(&toml), imported.settings, "{toml}");
    check(&toml);
}

#[test]
fn broken_json_is_told_by_its_place_only() {
    for json in ["", "{\"accessKey\": \"hush\"", "{\"accessKey\": hush}"] {
        let message = import(Vendor::Segment, json).unwrap_err().to_string();
        assert!(message.contains("not JSON") && message.contains("line 1"), "{message}");
        assert!(message.contains("the Segment destination") && !message.contains("hush"));
    }
}

#[test]
fn a_byte_order_mark_is_skipped() {
    assert!(import(Vendor::RudderStack, "\u{feff}{\"config\": {}}").is_ok());
}

#[test]
fn a_disabled_destination_is_noted() {
    for (vendor, json, note) in [
        (Vendor::RudderStack, json!({"enabled": false, "config": {}}), "disabled at RudderStack"),
        (Vendor::Segment, json!({"Enabled": false, "settings": {}}), "disabled at Segment"),
    ] {
        assert_noted(&import(vendor, &json.to_string()).unwrap(), &[note]);
    }
    assert_not_noted(&rudderstack(&json!({})), "disabled");
}

#[test]
fn a_setting_that_the_host_refuses_is_noted() {
    let imported = segment(&json!({"roleAddress": "firehose-writer"}));
    assert_eq!(imported.settings.aws.role_arn.as_deref(), Some("firehose-writer"));
    let words =
        ["this host refuses", "role_arn \"firehose-writer\"", "arn:aws:iam::ACCOUNT:role/NAME"];
    assert_noted(&imported, &words);
}

#[test]
fn hidden_secrets_leave_a_comment() {
    let keys = json!({"accessKeyID": "AKIA", "accessKey": "hush", "sessionToken": "t0k3n"});
    let role = json!({"roleAddress": ROLE, "secretId": "s3cr3t-id"});
    for (imported, secrets, hidden) in [
        (rudderstack(&keys), &["hush", "t0k3n"][..], &["secret_access_key", "session_token"][..]),
        (segment(&role), &["s3cr3t-id"], &["external_id"]),
    ] {
        let toml = imported.to_toml(SecretDisplay::Hidden);
        let debug = format!("{imported:?}");
        for secret in secrets {
            assert!(!toml.contains(secret) && !debug.contains(secret), "{toml}{debug}");
            assert!(imported.to_toml(SecretDisplay::Shown).contains(secret));
        }
        for key in hidden {
            let comment = format!(
                "\n# {key} = \"...\" is hidden: run again with --show-secrets, or send the output to a file\n"
            );
            assert!(toml.contains(&comment), "{toml}");
        }
        assert_eq!(toml.matches("is hidden").count(), hidden.len());
        let read = parse(&toml).unwrap();
        assert_eq!(read.plugin, imported.settings.plugin);
        assert_eq!(read.aws.region, imported.settings.aws.region);
    }
}

#[test]
fn a_name_stays_within_the_comment() {
    let name =
        "x\"\n[aws]\nregion = \"evil\"\r\u{0}\u{7f}\u{85}\u{2028}".to_owned() + &"y".repeat(1000);
    let json = json!({"name": name, "id": "1\n2", "config": {"region": "good"}});
    let imported = import(Vendor::RudderStack, &json.to_string()).unwrap();
    let toml = imported.to_toml(SecretDisplay::Shown);
    let header = toml.lines().next().unwrap();
    assert!(header.starts_with("# Imported from") && header.contains("(and more)"), "{header}");
    assert!(header.chars().count() < 400 && !header.contains(char::is_control), "{header}");
    assert_round_trip(&imported);
    for (json, header) in [
        (json!({"config": {}}), "# Imported from RudderStack settings.\n"),
        (
            json!({"id": "7", "config": {}}),
            "# Imported from the RudderStack destination with the id \"7\".\n",
        ),
        (
            json!({"name": "n", "config": {}}),
            "# Imported from the RudderStack destination \"n\".\n",
        ),
    ] {
        let imported = import(Vendor::RudderStack, &json.to_string()).unwrap();
        assert!(imported.to_toml(SecretDisplay::Hidden).starts_with(header));
    }
}

/// Texts that could break out of a TOML string, and other texts.
fn awkward_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        any::<String>(),
        any::<char>().prop_map(String::from),
        "[\u{0}-\u{20}\u{7f}\"'\\\\=#\\[\\]]{1,4}",
        prop::sample::select(vec![
            "\"\"\"",
            "'''",
            "\n[aws]\n",
            "\r\n",
            "\\u0000",
            "a=b",
            "é\u{301}",
            "\u{feff}",
            "🎉"
        ])
        .prop_map(str::to_owned),
    ];
    vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

fn stream() -> impl Strategy<Value = String> {
    prop_oneof![4 => "[a-zA-Z0-9_.-]{1,64}", 1 => Just(String::new())]
}

/// Arbitrary JSON in which keys and values of the vendors are frequent.
fn any_export() -> impl Strategy<Value = Value> {
    let known = || {
        prop::sample::select(vec![
            "config",
            "Config",
            "settings",
            "data",
            "destination",
            "destinations",
            "sources",
            "name",
            "id",
            "type",
            "destinationDefinition",
            "metadata",
            "slug",
            "enabled",
            "workspaceId",
            "region",
            "iamRoleARN",
            "roleBasedAuth",
            "externalID",
            "accessKeyID",
            "accessKey",
            "secretAccessKey",
            "sessionToken",
            "sharedConfigProfile",
            "mapEvents",
            "from",
            "to",
            "mappedStreams",
            "key",
            "value",
            "roleAddress",
            "secretId",
            "consentManagement",
            "timeout",
        ])
        .prop_map(str::to_owned)
    };
    let text = prop_oneof![
        awkward_text(),
        stream(),
        prop::sample::select(vec![
            "FIREHOSE",
            ROLE,
            "env.X",
            "{{a||b}}",
            "••••",
            "*",
            "w/config/mappedStreams"
        ])
        .prop_map(str::to_owned),
    ];
    let leaf = prop_oneof![
        5 => text.prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i64>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    leaf.prop_recursive(5, 64, 6, move |inner| {
        let key = prop_oneof![9 => known(), 1 => awkward_text()];
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            3 => vec((key, inner), 0..8).prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn any_names_come_back_from_the_toml(
        mappings in vec((awkward_text(), stream()), 0..8),
        texts in [awkward_text(), awkward_text(), awkward_text(), awkward_text()],
    ) {
        let [name, region, external_id, secret] = texts;
        let map_events: Vec<_> = mappings.iter().map(|(from, to)| json!({"from": from, "to": to})).collect();
        let role = json!({"name": name, "config": {
            "mapEvents": map_events, "region": format!("r{region}"), "iamRoleARN": ROLE, "externalID": external_id,
        }});
        let keys = json!({"name": name, "config": {
            "mapEvents": map_events, "accessKeyID": "AKIA", "accessKey": secret, "sessionToken": secret,
        }});
        let expected: Vec<_> = mappings
            .iter()
            .filter(|(from, _)| !from.is_empty() && !remaining_fields::is_filled_in(from))
            .map(|(from, to)| (from.as_str(), to.as_str()))
            .collect();
        for destination in [role, keys] {
            let imported = import(Vendor::RudderStack, &destination.to_string()).unwrap();
            prop_assert_eq!(rows(&imported), expected.clone());
            assert_round_trip(&imported);
        }
        let mapped: Vec<_> = mappings.iter().map(|(key, value)| json!({"key": key, "value": value})).collect();
        let imported = segment(&json!({"mappedStreams": mapped, "roleAddress": ROLE, "secretId": secret}));
        let expected: Vec<_> = mappings
            .iter()
            .filter(|(key, value)| !key.is_empty() && !value.is_empty())
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect();
        prop_assert_eq!(rows(&imported), expected);
        assert_round_trip(&imported);
    }

    #[test]
    fn any_property_can_be_filtered(object in "[a-z]{1,4}(\\.\\PC{1,9})?", names in vec("\\PC{1,9}", 1..3)) {
        for action in ["DROP_PROPERTIES", "ALLOW_PROPERTIES"] {
            let action = json!({"type": action, "fields": {"": names, (object.clone()): names}});
            let export = json!({
                "settings": {"mappedStreams": [{"key": "*", "value": "s"}]},
                "filters": [{"if": "all", "actions": [action]}],
            });
            let imported = import(Vendor::Segment, &export.to_string()).unwrap();
            // Two names conflict if one of them is a prefix of the other's path.
            prop_assume!(!names.iter().any(|name| object.starts_with(name.as_str())));
            prop_assert_eq!(noted(&imported, &["left out"]), 0, "{:?}", imported.notes);
            assert_round_trip(&imported);
        }
    }

    #[test]
    fn no_secret_is_shown_but_in_the_toml(
        secret in "[a-zA-Z0-9+/]{20,40}",
        mut export in any_export(),
        key in prop::sample::select(vec!["accessKey", "secretAccessKey", "sessionToken", "secretId"]),
    ) {
        let vendor = if key == "secretId" { Vendor::Segment } else { Vendor::RudderStack };
        if !export.is_object() {
            export = json!({"accessKeyID": "AKIA", "roleAddress": ROLE});
        }
        export[key] = secret.clone().into();
        let wrapped = json!({"config": export, "settings": export});
        for json in [export.to_string(), wrapped.to_string(), wrapped.to_string() + "x"] {
            let seen = match import(vendor, &json) {
                Ok(imported) => format!("{imported:?}{}", imported.to_toml(SecretDisplay::Hidden)),
                Err(error) => format!("{error:?}{error}"),
            };
            prop_assert!(!seen.contains(&secret), "{}", seen);
        }
    }

    #[test]
    fn any_export_gives_settings_that_can_be_read(export in any_export()) {
        for vendor in [Vendor::RudderStack, Vendor::Segment] {
            let Ok(imported) = import(vendor, &export.to_string()) else { continue };
            let toml = imported.to_toml(SecretDisplay::Shown);
            prop_assert_eq!(&parse(&toml).expect(&toml), &imported.settings);
            prop_assert!(parse(&imported.to_toml(SecretDisplay::Hidden)).is_ok());
            let is_refused = noted(&imported, &["this host refuses"]) > 0;
            let checked = parse(&toml).unwrap().check(Path::new(""), Overrides::default());
            prop_assert_eq!(checked.is_err(), is_refused);
        }
    }
}
