//! Tests that SDKs get the settings that they require before they send.

use std::fs;

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::workspace_directory;

use super::*;

/// An SDK, and the members without which, or with another type of which, it does not send here.
type Required = (&'static str, &'static [(&'static str, Type)]);

/// The required type of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Type {
    /// A string that is not empty.
    Text,
    Object,
    /// An empty array.
    Empty,
    True,
    False,
    Zero,
}

use Type::{Empty, False, Object, Text, True, Zero};

/// RudderStack's SDKs, with the members that their public source reads from `/sourceConfig`.
const RUDDERSTACK: &[Required] = &[
    ("rudder-sdk-android", ANDROID),
    ("rudder-sdk-ios", ANDROID),
    // All members are declared without a default.
    ("rudder-sdk-swift", STRICT),
    ("rudder-sdk-kotlin", STRICT),
    ("rudder-sdk-unity", &[("/source/destinations", Empty), ("/source/enabled", True)]),
    (
        "rudder-sdk-js",
        &[
            ("/source/id", Text),
            ("/source/enabled", True),
            ("/source/config", Object),
            ("/source/config/statsCollection/errors/enabled", False),
            ("/source/config/statsCollection/metrics/enabled", False),
            ("/source/destinations", Empty),
        ],
    ),
    // These SDKs wrap those for Android, iOS and browsers.
    ("rudder-sdk-flutter", ANDROID),
    ("rudder-sdk-react-native", ANDROID),
];

const ANDROID: &[(&str, Type)] = &[
    ("/source/id", Text),
    ("/source/name", Text),
    ("/source/enabled", True),
    ("/source/updatedAt", Text),
    ("/source/config/statsCollection/errors/enabled", False),
    ("/source/config/statsCollection/metrics/enabled", False),
    ("/source/destinations", Empty),
];

const STRICT: &[(&str, Type)] = &[
    ("/source/id", Text),
    ("/source/name", Text),
    ("/source/writeKey", Text),
    ("/source/enabled", True),
    ("/source/workspaceId", Text),
    ("/source/updatedAt", Text),
    ("/source/config/statsCollection/errors/enabled", False),
    ("/source/config/statsCollection/metrics/enabled", False),
    ("/source/destinations", Empty),
];

/// Segment's SDKs, with the members that their public source reads from
/// `/v1/projects/KEY/settings`.
const SEGMENT: &[Required] = &[
    (
        "analytics-next",
        &[
            ("/integrations/Segment.io/apiKey", Text),
            ("/integrations/Segment.io/apiHost", Text),
            ("/integrations/Segment.io/protocol", Text),
            ("/metrics/sampleRate", Zero),
        ],
    ),
    ("analytics-swift", MOBILE),
    ("analytics-kotlin", MOBILE),
    ("analytics_flutter", &[("/integrations", Object), ("/integrations/Segment.io/apiHost", Text)]),
    (
        "analytics-react-native",
        &[("/integrations", Object), ("/integrations/Segment.io/apiHost", Text)],
    ),
    (
        "Analytics-CSharp",
        &[("/integrations/Segment.io", Object), ("/integrations/Segment.io/apiHost", Text)],
    ),
];

const MOBILE: &[(&str, Type)] = &[
    ("/integrations/Segment.io/apiKey", Text),
    ("/integrations/Segment.io/apiHost", Text),
    ("/metrics", Object),
    ("/metrics/sampleRate", Zero),
];

#[test]
fn every_sdk_finds_the_settings_that_it_requires() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    for path in ["/sourceConfig", "/sourceConfig/", "/sourceConfig?p=android&v=1.31.0&bv=34"] {
        let settings = get_settings(&collector, path, "key-of-backend");
        assert_satisfied(RUDDERSTACK, &settings);
        assert_eq!(settings["source"]["id"], "backend");
        assert_eq!(settings["source"]["name"], "backend");
        assert_eq!(settings["source"]["writeKey"], "key-of-backend");
        let updated_at = settings["source"]["updatedAt"].as_str().unwrap();
        assert!(updated_at.len() == 24 && updated_at.ends_with('Z'), "{updated_at}");
        // The settings do not change while the program runs.
        assert_eq!(get_settings(&collector, path, "key-of-backend"), settings);
    }
    let settings = get_settings(&collector, "/v1/projects/key-of-web/settings", "key-of-web");
    assert_satisfied(SEGMENT, &settings);
    let host = collector.url().strip_prefix("http://").unwrap();
    let expected =
        json!({"apiKey": "key-of-web", "apiHost": format!("{host}/v1"), "protocol": "http"});
    assert_eq!(settings["integrations"]["Segment.io"], expected);
    collector.stop().expect_exit(0);
}

/// SDKs delete their stored events, or turn themselves off, if their source is disabled or their
/// request is invalid.
#[test]
fn settings_responses_never_make_an_sdk_delete_events() {
    let stub = start_accepting_stub();
    let backend = SourceEntry::rudderstack("backend").with_line("enabled = false");
    let settings = CollectorSettings::new([SourceEntry::segment("web"), backend]);
    let collector = start_collector(&stub, &settings);
    for (key, status) in [("key-of-backend", 404), ("nobodys", 401)] {
        let headers = [("Authorization", &*basic_auth(key).1)];
        let mut client = Client::connect(collector.url());
        let reply = client.request("GET", "/sourceConfig?p=ios", &headers, b"").unwrap();
        assert_eq!(reply.status, status, "{key}");
        assert!(serde_json::from_slice::<Value>(&reply.body).is_err(), "{}", reply.text());
    }
    collector.stop().expect_exit(0);
}

#[test]
fn the_document_says_what_each_sdk_requires() {
    let document =
        fs::read_to_string(workspace_directory().join("host/docs/collector.md")).unwrap();
    for (sdk, members) in RUDDERSTACK.iter().chain(SEGMENT) {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{sdk}` ")));
        let row = row.unwrap_or_else(|| panic!("no row of {sdk}"));
        for (member, _) in *members {
            let name = member.rsplit('/').next().unwrap();
            let parents = ["source", "integrations", "enabled"];
            let is_named = parents.contains(&name) || row.contains(name);
            assert!(is_named, "{sdk} requires {member}, and the document does not say so: {row}");
        }
    }
}

fn get_settings(collector: &Collector, path: &str, key: &str) -> Value {
    let headers = [("Authorization", &*basic_auth(key).1)];
    let reply = Client::connect(collector.url()).request("GET", path, &headers, b"").unwrap();
    assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    assert_eq!(reply.header("content-type"), Some("application/json"));
    serde_json::from_slice(&reply.body).unwrap()
}

fn assert_satisfied(sdks: &[Required], settings: &Value) {
    for (sdk, members) in sdks {
        for (member, expected) in *members {
            let value = settings.pointer(member).unwrap_or(&Value::Null);
            let is_expected = match expected {
                Text => value.as_str().is_some_and(|text| !text.is_empty()),
                Object => value.is_object(),
                Empty => value.as_array().is_some_and(Vec::is_empty),
                True => *value == json!(true),
                False => *value == json!(false),
                Zero => *value == json!(0),
            };
            assert!(is_expected, "{sdk} requires {expected:?} at {member}, and finds {value}");
        }
    }
    assert!(!settings.to_string().contains("null"), "strict decoders fail on null: {settings}");
}
