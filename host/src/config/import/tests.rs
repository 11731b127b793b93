use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{Settings, parse};
use super::*;
use crate::secret::Secret;

const ROLE: &str = "arn:aws:iam::111122223333:role/firehose-writer";
const DEFINITION_ID: &str = "59022a2270a3e552b955caa9";

fn rudderstack(config: &Value) -> Imported {
    import(Vendor::RudderStack, &json!({"workspaceId": "1wks", "config": config}).to_string())
        .unwrap()
}

fn segment(settings: &Value) -> Imported {
    import(Vendor::Segment, &json!({"settings": settings}).to_string()).unwrap()
}

fn error(vendor: Vendor, json: &Value) -> ImportError {
    import(vendor, &json.to_string()).expect_err(&json.to_string())
}

fn check(toml: &str) -> Settings {
    parse(toml).expect(toml).check(Path::new(""), Overrides::default()).expect(toml)
}

fn rows(imported: &Imported) -> Vec<(&str, &str)> {
    let mappings = imported.settings.plugin.settings.get("mappings");
    let rows = mappings.and_then(Value::as_array).into_iter().flatten();
    rows.map(|row| (row["event"].as_str().unwrap(), row["stream"].as_str().unwrap())).collect()
}

/// How many notes hold all the words.
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
    let toml = imported.to_toml(Secrets::Shown);
    assert_eq!(parse(&toml).expect(&toml), imported.settings, "{toml}");
    check(&toml);
}

fn rudderstack_destination() -> Value {
    json!({
        "id": "2abc", "name": "events to firehose", "enabled": true, "workspaceId": "1wks",
        "destinationDefinition": {"name": "FIREHOSE", "displayName": "Amazon Kinesis Firehose"},
        "config": {
            "region": "us-east-1", "roleBasedAuth": true, "iamRoleARN": ROLE, "externalID": "ext",
            "accessKeyID": "", "accessKey": "",
            "mapEvents": [
                {"from": "Order Completed", "to": "orders"},
                {"from": "page", "to": "web-pages"},
                {"from": "*", "to": "everything-else"},
            ],
            "connectionMode": {"web": "cloud"},
            "consentManagement": {"web": [
                {"provider": "custom", "resolutionStrategy": "and", "consents": [{"consent": "marketing"}]},
            ]},
            "oneTrustCookieCategories": {"web": [{"oneTrustCookieCategory": "C0001"}]},
            "ketchConsentPurposes": {"web": [{"purpose": "analytics"}]},
        },
    })
}

fn segment_destination() -> Value {
    json!({
        "id": "5f1d", "name": "firehose", "enabled": true, "sourceId": "src1",
        "metadata": {"id": DEFINITION_ID, "slug": "amazon-kinesis-firehose"},
        "settings": {
            "mappedStreams": [
                {"key": "User Registered", "value": "new_users"},
                {"key": "page", "value": "web-pages"},
                {"key": "*", "value": "all"},
            ],
            "region": "eu-west-1", "roleAddress": ROLE, "secretId": "s3cr3t-id",
        },
    })
}

#[test]
fn a_whole_rudderstack_destination_becomes_these_settings() {
    let imported = import(Vendor::RudderStack, &rudderstack_destination().to_string()).unwrap();
    let toml = imported.to_toml(Secrets::Shown);
    let expected = r#"# Imported from the RudderStack destination "events to firehose" with the id "2abc".

[[plugin.settings.mappings]]
event = "Order Completed"
stream = "orders"

[[plugin.settings.mappings]]
event = "page"
stream = "web-pages"

[[plugin.settings.mappings]]
event = "*"
stream = "everything-else"

[aws]
region = "us-east-1"
role_arn = "arn:aws:iam::111122223333:role/firehose-writer"
external_id = "ext"
session_name = "rudderstack-aws-firehose-access"
"#;
    assert_eq!(toml, expected);
    assert_eq!(imported.to_toml(Secrets::Hidden), expected, "it has no secret to hide");
    assert_round_trip(&imported);
    for words in [
        &["\"connectionMode\"", "no counterpart"][..],
        &["`consentManagement`", "denied"],
        &["`oneTrustCookieCategories`", "denied"],
        &["`ketchConsentPurposes`", "denied"],
        &["trust policy", "422074288268"],
        &["newline = false"],
        &["firehose:PutRecordBatch"],
    ] {
        assert_noted(&imported, words);
    }
    assert_eq!(imported.notes.len(), 7, "{:#?}", imported.notes);
}

#[test]
fn a_whole_segment_destination_becomes_these_settings() {
    let imported = import(Vendor::Segment, &segment_destination().to_string()).unwrap();
    assert_eq!(
        rows(&imported),
        [("User Registered", "new_users"), ("page", "web-pages"), ("*", "all")]
    );
    let expected = RawAws {
        region: Some("eu-west-1".to_owned()),
        role_arn: Some(ROLE.to_owned()),
        external_id: Some("s3cr3t-id".to_owned()),
        ..RawAws::default()
    };
    assert_eq!(imported.settings.aws, expected);
    assert_round_trip(&imported);
    assert_noted(&imported, &["trust policy", "595280932656:role/customer-firehose-access"]);
    assert_noted(&imported, &["several rows match", "fan_out = true"]);
    assert_noted(&imported, &["firehose:PutRecordBatch"]);
    assert_eq!(imported.notes.len(), 3, "{:#?}", imported.notes);
}

#[test]
fn an_export_is_taken_as_it_comes() {
    let (rudder, segment) = (rudderstack_destination(), segment_destination());
    let transformer_form = json!({
        "ID": "2abc", "Name": "events to firehose", "Enabled": true, "WorkspaceID": "1wks",
        "DestinationDefinition": {"Name": "FIREHOSE"}, "Config": rudder["config"],
    });
    let other = json!({"destinationDefinition": {"name": "S3"}, "config": {"bucketName": "b"}});
    let streams = &segment["settings"]["mappedStreams"];
    let old_segment = json!({
        "name": "workspaces/w/sources/s/destinations/amazon-kinesis-firehose",
        "enabled": true,
        "config": [
            {"name": "workspaces/w/config/mappedStreams", "type": "mixed", "value": streams},
            {"name": "workspaces/w/config/region", "value": "eu-west-1"},
            {"name": "workspaces/w/config/roleAddress", "value": ROLE},
            {"name": "workspaces/w/config/secretId", "value": "s3cr3t-id"},
        ],
    });
    for (vendor, whole, json) in [
        (Vendor::RudderStack, &rudder, rudder["config"].clone()),
        (Vendor::RudderStack, &rudder, transformer_form.clone()),
        (Vendor::RudderStack, &rudder, json!([other, rudder])),
        (Vendor::RudderStack, &rudder, json!({"destinations": [rudder, other]})),
        (Vendor::RudderStack, &rudder, json!({"data": {"destination": rudder}})),
        (Vendor::RudderStack, &rudder, json!([{"message": {}, "destination": transformer_form}])),
        (
            Vendor::RudderStack,
            &rudder,
            json!({"workspaceId": "1wks", "sources": [
                {"config": {}, "sourceDefinition": {"name": "Javascript"}, "destinations": [rudder, other]},
                {"config": {}, "sourceDefinition": {"name": "Go"}, "destinations": [rudder]},
                {"config": {}, "sourceDefinition": {"name": "Go"}},
            ]}),
        ),
        (Vendor::Segment, &segment, segment["settings"].clone()),
        (Vendor::Segment, &segment, json!({"data": {"destination": segment}})),
        (Vendor::Segment, &segment, json!({"data": {"destinations": [segment]}})),
        (Vendor::Segment, &segment, old_segment),
    ] {
        let whole = import(vendor, &whole.to_string()).unwrap();
        let imported = import(vendor, &format!("\u{feff}{json}"))
            .unwrap_or_else(|error| panic!("{json}: {error}"));
        assert_eq!(imported.settings, whole.settings, "{json}");
        assert_eq!(imported.notes, whole.notes, "{json}");
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_what_to_give() {
    let (rudder, segment) = (rudderstack_destination(), segment_destination());
    let of_type = |kind: &str| json!({"destinationDefinition": {"name": kind}, "config": {}});
    let of_slug = |id: Option<&str>, slug: &str| json!({"metadata": {"id": id, "slug": slug}, "settings": {}});
    let twin = |destination: &Value| {
        let mut twin = destination.clone();
        twin["name"] = "twin".into();
        json!([destination, twin])
    };
    for (vendor, json, words) in [
        (Vendor::RudderStack, json!(null), &["no RudderStack destination", "mapEvents"][..]),
        (Vendor::RudderStack, json!({}), &["no RudderStack destination"]),
        (Vendor::RudderStack, json!({"region": "us-east-1"}), &["no RudderStack destination"]),
        (Vendor::RudderStack, json!({"destinations": []}), &["no RudderStack destination"]),
        (Vendor::RudderStack, json!({"config": []}), &["no RudderStack destination"]),
        (Vendor::RudderStack, segment.clone(), &["no RudderStack destination"]),
        (Vendor::RudderStack, of_type("KINESIS"), &["\"KINESIS\"", "RudderStack destination"]),
        (Vendor::RudderStack, json!([of_type("S3"), of_type("KINESIS")]), &["\"KINESIS\", \"S3\""]),
        (Vendor::RudderStack, json!({"type": "S3", "config": {}}), &["\"S3\""]),
        (Vendor::RudderStack, twin(&rudder), &["2 RudderStack destinations", "only one"]),
        (
            Vendor::RudderStack,
            json!({"config": {"roleBasedAuth": "true"}}),
            &["`roleBasedAuth`", "true or false"],
        ),
        (Vendor::Segment, json!([1, "x"]), &["no Segment destination", "mappedStreams"]),
        (Vendor::Segment, json!({"settings": 1}), &["no Segment destination"]),
        (Vendor::Segment, rudder, &["no Segment destination"]),
        (Vendor::Segment, of_slug(None, "webhooks"), &["\"webhooks\"", "Segment destination"]),
        (Vendor::Segment, of_slug(Some("54521fd525e721e32a72ee91"), "webhooks"), &["\"webhooks\""]),
        (Vendor::Segment, of_slug(Some("5452"), "amazon-kinesis-firehose"), &["\"5452\""]),
        (
            Vendor::Segment,
            json!({"name": "workspaces/w/sources/s/destinations/webhooks", "config": []}),
            &["\"webhooks\""],
        ),
        (Vendor::Segment, twin(&segment), &["2 Segment destinations"]),
    ] {
        let message = error(vendor, &json).to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{json}: {message}");
    }
}

#[test]
fn broken_json_is_told_by_its_place_only() {
    for json in ["", "{\"accessKey\": \"hush\"", "{\"accessKey\": hush}", "hush"] {
        for vendor in [Vendor::RudderStack, Vendor::Segment] {
            let message = import(vendor, json).unwrap_err().to_string();
            assert!(message.contains("not JSON") && message.contains("line 1"), "{message}");
            assert!(!message.contains("hush"), "{message}");
        }
    }
}

#[test]
fn a_destination_may_leave_its_kind_unsaid() {
    let unsaid = json!({"config": {"mapEvents": [{"from": "a", "to": "unsaid"}]}});
    let imported = import(Vendor::RudderStack, &unsaid.to_string()).unwrap();
    assert_eq!(rows(&imported), [("a", "unsaid")]);
    let both = json!([unsaid, rudderstack_destination()]);
    let imported = import(Vendor::RudderStack, &both.to_string()).unwrap();
    assert_eq!(rows(&imported)[0], ("Order Completed", "orders"));
    for definition in [json!({"id": DEFINITION_ID}), json!({"slug": "amazon-kinesis-firehose"})] {
        let destination = json!({"metadata": definition, "settings": {}});
        assert!(import(Vendor::Segment, &destination.to_string()).is_ok());
    }
}

#[test]
fn rudderstack_keys_match_in_any_case() {
    let imported = rudderstack(&json!({
        "REGION": "us-east-1", "iamrolearn": ROLE, "externalId": "x", "MapEvents": [{"from": "a", "to": "b"}],
    }));
    assert_eq!(imported.settings.aws.region.as_deref(), Some("us-east-1"));
    assert_eq!(imported.settings.aws.role_arn.as_deref(), Some(ROLE));
    assert_eq!(imported.settings.aws.external_id.as_deref(), Some("x"));
    assert_eq!(rows(&imported), [("a", "b")]);
    let both = rudderstack(&json!({"Region": "other", "region": "exact"}));
    assert_eq!(both.settings.aws.region.as_deref(), Some("exact"));
}

#[test]
fn rudderstack_rows_pass_in_order() {
    let imported = rudderstack(&json!({"mapEvents": [
        {"from": "Page ", "to": "a"}, {"from": "page ", "to": "b"}, {"from": "x", "to": ""}, {"from": "y"},
        {"from": "z", "to": null}, {"from": "__proto__", "to": "p"}, {"from": "a=b", "to": "q"},
        {"from": "{{ no template }}", "to": "r"}, {"from": "environment", "to": "s"},
    ]}));
    let expected = [
        ("Page ", "a"),
        ("page ", "b"),
        ("x", ""),
        ("y", ""),
        ("z", ""),
        ("__proto__", "p"),
        ("a=b", "q"),
        ("{{ no template }}", "r"),
        ("environment", "s"),
    ];
    assert_eq!(rows(&imported), expected);
    assert_not_noted(&imported, "`mapEvents`");
    assert_round_trip(&imported);
}

#[test]
fn rudderstack_rows_that_cannot_be_used_are_noted_by_number() {
    let long = "x".repeat(65);
    for (row, words) in [
        (json!({"from": "", "to": "s"}), &["empty"][..]),
        (json!({"from": null, "to": "s"}), &["`from` is missing"]),
        (json!({"to": "s"}), &["`from` is missing"]),
        (json!({"From": "a", "to": "s"}), &["`from` is missing"]),
        (json!({"from": 1, "to": "s"}), &["`from` is no text"]),
        (json!({"from": true, "to": "s"}), &["`from` is no text"]),
        (json!({"from": ["a"], "to": "s"}), &["`from` is no text"]),
        (json!({"from": "a", "to": 7}), &["`to` is no text"]),
        (json!({"from": "a", "to": false}), &["`to` is no text"]),
        (
            json!({"from": "a", "to": "no stream"}),
            &["\"no stream\"", "1 to 64", "match the event \"a\""],
        ),
        (json!({"from": "a", "to": long}), &["1 to 64"]),
        (json!({"from": "a", "to": "env.STREAM"}), &["fills it in"]),
        (json!({"from": "env.EVENT", "to": "s"}), &["fills it in"]),
        (json!({"from": "a", "to": "{{ event.stream || rest }}"}), &["fills it in"]),
        (json!("a"), &["no object"]),
        (json!(null), &["no object"]),
    ] {
        let imported = rudderstack(
            &json!({"mapEvents": [{"from": "1", "to": "one"}, row, {"from": "3", "to": "three"}]}),
        );
        assert_eq!(rows(&imported), [("1", "one"), ("3", "three")], "{row}");
        assert_noted(&imported, &["`mapEvents` row 2 is left out"]);
        assert_noted(&imported, words);
        assert_not_noted(&imported, "names both");
    }
}

#[test]
fn no_usable_row_is_noted() {
    for map_events in [
        json!([]),
        json!(null),
        json!([{"from": "a", "to": ""}]),
        json!({"a": "b"}),
        json!("env.ROWS"),
    ] {
        let imported = rudderstack(&json!({"mapEvents": map_events}));
        assert_noted(&imported, &["no mapping row names both"]);
        let is_list = map_events.is_array() || map_events.is_null();
        assert_eq!(
            noted(&imported, &["`mapEvents` is no list"]),
            usize::from(!is_list),
            "{map_events}"
        );
        assert_round_trip(&imported);
    }
    for streams in [json!([]), json!({}), json!(null), json!("a")] {
        let imported = segment(&json!({"mappedStreams": streams}));
        assert_noted(&imported, &["no mapping row names both"]);
        assert_eq!(
            noted(&imported, &["`mappedStreams` is neither"]),
            usize::from(streams == "a"),
            "{streams}"
        );
    }
}

#[test]
fn rudderstack_assumes_the_role_by_its_own_rules() {
    let keys = || json!({"accessKeyID": "AKIA", "accessKey": "hush", "sessionToken": "t0k3n"});
    for (based, arn, is_assumed, words) in [
        (None, Some(ROLE), true, None),
        (Some(json!(null)), Some(ROLE), true, None),
        (Some(json!(true)), Some(ROLE), true, None),
        (Some(json!(false)), Some(ROLE), false, Some("`iamRoleARN` is left out")),
        (Some(json!(true)), Some(""), false, Some("takes for false")),
        (Some(json!(true)), None, false, Some("takes for false")),
        (Some(json!(false)), Some(""), false, None),
        (None, Some(""), false, None),
        (None, None, false, None),
    ] {
        let mut config = keys();
        based.iter().for_each(|based| config["roleBasedAuth"] = based.clone());
        arn.iter().for_each(|&arn| config["iamRoleARN"] = arn.into());
        let imported = rudderstack(&config.clone());
        let aws = &imported.settings.aws;
        assert_eq!(aws.role_arn.as_deref(), is_assumed.then_some(ROLE), "{config}");
        assert_eq!(aws.external_id.as_deref(), is_assumed.then_some("1wks"), "{config}");
        assert_eq!(aws.session_name.is_some(), is_assumed, "{config}");
        assert_eq!(aws.secret_access_key.is_some(), !is_assumed, "{config}");
        assert_eq!(noted(&imported, &["422074288268"]), usize::from(is_assumed), "{config}");
        assert_eq!(
            noted(&imported, &["next to a role"]),
            if is_assumed { 3 } else { 0 },
            "{config}"
        );
        words.iter().for_each(|word| assert_noted(&imported, &[word]));
        assert_round_trip(&imported);
    }
    for wrong in [json!("true"), json!(1), json!([]), json!("env.ROLE_BASED")] {
        let json = json!({"config": {"roleBasedAuth": wrong, "iamRoleARN": ROLE}});
        assert_eq!(
            error(Vendor::RudderStack, &json),
            ImportError::NotBoolean { key: "roleBasedAuth" }
        );
    }
}

#[test]
fn rudderstack_external_id_falls_back_on_the_workspace() {
    for (destination, id, words) in [
        (json!({"workspaceId": "w", "config": {"externalID": "x"}}), Some("x"), None),
        (
            json!({"workspaceId": "w", "config": {"externalID": ""}}),
            Some("w"),
            Some("workspace's id"),
        ),
        (json!({"workspaceId": "w", "config": {}}), Some("w"), Some("workspace's id")),
        (json!({"WorkspaceID": "w", "Config": {}}), Some("w"), Some("workspace's id")),
        (
            json!({"workspaceId": "w", "config": {"workspaceID": "c"}}),
            Some("c"),
            Some("workspace's id"),
        ),
        (
            json!({"workspaceId": "w", "config": {"workspaceID": ""}}),
            Some("w"),
            Some("workspace's id"),
        ),
        (json!({"workspaceId": "", "config": {}}), None, Some("neither `externalID`")),
        (json!({"config": {}}), None, Some("neither `externalID`")),
        (
            json!({"workspaceId": "w", "config": {"externalID": "env.ID"}}),
            None,
            Some("`externalID` is filled in"),
        ),
    ] {
        let mut destination = destination;
        let config = if destination.get("Config").is_some() { "Config" } else { "config" };
        destination[config]["iamRoleARN"] = ROLE.into();
        let imported = import(Vendor::RudderStack, &destination.to_string()).unwrap();
        assert_eq!(imported.settings.aws.external_id.as_deref(), id, "{destination}");
        assert_eq!(imported.settings.aws.role_arn.as_deref(), Some(ROLE), "{destination}");
        words.iter().for_each(|word| assert_noted(&imported, &[word]));
        let about_workspace =
            usize::from(words.is_some_and(|word| word != "`externalID` is filled in"));
        assert_eq!(noted(&imported, &["workspace's id"]), about_workspace, "{destination}");
        assert_not_noted(&imported, "has no counterpart");
    }
}

#[test]
fn rudderstack_static_keys_are_taken_together_or_not_at_all() {
    let all = |id: &str, key: &str, override_: &str, token: &str| {
        json!({
            "accessKeyID": id, "accessKey": key, "secretAccessKey": override_, "sessionToken": token,
        })
    };
    for (config, expected, is_noted) in [
        (all("AKIA", "hush", "", ""), Some(("hush", None)), false),
        (all("AKIA", "hush", "", "t0k3n"), Some(("hush", Some("t0k3n"))), false),
        (all("AKIA", "hush", "louder", ""), Some(("louder", None)), false),
        (all("AKIA", "", "louder", ""), Some(("louder", None)), false),
        (all("AKIA", "", "", ""), None, true),
        (all("", "hush", "", ""), None, true),
        (all("", "", "", "t0k3n"), None, true),
        (all("", "", "", ""), None, false),
        (all("AKIA", "hush", "env.SECRET", ""), None, true),
        (all("env.ID", "env.SECRET", "", ""), None, false),
    ] {
        let imported = rudderstack(&config.clone());
        let aws = &imported.settings.aws;
        let keys = aws
            .secret_access_key
            .as_ref()
            .map(|key| (key.expose(), aws.session_token.as_ref().map(Secret::expose)));
        assert_eq!(keys, expected, "{config}");
        assert_eq!(aws.access_key_id.as_deref(), expected.map(|_| "AKIA"), "{config}");
        assert_eq!(
            noted(&imported, &["the static keys are left out"]),
            usize::from(is_noted),
            "{config}"
        );
        assert!(imported.notes.iter().all(|note| {
            !["hush", "louder", "t0k3n", "SECRET"].iter().any(|secret| note.contains(secret))
        }));
        assert_round_trip(&imported);
    }
}

#[test]
fn rudderstack_texts_that_it_fills_in_are_left_out() {
    let full = json!({
        "region": "us-east-1", "iamRoleARN": ROLE, "externalID": "x", "sharedConfigProfile": "p",
        "mapEvents": [{"from": "a", "to": "b"}],
    });
    for (key, setting) in [
        ("region", "region"),
        ("iamRoleARN", "role_arn"),
        ("externalID", "external_id"),
        ("sharedConfigProfile", "profile"),
    ] {
        let values =
            ["env.NAME", " env.NAME", "{{ traits.x || y }}", "{{a||b}}", "••••abcd", "****"];
        for value in values.map(Value::from).into_iter().chain([json!(7), json!(["x"])]) {
            let mut config = full.clone();
            config[key] = value.clone();
            let imported = rudderstack(&config);
            assert_noted(
                &imported,
                &[&format!("`{key}` "), &format!("set `{setting}` under [aws]")],
            );
            assert_not_noted(&imported, "NAME");
            assert_eq!(
                noted(&imported, &["together with `role_arn`", "`external_id = \"x\"`"]),
                usize::from(key == "iamRoleARN")
            );
            assert_round_trip(&imported);
            let aws = toml::Table::try_from(&imported.settings.aws).unwrap();
            assert_eq!(aws.get(setting), None, "{key} {value}");
        }
    }
}

#[test]
fn rudderstack_settings_without_counterpart_are_noted_by_name() {
    let imported = rudderstack(&json!({
        "region": "", "timeout": 5, "maxIdleConnsPerHost": 64, "service": "firehose",
        "useNativeSDK": {"web": false}, "new\nkey\u{1b}": "hush", "blank": {"web": ["", null, {}]}, "empty": "",
    }));
    for key in ["timeout", "maxIdleConnsPerHost", "service", "useNativeSDK", "new\\nkey\\u{1b}"] {
        assert_noted(&imported, &[&format!("\"{key}\" has no counterpart")]);
    }
    assert_eq!(noted(&imported, &["no counterpart"]), 5, "{:#?}", imported.notes);
    assert_noted(&imported, &["`region` is missing"]);
    assert!(
        imported
            .notes
            .iter()
            .all(|note| !note.contains("hush") && !note.contains(char::is_control))
    );
}

#[test]
fn rudderstack_consent_is_noted_in_either_form() {
    let provider = |consent: &str| {
        let consents = json!([{"consent": consent}]);
        json!([{"provider": "oneTrust", "resolutionStrategy": "and", "consents": consents}])
    };
    for (key, value, is_noted) in [
        ("consentManagement", provider("c"), true),
        ("consentManagement", json!({"web": [], "ios": provider("c")}), true),
        ("consentManagement", provider(""), false),
        ("consentManagement", json!({"web": provider(""), "ios": []}), false),
        ("oneTrustCookieCategories", json!([{"oneTrustCookieCategory": "C1"}]), true),
        ("oneTrustCookieCategories", json!({"web": [{"oneTrustCookieCategory": "C1"}]}), true),
        ("oneTrustCookieCategories", json!({"web": [{"oneTrustCookieCategory": ""}]}), false),
        ("ketchConsentPurposes", json!([{"purpose": "p"}]), true),
        ("ketchConsentPurposes", json!([{"purpose": ""}]), false),
    ] {
        let imported = rudderstack(&json!({key: value}));
        assert_eq!(
            noted(&imported, &[&format!("`{key}`"), "denied"]),
            usize::from(is_noted),
            "{key} {value}"
        );
        assert_not_noted(&imported, "left out");
    }
}

#[test]
fn what_a_destination_does_beyond_its_settings_is_noted() {
    let imported = import(
        Vendor::RudderStack,
        &json!({"enabled": false, "transformations": [{"versionId": "v"}], "config": {}})
            .to_string(),
    );
    let imported = imported.unwrap();
    assert_noted(&imported, &["disabled at RudderStack"]);
    assert_noted(&imported, &["`transformations`", "mapping plugin"]);
    let imported =
        import(Vendor::Segment, &json!({"Enabled": false, "settings": {}}).to_string()).unwrap();
    assert_noted(&imported, &["disabled at Segment"]);
    assert_not_noted(&rudderstack(&json!({})), "disabled");
}

#[test]
fn a_setting_that_the_host_refuses_is_noted() {
    for imported in [
        rudderstack(&json!({"iamRoleARN": "firehose-writer"})),
        segment(&json!({"roleAddress": "firehose-writer"})),
    ] {
        assert_eq!(imported.settings.aws.role_arn.as_deref(), Some("firehose-writer"));
        assert_noted(
            &imported,
            &[
                "this host refuses",
                "role_arn \"firehose-writer\"",
                "arn:aws:iam::ACCOUNT:role/NAME",
            ],
        );
    }
}

#[test]
fn segment_rows_are_read_in_every_shape() {
    for row in [
        json!({"key": "A", "value": "a"}),
        json!({"key": "A", "value": {"stream": "a"}}),
        json!({"key": "A", "value": {"event": "A", "delivery_stream_name": "a", "id": 7}}),
        json!({"value": {"eventName": "A", "Delivery Stream": "a"}}),
        json!({"segmentEvent": "A", "streamName": "a"}),
        json!({"EVENT": "A", "firehoseStream": "a", "description": "x"}),
        json!({"from": "A", "to": "a", "value": null}),
        json!({"eventType": "A", "stream": "a"}),
        json!({"name": "A", "deliveryStreamName": "a"}),
    ] {
        let imported = segment(&json!({"mappedStreams": [row]}));
        assert_eq!(rows(&imported), [("A", "a")], "{row}");
        assert_not_noted(&imported, "left out");
    }
    let imported = segment(
        &json!({"mappedStreams": {"User Registered": "new_users", "*": "all", "bad": 1, "": "x"}}),
    );
    let mut found = rows(&imported);
    found.sort_unstable();
    assert_eq!(found, [("*", "all"), ("User Registered", "new_users")]);
    assert_noted(
        &imported,
        &["`mappedStreams` entry \"bad\" is left out", "its stream is no text"],
    );
    assert_noted(&imported, &["`mappedStreams` entry \"\" is left out", "empty"]);
}

#[test]
fn segment_rows_that_cannot_be_read_are_noted_by_number() {
    for (row, words) in [
        (json!("a"), "no object"),
        (json!(["a", "b"]), "no object"),
        (json!({"key": "a"}), "no field of it names the stream"),
        (json!({"value": "a"}), "no field of it names the event"),
        (
            json!({"event": "a", "name": "b", "stream": "s"}),
            "several fields of it could name the event",
        ),
        (
            json!({"key": "0", "value": {"event": "a", "stream": "s"}}),
            "several fields of it could name the event",
        ),
        (
            json!({"event": "a", "stream": "s", "to": "t"}),
            "several fields of it could name the stream",
        ),
        (json!({"key": 1, "value": "s"}), "its event is no text"),
        (json!({"key": "a", "value": ["s", "t"]}), "its stream is no text"),
        (json!({"key": "a", "value": null}), "no field of it names the stream"),
        (json!({"key": "a", "value": 7}), "its stream is no text"),
        (json!({"key": "", "value": "s"}), "empty"),
        (json!({"key": "a", "value": ""}), "empty"),
        (json!({"key": "a", "value": "no stream"}), "1 to 64"),
    ] {
        let imported = segment(&json!({"mappedStreams": [{"key": "1", "value": "one"}, row]}));
        assert_eq!(rows(&imported), [("1", "one")], "{row}");
        assert_noted(&imported, &["`mappedStreams` row 2 is left out", words]);
    }
}

#[test]
fn segment_access_is_imported_or_asked_for() {
    let imported = segment(&json!({}));
    assert_eq!(
        imported.settings.aws,
        RawAws { region: Some("us-west-2".to_owned()), ..RawAws::default() }
    );
    assert_noted(&imported, &["`region` is missing", "us-west-2"]);
    assert_noted(&imported, &["`roleAddress` is missing", "`role_arn`"]);
    assert_noted(&imported, &["`secretId` is missing", "`external_id`"]);

    let imported = segment(&json!({"region": "", "secretId": "s3cr3t-id", "extra": {"a": 1}}));
    assert_eq!(imported.settings.aws.region.as_deref(), Some("us-west-2"));
    assert_eq!(imported.settings.aws.external_id, None);
    assert_noted(&imported, &["`secretId` is left out", "`role_arn`"]);
    assert_noted(&imported, &["\"extra\" has no counterpart"]);
    assert_round_trip(&imported);
}

#[test]
fn segment_masks_are_asked_for() {
    for mask in ["••••d-id", "••••", "********", "*"] {
        for (key, setting) in
            [("secretId", "external_id"), ("roleAddress", "role_arn"), ("region", "region")]
        {
            let mut destination = segment_destination();
            destination["settings"][key] = mask.into();
            let imported = import(Vendor::Segment, &destination.to_string()).unwrap();
            assert_noted(
                &imported,
                &[&format!("`{key}` is masked"), &format!("set `{setting}` under [aws]")],
            );
            assert_not_noted(&imported, "is missing");
            assert!(!imported.to_toml(Secrets::Shown).contains(mask) || mask == "*");
            assert_round_trip(&imported);
        }
    }
}

#[test]
fn segment_config_entries_without_a_name_are_noted() {
    let region = json!({"name": "w/config/region", "value": "r"});
    let json = json!({"config": [{"value": 1}, {"name": "w/config/"}, "x", region]});
    let imported = import(Vendor::Segment, &json.to_string()).unwrap();
    for number in [1, 2, 3] {
        assert_noted(&imported, &[&format!("`config` entry {number} is left out")]);
    }
    assert_eq!(imported.settings.aws.region.as_deref(), Some("r"));
}

#[test]
fn hidden_secrets_leave_a_comment() {
    let keys = json!({"accessKeyID": "AKIA", "accessKey": "hush", "sessionToken": "t0k3n"});
    for (imported, secrets, hidden) in [
        (rudderstack(&keys), &["hush", "t0k3n"][..], &["secret_access_key", "session_token"][..]),
        (segment(&segment_destination()["settings"].clone()), &["s3cr3t-id"], &["external_id"]),
    ] {
        let toml = imported.to_toml(Secrets::Hidden);
        let debug = format!("{imported:?}");
        for secret in secrets {
            assert!(!toml.contains(secret) && !debug.contains(secret), "{toml}{debug}");
            assert!(imported.to_toml(Secrets::Shown).contains(secret));
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
    let toml = imported.to_toml(Secrets::Shown);
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
        assert!(imported.to_toml(Secrets::Hidden).starts_with(header));
    }
}

/// Texts that could break out of a TOML string, next to any others.
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

/// Any JSON, with keys and values of the vendors' more often than not.
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
            .filter(|(from, _)| !from.is_empty() && !rudderstack::is_filled_in(from))
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
                Ok(imported) => format!("{imported:?}{}", imported.to_toml(Secrets::Hidden)),
                Err(error) => format!("{error:?}{error}"),
            };
            prop_assert!(!seen.contains(&secret), "{}", seen);
        }
    }

    #[test]
    fn any_export_gives_settings_that_can_be_read(export in any_export()) {
        for vendor in [Vendor::RudderStack, Vendor::Segment] {
            let Ok(imported) = import(vendor, &export.to_string()) else { continue };
            let toml = imported.to_toml(Secrets::Shown);
            prop_assert_eq!(&parse(&toml).expect(&toml), &imported.settings);
            prop_assert!(parse(&imported.to_toml(Secrets::Hidden)).is_ok());
            let is_refused = noted(&imported, &["this host refuses"]) > 0;
            let checked = parse(&toml).unwrap().check(Path::new(""), Overrides::default());
            prop_assert_eq!(checked.is_err(), is_refused);
        }
    }
}
