//! Tests that `integrations` and consent have the same effect as at the vendors.

use serde_json::json;

use super::EventSwitches;
use crate::json::JsonValue;

fn switches_allow(
    integrations: serde_json::Value,
    consent: serde_json::Value,
    event: &str,
) -> bool {
    let some = |value: serde_json::Value| (!value.is_null()).then_some(value);
    let (integrations, consent) = (some(integrations), some(consent));
    let switches =
        EventSwitches::parse(integrations.as_ref(), consent.as_ref()).expect("good settings");
    switches.allows_event(JsonValue::of_text(event))
}

#[test]
fn integrations_decide_as_at_the_vendors() {
    for (integrations, allowed) in [
        ("{}", true),
        ("null", true),
        ("7", true),
        (r#"{"All":true}"#, true),
        (r#"{"All":false}"#, false),
        (r#"{"All":false,"All":true}"#, true),
        (r#"{"All":"yes"}"#, false),
        (r#"{"All":null,"Amazon Kinesis Firehose":true}"#, false),
        (r#"{"All":false,"Amazon Kinesis Firehose":true}"#, true),
        (r#"{"All":false,"Amazon Kinesis Firehose":{}}"#, true),
        (r#"{"All":true,"Amazon Kinesis Firehose":false}"#, false),
        (r#"{"\u0041ll":true,"Amazon Kinesis Fir\u0065hose":false}"#, false),
        (r#"{"All":false,"Amazon Kinesis Firehose":"true"}"#, false),
        (r#"{"FIREHOSE":false}"#, false),
        (r#"{"amazon kinesis firehose":false,"S3":false}"#, true),
        (r#"{"FIREHOSE":false,"Amazon Kinesis Firehose":true}"#, true),
    ] {
        let event = format!(r#"{{"type":"page","integrations":{integrations}}}"#);
        assert_eq!(switches_allow(json!(true), json!(null), &event), allowed, "{integrations}");
        assert!(switches_allow(json!(false), json!(null), &event), "off");
    }
    assert!(switches_allow(json!(true), json!(null), "{}"));
    assert!(!switches_allow(json!(["Mine"]), json!(null), r#"{"integrations":{"Mine":false}}"#));
}

#[test]
fn denied_consents_filter_events() {
    let and = json!({"categories": ["a", "b"]});
    let or = json!({"strategy": "or", "categories": ["a", "b"]});
    let own = json!([{"provider": "oneTrust", "strategy": "or", "categories": ["a", "b"]}]);
    let custom = json!({"provider": "custom", "strategy": "or", "categories": ["a", "b"]});
    for (consent, management, allowed) in [
        (&and, r#"{}"#, true),
        (&and, r#"{"deniedConsentIds":[]}"#, true),
        (&and, r#"{"deniedConsentIds":["c"]}"#, true),
        (&and, r#"{"deniedConsentIds":["c","a"]}"#, false),
        (&and, r#"{"deniedConsentIds":"a"}"#, true),
        (&and, r#"{"deniedConsentIds":[7,"\u0061"]}"#, false),
        (&or, r#"{"deniedConsentIds":["a"]}"#, true),
        (&or, r#"{"deniedConsentIds":["b","a"]}"#, false),
        // For providers other than custom, the strategy of the event is used.
        (&own, r#"{"provider":"oneTrust","deniedConsentIds":["a"]}"#, false),
        (
            &own,
            r#"{"provider":"oneTrust","resolutionStrategy":"or","deniedConsentIds":["a"]}"#,
            true,
        ),
        (&own, r#"{"provider":"ketch","deniedConsentIds":["a","b"]}"#, true),
        (&own, r#"{"deniedConsentIds":["a","b"]}"#, true),
        (
            &custom,
            r#"{"provider":"custom","resolutionStrategy":"and","deniedConsentIds":["a"]}"#,
            true,
        ),
        (&custom, r#"{"provider":"custom","deniedConsentIds":["a","b"]}"#, false),
    ] {
        let event = format!(r#"{{"context":{{"consentManagement":{management}}}}}"#);
        assert_eq!(
            switches_allow(json!(null), consent.clone(), &event),
            allowed,
            "{consent} {management}"
        );
    }
    assert!(switches_allow(json!(null), and, "{}"));
}
