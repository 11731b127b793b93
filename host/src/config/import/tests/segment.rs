//! Tests imports of Segment's Firehose destination: mappings in each form, access, consent and the
//! order of destination filters.

use serde_json::{Value, json};

use super::*;
use standpipe_core::secret::Secret;

const DEFINITION_ID: &str = "59022a2270a3e552b955caa9";

fn destination() -> Value {
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
fn a_whole_destination_becomes_these_settings() {
    let imported = import(Vendor::Segment, &destination().to_string()).unwrap();
    assert_eq!(
        rows(&imported),
        [("User Registered", "new_users"), ("page", "web-pages"), ("*", "all")]
    );
    let expected = RawAws {
        region: Some("eu-west-1".to_owned()),
        role_arn: Some(ROLE.to_owned()),
        external_id: Some(Secret::new("s3cr3t-id".to_owned())),
        ..RawAws::default()
    };
    assert_eq!(imported.settings.aws, expected);
    assert_round_trip(&imported);
    assert_noted(&imported, &["trust policy", "595280932656:role/customer-firehose-access"]);
    assert_noted(&imported, &["several mappings match", "fan_out = true"]);
    assert_noted(&imported, &["firehose:PutRecordBatch"]);
    assert_noted(&imported, &["lists no destination filters", "GET /destination/ID/filters"]);
    assert_eq!(imported.notes.len(), 4, "{:#?}", imported.notes);
}

#[test]
fn an_export_is_taken_as_it_comes() {
    let whole = destination();
    let config_api = json!({
        "name": "workspaces/w/sources/s/destinations/amazon-kinesis-firehose",
        "enabled": true,
        "config": [
            {
                "name": "workspaces/w/config/mappedStreams",
                "type": "mixed",
                "value": whole["settings"]["mappedStreams"],
            },
            {"name": "workspaces/w/config/region", "value": "eu-west-1"},
            {"name": "workspaces/w/config/roleAddress", "value": ROLE},
            {"name": "workspaces/w/config/secretId", "value": "s3cr3t-id"},
        ],
    });
    for export in [
        whole["settings"].clone(),
        json!({"data": {"destination": whole}}),
        json!({"data": {"destinations": [whole]}}),
        config_api,
    ] {
        assert_same(Vendor::Segment, &export, &whole);
    }
}

#[test]
fn what_cannot_be_imported_is_told_with_what_to_give() {
    let of = |metadata: Value| json!({"metadata": metadata, "settings": {}});
    for (export, words) in [
        (json!([1, "x"]), &["no Segment destination", "mappedStreams"][..]),
        (json!({"settings": 1}), &["no Segment destination"]),
        (json!({"config": {"iamRoleARN": ROLE}}), &["no Segment destination"]),
        (of(json!({"slug": "webhooks"})), &["\"webhooks\"", "Segment destination"]),
        (of(json!({"id": "5452", "slug": "webhooks"})), &["\"webhooks\""]),
        (of(json!({"id": "5452", "slug": "amazon-kinesis-firehose"})), &["\"5452\""]),
        (
            json!({"name": "workspaces/w/sources/s/destinations/webhooks", "config": []}),
            &["\"webhooks\""],
        ),
        (twins(&destination()), &["2 Segment destinations"]),
    ] {
        assert_refused(Vendor::Segment, &export, words);
    }
}

#[test]
fn an_id_or_a_slug_is_enough_to_say_the_kind() {
    for definition in [json!({"id": DEFINITION_ID}), json!({"slug": "amazon-kinesis-firehose"})] {
        let said = json!({"metadata": definition, "settings": {"region": "said"}});
        let export = json!([said, {"settings": {"region": "unsaid"}}]);
        assert_same(Vendor::Segment, &export, &said);
    }
}

#[test]
fn rows_are_read_in_every_shape() {
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
        &["`mappedStreams` entry \"bad\" is left out", "its stream is not text"],
    );
    assert_noted(&imported, &["`mappedStreams` entry \"\" is left out", "empty"]);
}

#[test]
fn rows_that_cannot_be_read_are_noted_by_number() {
    for (row, words) in [
        (json!("a"), "not an object"),
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
        (json!({"key": 1, "value": "s"}), "its event is not text"),
        (json!({"key": "a", "value": ["s", "t"]}), "its stream is not text"),
        (json!({"key": "a", "value": null}), "no field of it names the stream"),
        (json!({"key": "", "value": "s"}), "empty"),
        (json!({"key": "a", "value": ""}), "empty"),
        (json!({"key": "a", "value": "no stream"}), "1 to 64"),
    ] {
        let imported = segment(&json!({"mappedStreams": [{"key": "1", "value": "one"}, row]}));
        assert_eq!(rows(&imported), [("1", "one")], "{row}");
        assert_noted(&imported, &["`mappedStreams` entry 2 is left out", words]);
    }
}

#[test]
fn no_usable_row_is_noted() {
    for (streams, is_noted) in [(json!(null), false), (json!([]), false), (json!("a"), true)] {
        let imported = segment(&json!({"mappedStreams": streams}));
        assert_noted(&imported, &["no mapping names both"]);
        let complaints = noted(&imported, &["`mappedStreams` is neither"]);
        assert_eq!(complaints, usize::from(is_noted), "{streams}");
    }
}

#[test]
fn access_is_imported_or_asked_for() {
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
fn masks_are_asked_for() {
    for mask in ["••••d-id", "********"] {
        for (key, setting) in
            [("secretId", "external_id"), ("roleAddress", "role_arn"), ("region", "region")]
        {
            let mut destination = destination();
            destination["settings"][key] = mask.into();
            let imported = import(Vendor::Segment, &destination.to_string()).unwrap();
            assert_noted(
                &imported,
                &[&format!("`{key}` is masked"), &format!("set `{setting}` under [aws]")],
            );
            assert_not_noted(&imported, "is missing");
            assert!(!imported.to_toml(SecretDisplay::Shown).contains(mask));
            assert_round_trip(&imported);
        }
    }
}

#[test]
fn config_entries_without_a_name_are_noted() {
    let region = json!({"name": "w/config/region", "value": "r"});
    let json = json!({"config": [{"value": 1}, {"name": "w/config/"}, "x", region]});
    let imported = import(Vendor::Segment, &json.to_string()).unwrap();
    for number in [1, 2, 3] {
        assert_noted(&imported, &[&format!("`config` entry {number} is left out")]);
    }
    assert_eq!(imported.settings.aws.region.as_deref(), Some("r"));
}

fn transforms(imported: &Imported) -> Value {
    imported.settings.plugin.settings.get("transforms").cloned().unwrap_or_default()
}

/// A list of the destination and the response about its filters.
fn with_filters(filters: &Value) -> Imported {
    let export = json!([{"data": {"destination": destination()}}, {"data": {"filters": filters}}]);
    import(Vendor::Segment, &export.to_string()).unwrap()
}

#[test]
fn destination_filters_become_transforms_in_the_order_in_which_segment_applies_them() {
    let imported = with_filters(&json!([
        {
            "title": "No address", "enabled": true, "if": "all", "destinationId": "5f1d",
            "actions": [{"type": "ALLOW_PROPERTIES", "fields": {"": ["type", "event"], "a.b": ["c"]}}],
        },
        {
            "if": "type = 'track'", "enabled": true,
            "actions": [{"type": "DROP_PROPERTIES", "fields": {
                "context": ["ip", "a.b"], "properties.products": {"fields": ["sku"]},
            }}],
        },
        {"if": "event = 'Beat'", "actions": [{"type": "drop_event"}]},
        {"if": "contains(event, 'x')", "actions": [{"type": "SAMPLE", "percent": 0.25, "path": "userId"}]},
        {"if": "type = 'page'", "actions": [{"type": "sample_event", "percent": 0}]},
        {"if": "all", "enabled": false, "title": "Off", "actions": [{"type": "DROP"}]},
        {"if": "all", "destinationId": "another", "actions": [{"type": "DROP"}]},
    ]));
    let expected = json!([
        {"when": "contains(event, 'x')", "sample": {"percent": 25.0, "by": "userId"}},
        {"when": "type = 'page'", "drop": true},
        {"when": "event = 'Beat'", "drop": true},
        {"when": "type = 'track'", "drop_fields": [
            "context.ip", "context.a\\.b", "properties.products.sku", "properties.products[].sku",
        ]},
        {"allow_fields": {"": ["type", "event"], "a.b": ["c"], "a.b[]": ["c"]}},
    ]);
    assert_eq!(transforms(&imported), expected);
    assert_noted(&imported, &["the destination filter \"Off\" is left out", "disabled"]);
    assert_noted(&imported, &["destination filter 4 samples by a field"]);
    assert_not_noted(&imported, "no destination filters");
    assert_not_noted(&imported, "refuses");
    assert_round_trip(&imported);
}

#[test]
fn what_filters_cannot_say_is_noted() {
    let of = |filter: Value| with_filters(&json!([filter]));
    for (filter, words) in [
        (json!(7), "is not an object"),
        (json!({"actions": [{"type": "DROP"}]}), "has no condition"),
        (json!({"if": "all", "actions": []}), "has no actions"),
        (json!({"if": "all", "actions": [{"type": "HASH"}]}), "unknown type \"HASH\""),
        (json!({"if": "all", "actions": [{"type": "SAMPLE", "percent": 20}]}), "from 0 to 1"),
        (json!({"if": "all", "actions": [{"type": "DROP_PROPERTIES"}]}), "object of lists"),
        (
            json!({"if": "all", "actions": [{"type": "DROP_PROPERTIES", "fields": {"a": "b"}}]}),
            "lists",
        ),
        // With an invalid condition, Segment does not deliver events either.
        (json!({"if": "type ==", "actions": [{"type": "DROP"}]}), "this host refuses the settings"),
    ] {
        assert_noted(&of(filter), &[words]);
    }
}

#[test]
fn filters_in_the_destination_are_its_own() {
    let mut own = destination();
    own["filters"] = json!([{"if": "all", "actions": [{"type": "DROP"}]}]);
    let other =
        json!({"metadata": {"slug": "webhooks"}, "settings": {}, "filters": [{"if": "all"}]});
    let imported = import(Vendor::Segment, &json!([own, other]).to_string()).unwrap();
    assert_eq!(transforms(&imported), json!([{"drop": true}]));
}

#[test]
fn consent_is_imported() {
    let mut own = destination();
    own["consentSettings"] = json!({"categories": ["Analytics", "Ads & more"]});
    let imported = import(Vendor::Segment, &own.to_string()).unwrap();
    let preferences = "context.consent.categoryPreferences";
    let when = format!(
        "{preferences} != null and !({preferences}.Analytics and {preferences}.Ads\\ \\&\\ more)"
    );
    assert_eq!(transforms(&imported), json!([{"when": when, "drop": true}]));
    assert_not_noted(&imported, "refuses");
    own["consentSettings"] = json!({"categories": []});
    let imported = import(Vendor::Segment, &own.to_string()).unwrap();
    assert_eq!(transforms(&imported), Value::Null);
    own["consentSettings"] = json!({"categories": "Analytics"});
    let imported = import(Vendor::Segment, &own.to_string()).unwrap();
    assert_noted(&imported, &["`consentSettings` is not imported"]);
}
