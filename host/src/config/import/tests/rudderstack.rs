//! RudderStack's Firehose destination: mappings, role, keys and consent in each stored form.

use serde_json::{Value, json};

use super::*;
use standpipe_core::secret::Secret;

fn destination() -> Value {
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

#[test]
fn a_whole_destination_becomes_these_settings() {
    let imported = import(Vendor::RudderStack, &destination().to_string()).unwrap();
    let toml = imported.to_toml(SecretDisplay::Shown);
    let expected = r#"# Imported from the RudderStack destination "events to firehose" with the id "2abc".

[[plugin.settings.consent]]
categories = ["marketing"]
provider = "custom"
strategy = "and"

[[plugin.settings.consent]]
categories = ["C0001"]
strategy = "and"

[[plugin.settings.consent]]
categories = ["analytics"]
strategy = "or"

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
    assert_eq!(imported.to_toml(SecretDisplay::Hidden), expected, "it has no secret to hide");
    assert_round_trip(&imported);
    for words in [
        &["\"connectionMode\"", "no counterpart"][..],
        &["trust policy", "422074288268"],
        &["newline = false"],
        &["firehose:PutRecordBatch"],
    ] {
        assert_noted(&imported, words);
    }
    assert_eq!(imported.notes.len(), 4, "{:#?}", imported.notes);
}

#[test]
fn an_export_is_taken_as_it_comes() {
    let whole = destination();
    let transformer_form = json!({
        "ID": "2abc", "Name": "events to firehose", "Enabled": true, "WorkspaceID": "1wks",
        "DestinationDefinition": {"Name": "FIREHOSE"}, "Config": whole["config"],
    });
    let other = json!({"destinationDefinition": {"name": "S3"}, "config": {"bucketName": "b"}});
    for export in [
        whole["config"].clone(),
        json!([other, whole]),
        json!({"destinations": [whole, other]}),
        json!({"data": {"destination": whole}}),
        json!([{"message": {}, "destination": transformer_form}]),
        json!({"workspaceId": "1wks", "sources": [
            {"config": {}, "sourceDefinition": {"name": "Javascript"}, "destinations": [whole, other]},
            {"config": {}, "sourceDefinition": {"name": "Go"}, "destinations": [whole]},
            {"config": {}, "sourceDefinition": {"name": "Go"}},
        ]}),
    ] {
        assert_same(Vendor::RudderStack, &export, &whole);
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_what_to_give() {
    let of_type = |kind: &str| json!({"destinationDefinition": {"name": kind}, "config": {}});
    for (export, words) in [
        (json!({"region": "us-east-1"}), &["no RudderStack destination", "mapEvents"][..]),
        (json!({"destinations": []}), &["no RudderStack destination"]),
        (json!({"config": []}), &["no RudderStack destination"]),
        (
            json!({"sources": [{"config": {}, "sourceDefinition": {"name": "Go"}}]}),
            &["no RudderStack destination"],
        ),
        (json!({"settings": {"roleAddress": ROLE}}), &["no RudderStack destination"]),
        (
            json!([of_type("S3"), of_type("KINESIS"), {"type": "S3", "config": {}}]),
            &["for \"KINESIS\", \"S3\":", "RudderStack destination"],
        ),
        (json!({"type": "S3", "config": {}}), &["\"S3\""]),
        (twins(&destination()), &["2 RudderStack destinations", "only one"]),
    ] {
        assert_refused(Vendor::RudderStack, &export, words);
    }
}

#[test]
fn a_destination_may_leave_its_kind_unsaid() {
    let unsaid = json!({"config": {"mapEvents": [{"from": "a", "to": "unsaid"}]}});
    let imported = import(Vendor::RudderStack, &unsaid.to_string()).unwrap();
    assert_eq!(rows(&imported), [("a", "unsaid")]);
    assert_same(Vendor::RudderStack, &json!([unsaid, destination()]), &destination());
}

#[test]
fn keys_match_in_any_case() {
    let imported = rudderstack(&json!({
        "REGION": "us-east-1", "iamrolearn": ROLE, "externalId": "x", "MapEvents": [{"from": "a", "to": "b"}],
    }));
    assert_eq!(imported.settings.aws.region.as_deref(), Some("us-east-1"));
    assert_eq!(imported.settings.aws.role_arn.as_deref(), Some(ROLE));
    assert_eq!(imported.settings.aws.external_id.as_ref().map(Secret::expose), Some("x"));
    assert_eq!(rows(&imported), [("a", "b")]);
    let both = rudderstack(&json!({"Region": "other", "region": "exact"}));
    assert_eq!(both.settings.aws.region.as_deref(), Some("exact"));
}

#[test]
fn rows_pass_in_order() {
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
fn rows_that_cannot_be_used_are_noted_by_number() {
    for (row, words) in [
        (json!({"from": "", "to": "s"}), &["empty"][..]),
        (json!({"from": null, "to": "s"}), &["`from` is missing"]),
        (json!({"to": "s"}), &["`from` is missing"]),
        (json!({"From": "a", "to": "s"}), &["`from` is missing"]),
        (json!({"from": 1, "to": "s"}), &["`from` is not text"]),
        (json!({"from": "a", "to": 7}), &["`to` is not text"]),
        (
            json!({"from": "a", "to": "no stream"}),
            &["\"no stream\"", "1 to 64", "match the event \"a\""],
        ),
        (json!({"from": "a", "to": "env.STREAM"}), &["fills it in"]),
        (json!({"from": "env.EVENT", "to": "s"}), &["fills it in"]),
        (json!({"from": "a", "to": "{{ event.stream || rest }}"}), &["fills it in"]),
        (json!("a"), &["not an object"]),
    ] {
        let imported = rudderstack(
            &json!({"mapEvents": [{"from": "1", "to": "one"}, row, {"from": "3", "to": "three"}]}),
        );
        assert_eq!(rows(&imported), [("1", "one"), ("3", "three")], "{row}");
        assert_noted(&imported, &["`mapEvents` entry 2 is left out"]);
        assert_noted(&imported, words);
        assert_not_noted(&imported, "names both");
    }
}

#[test]
fn no_usable_row_is_noted() {
    for (map_events, is_list) in
        [(json!(null), true), (json!([{"from": "a", "to": ""}]), true), (json!({"a": "b"}), false)]
    {
        let imported = rudderstack(&json!({"mapEvents": map_events}));
        assert_noted(&imported, &["no mapping names both"]);
        let complaints = noted(&imported, &["`mapEvents` is not a list"]);
        assert_eq!(complaints, usize::from(!is_list), "{map_events}");
        assert_round_trip(&imported);
    }
}

#[test]
fn assumes_the_role_by_its_own_rules() {
    let keys = || json!({"accessKeyID": "AKIA", "accessKey": "hush", "sessionToken": "t0k3n"});
    for (based, arn, is_assumed, words) in [
        (None, Some(ROLE), true, None),
        (Some(json!(null)), Some(ROLE), true, None),
        (Some(json!(true)), Some(ROLE), true, None),
        (Some(json!(false)), Some(ROLE), false, Some("`iamRoleARN` is left out")),
        (Some(json!(true)), Some(""), false, Some("treats as false")),
        (Some(json!(true)), None, false, Some("treats as false")),
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
        assert_eq!(
            aws.external_id.as_ref().map(Secret::expose),
            is_assumed.then_some("1wks"),
            "{config}"
        );
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
    for wrong in [json!("true"), json!(1)] {
        let json = json!({"config": {"roleBasedAuth": wrong, "iamRoleARN": ROLE}});
        assert_refused(Vendor::RudderStack, &json, &["`roleBasedAuth`", "true or false"]);
    }
}

#[test]
fn external_id_falls_back_on_the_workspace() {
    for (destination, id, words) in [
        (json!({"workspaceId": "w", "config": {"externalID": "x"}}), Some("x"), None),
        (
            json!({"workspaceId": "w", "config": {"externalID": ""}}),
            Some("w"),
            Some("workspace's id"),
        ),
        (json!({"workspaceId": "w", "config": {}}), Some("w"), Some("workspace's id")),
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
        (
            json!({"workspaceId": "w", "config": {"externalID": "env.ID"}}),
            None,
            Some("`externalID` is filled in"),
        ),
    ] {
        let mut destination = destination;
        destination["config"]["iamRoleARN"] = ROLE.into();
        let imported = import(Vendor::RudderStack, &destination.to_string()).unwrap();
        assert_eq!(
            imported.settings.aws.external_id.as_ref().map(Secret::expose),
            id,
            "{destination}"
        );
        assert_eq!(imported.settings.aws.role_arn.as_deref(), Some(ROLE), "{destination}");
        words.iter().for_each(|word| assert_noted(&imported, &[word]));
        let about_workspace =
            usize::from(words.is_some_and(|word| word != "`externalID` is filled in"));
        assert_eq!(noted(&imported, &["workspace's id"]), about_workspace, "{destination}");
        assert_not_noted(&imported, "has no counterpart");
    }
}

#[test]
fn static_keys_are_taken_together_or_not_at_all() {
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
fn texts_that_it_fills_in_are_left_out() {
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
        let values = [" env.NAME", "{{ traits.x || y }}", "••••abcd"];
        for value in values.map(Value::from).into_iter().chain([json!(7)]) {
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
fn settings_without_counterpart_are_noted_by_name() {
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

fn consents(imported: &Imported) -> Value {
    imported.settings.plugin.settings.get("consent").cloned().unwrap_or_default()
}

#[test]
fn consent_is_imported_in_every_form() {
    let provider = |consent: &str| {
        let consents = json!([{"consent": consent}, {"consent": ""}]);
        json!([{"provider": "oneTrust", "resolutionStrategy": "or", "consents": consents}])
    };
    let custom = json!([
        {"provider": "custom", "resolutionStrategy": "or", "consents": [{"consent": "a"}, {"consent": "b"}]},
        {"consents": [{"consent": "c"}]},
    ]);
    let one_trust = json!([{"provider": "oneTrust", "categories": ["c"]}]);
    for (key, value, expected) in [
        ("consentManagement", provider("c"), one_trust.clone()),
        ("consentManagement", json!({"web": [], "ios": provider("c")}), one_trust.clone()),
        ("consentManagement", json!({"web": provider("c"), "ios": provider("c")}), one_trust),
        (
            "consentManagement",
            custom,
            json!([
                {"provider": "custom", "strategy": "or", "categories": ["a", "b"]},
                {"provider": "oneTrust", "categories": ["c"]},
            ]),
        ),
        ("consentManagement", json!({"web": provider(""), "ios": []}), Value::Null),
        (
            "oneTrustCookieCategories",
            json!({"web": [{"oneTrustCookieCategory": "C1"}, {"oneTrustCookieCategory": "C2"}]}),
            json!([{"strategy": "and", "categories": ["C1", "C2"]}]),
        ),
        (
            "ketchConsentPurposes",
            json!([{"purpose": "p"}, {"purpose": "q"}]),
            json!([{"strategy": "or", "categories": ["p", "q"]}]),
        ),
        ("ketchConsentPurposes", json!([{"purpose": ""}]), Value::Null),
    ] {
        let imported = rudderstack(&json!({"mapEvents": [{"from": "*", "to": "s"}], key: value}));
        assert_eq!(consents(&imported), expected, "{key} {value}");
        assert_not_noted(&imported, "left out");
        assert_not_noted(&imported, "denied");
        assert_not_noted(&imported, "refuses");
        assert_round_trip(&imported);
    }
}

#[test]
fn consent_of_several_types_of_source_is_asked_for_together() {
    let of = |consent: &str| json!([{"consents": [{"consent": consent}]}]);
    let imported = rudderstack(&json!({"consentManagement": {"ios": of("a"), "web": of("b")}}));
    let expected = json!([
        {"provider": "oneTrust", "categories": ["a"]},
        {"provider": "oneTrust", "categories": ["b"]},
    ]);
    assert_eq!(consents(&imported), expected);
    assert_noted(&imported, &["`consentManagement` differs by type of source"]);
}

#[test]
fn consent_that_cannot_be_read_is_noted() {
    for (value, words) in [
        (json!("all"), "not a list"),
        (json!({"web": [7]}), "not an object"),
        (json!([{"consents": "c"}]), "`consents` is not a list"),
        (json!([{"consents": [{"consent": 7}]}]), "a consent is not a fixed text"),
        (json!([{"consents": [{"consent": "env.CONSENT"}]}]), "a consent is not a fixed text"),
        (
            json!([{"provider": 7, "consents": [{"consent": "c"}]}]),
            "`provider` is not a fixed text",
        ),
    ] {
        let imported = rudderstack(&json!({"consentManagement": value}));
        assert_noted(&imported, &["`consentManagement` is not imported in full", words]);
    }
}

#[test]
fn event_filtering_of_device_mode_is_noted() {
    let events = json!([{"eventName": "A"}]);
    let config = json!({"eventFilteringOption": "blacklistedEvents", "blacklistedEvents": events});
    assert_noted(&rudderstack(&config), &["`eventFilteringOption` is left out", "device mode"]);
    let config =
        json!({"eventFilteringOption": "disable", "whitelistedEvents": [{"eventName": ""}]});
    assert_not_noted(&rudderstack(&config), "left out");
}
