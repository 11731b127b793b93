//! Tests that requests of SDKs are accepted, and that events get the members that the vendor's
//! server would add.

use serde_json::{Value, json};
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::compressed::{gzip, zlib, zstd};

use super::*;

/// The types in paths, each with its short form, if it has one.
const TYPES: &[(&str, Option<&str>)] = &[
    ("identify", Some("i")),
    ("track", Some("t")),
    ("page", Some("p")),
    ("screen", Some("s")),
    ("group", Some("g")),
    ("alias", Some("a")),
    ("merge", None),
    ("audiencelist", None),
];

/// Paths of batches, and whether only browsers use them.
const BATCHES: &[(&str, bool)] =
    &[("/v1/batch", false), ("/v1/import", false), ("/v1/b", true), ("/beacon/v1/batch", true)];

/// `{"type":"track","event":"brotli","userId":"u"}` as compressed by the Brotli library.
const BROTLI: &[u8] = b"\x8b\x16\x80{\"type\":\"track\",\"event\":\"brotli\",\"userId\":\"u\"}\x03";

#[test]
fn every_path_takes_events_by_the_rules_of_segment() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    for (path, _, _) in paths_of_one() {
        let reply =
            send_post(&collector, &path, "key-of-web", &json!({"event": path, "userId": "u"}));
        assert_eq!((reply.status, &*reply.text()), (200, r#"{"success":true}"#), "{path}");
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
    for (path, _) in BATCHES {
        let mut body = batch_of(&[track_event(path)]);
        body["sentAt"] = json!("2026-01-02T03:04:05.000Z");
        body["context"] = json!({"app": "shop"});
        body["integrations"] = json!({"All": true});
        assert_eq!(send_post(&collector, path, "key-of-web", &body).status, 200, "{path}");
    }
    collector.stop().expect_exit(0);
    let events = delivered_events(&stub);
    for (path, message_type, is_browser) in paths_of_one() {
        let event = find_only(&events, &path);
        assert_eq!(event["type"], message_type, "{event}");
        assert_times(event, &["originalTimestamp", "receivedAt", "timestamp"]);
        assert_eq!(event["messageId"].as_str().map(str::len), Some(36), "{event}");
        assert_eq!(event["context"]["ip"] == "127.0.0.1", is_browser, "{event}");
        assert!(event.get("rudderId").is_none() && event.get("request_ip").is_none(), "{event}");
    }
    for (path, is_browser) in BATCHES {
        let event = find_only(&events, path);
        assert_eq!(event["context"]["app"], "shop", "{event}");
        assert_eq!(event["integrations"], json!({"All": true}), "{event}");
        assert_eq!(event["sentAt"], "2026-01-02T03:04:05.000Z");
        assert_eq!(event["context"]["ip"] == "127.0.0.1", *is_browser, "{event}");
    }
    assert_eq!(events.len(), paths_of_one().len() + BATCHES.len());
}

#[test]
fn every_path_takes_events_by_the_rules_of_rudderstack() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    for (path, _, _) in paths_of_one() {
        let event = json!({"event": path, "anonymousId": "a"});
        let reply = send_post(&collector, &path, "key-of-backend", &event);
        assert_eq!((reply.status, &*reply.text()), (200, "ok"), "{path}");
    }
    for (path, _) in BATCHES {
        let mut body = batch_of(&[track_event(path)]);
        body["context"] = json!({"app": "shop"});
        assert_eq!(send_post(&collector, path, "key-of-backend", &body).status, 200, "{path}");
    }
    collector.stop().expect_exit(0);
    let events = delivered_events(&stub);
    let batches = BATCHES.iter().map(|(path, _)| ((*path).to_owned(), "track", false));
    for (path, message_type, _) in paths_of_one().into_iter().chain(batches) {
        let event = find_only(&events, &path);
        assert_eq!(event["type"], message_type, "{event}");
        assert_times(event, &["originalTimestamp", "receivedAt", "sentAt", "timestamp"]);
        assert_eq!(event["messageId"].as_str().map(str::len), Some(36), "{event}");
        assert_eq!(event["rudderId"].as_str().map(str::len), Some(36), "{event}");
        assert_eq!(event["request_ip"], "127.0.0.1", "{event}");
        assert!(event.get("context").is_none(), "{event}");
    }
    assert_eq!(events.len(), paths_of_one().len() + BATCHES.len());
}

#[test]
fn pixel_requests_always_return_an_image() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let image = |path: &str| {
        let reply = send_get(&collector, path);
        assert_eq!(
            (reply.status, reply.header("content-type")),
            (200, Some("image/gif")),
            "{path}"
        );
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert!(reply.body.starts_with(b"GIF89a") && reply.body.ends_with(b";"), "{path}");
    };
    let data = json!({"writeKey": "key-of-web", "userId": "u", "event": "by data"}).to_string();
    let data = base64_simd::URL_SAFE.encode_to_string(data);
    image(&format!("/v1/pixel/track?data={data}"));
    image("/v1/pixel/track?writeKey=key-of-web&userId=u&event=by+parameters&properties.price=9");
    image("/v1/pixel/page?writeKey=key-of-web&userId=u&event=of+a+page");
    image("/pixel/v1/track?writeKey=key-of-backend&anonymousId=a&event=by+rudder");
    image("/pixel/v1/page?writeKey=key-of-backend&anonymousId=a&event=rudder+page&name=");
    image("/v1/pixel/track?writeKey=nobodys&userId=u&event=lost");
    image("/v1/pixel/track?data=%25%25%25");
    image("/pixel/v1/track");
    assert_eq!(
        read_metrics(&collector).value("standpipe_collector_unknown_write_keys_total", &[]),
        2.0
    );
    collector.stop().expect_exit(0);
    let events = delivered_events(&stub);
    assert_eq!(events.len(), 5, "{events:?}");
    assert_eq!(find_only(&events, "by data")["context"]["ip"], "127.0.0.1");
    assert_eq!(find_only(&events, "by parameters")["properties"]["price"], "9");
    assert_eq!(find_only(&events, "of a page")["type"], "page");
    assert_eq!(find_only(&events, "by rudder")["channel"], "web");
    assert_eq!(find_only(&events, "rudder page")["name"], "Unknown Page");
}

#[test]
fn webhooks_become_events_without_a_user() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let reply = send_get(&collector, "/v1/webhook?writeKey=key-of-backend&a=1&a=2&b.c=x");
    assert_eq!(reply.status, 200, "{}", reply.text());
    let both = json!([{"order": 1}, {"order": 2}]);
    assert_eq!(send_post(&collector, "/v1/webhook", "key-of-backend", &both).status, 200);
    assert_eq!(
        send_post(&collector, "/v1/webhook", "key-of-web", &json!({"order": 3})).status,
        200
    );
    assert_eq!(send_post(&collector, "/v1/webhook", "key-of-web", &json!([])).status, 400);
    let send = |path: &str, content_type: &str, body: &str| {
        let headers = [("Content-Type", content_type)];
        Client::connect(collector.url()).post(path, &headers, body.as_bytes()).unwrap().status
    };
    let path = "/v1/webhook?writeKey=key-of-backend";
    let form = "application/x-www-form-urlencoded; charset=UTF-8";
    assert_eq!(send(path, form, "Body=h%C3%A9llo&From=%2B1555"), 200);
    assert_eq!(send("/v1/webhook", form, "writeKey=key-of-web&a=b"), 200);
    assert_eq!(send(&format!("{path}&by=query"), "application/json", ""), 200);
    assert_eq!(send(path, form, r#"{"order": 4}"#), 200);
    assert_eq!(send(path, "application/json", ""), 400);
    assert_eq!(send(path, "multipart/form-data; boundary=x", "--x--"), 415);
    collector.stop().expect_exit(0);
    let mut properties = Vec::new();
    for event in delivered_events(&stub) {
        assert_eq!(
            (&event["type"], &event["event"]),
            (&json!("track"), &json!("webhook_source_event"))
        );
        assert_eq!(event["anonymousId"].as_str().map(str::len), Some(36), "{event}");
        properties.push(event["properties"].to_string());
    }
    properties.sort();
    let expected = [
        r#"{"Body":"héllo","From":"+1555"}"#,
        r#"{"a":"b","writeKey":"key-of-web"}"#,
        r#"{"a":["1","2"],"b.c":"x"}"#,
        r#"{"by":"query"}"#,
        r#"{"order":1}"#,
        r#"{"order":2}"#,
        r#"{"order":3}"#,
        r#"{"order":4}"#,
    ];
    assert_eq!(properties, expected);
}

#[test]
fn health_version_and_settings_without_a_known_key_are_answered() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let json_of = |path: &str| {
        let reply = send_get(&collector, path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
        serde_json::from_slice::<Value>(&reply.body).unwrap()
    };
    for path in ["/health", "/"] {
        assert_eq!(json_of(path), json!({"server": "UP"}));
    }
    assert!(json_of("/version")["version"].is_string());
    assert_eq!(send_get(&collector, "/robots.txt").text(), "User-agent: *\nDisallow: /\n");
    for path in
        ["/v1/projects/nobodys/settings", "/sourceConfig/?writeKey=nobodys", "/sourceConfig/"]
    {
        assert_eq!(send_get(&collector, path).status, 401, "{path}");
    }
    collector.stop().expect_exit(0);
}

#[test]
fn a_write_key_may_stand_anywhere_and_no_content_type_matters() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let mut client = Client::connect(collector.url());
    let basic = basic_auth("key-of-web").1;
    let mut names = BTreeSet::new();
    let types =
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "nonsense", ""];
    for content_type in types {
        for place in ["header", "query", "body", "header over query"] {
            let name = format!("{place} {content_type}");
            let mut body = track_event(&name);
            let mut headers = vec![("Content-Type", content_type)];
            let path = match place {
                "header" => "/v1/track",
                "query" => "/v1/track?a=b&writeKey=key-of-web",
                "body" => {
                    body["writeKey"] = json!("key-of-web");
                    "/v1/track"
                }
                _ => "/v1/track?writeKey=nobodys",
            };
            if place.starts_with("header") {
                headers.push(("Authorization", &basic));
            }
            let reply = client.post(path, &headers, body.to_string().as_bytes()).unwrap();
            assert_eq!(reply.status, 200, "{name}: {}", reply.text());
            names.insert(name);
        }
    }
    collector.stop().expect_exit(0);
    assert_delivered(&stub, &names);
}

#[test]
fn every_compression_is_read() {
    let stub = start_accepting_stub();
    let collector = start_collector(&stub, &both_vendors());
    let mut client = Client::connect(collector.url());
    let body = |name: &str| track_event(name).to_string().into_bytes();
    let bodies = [
        ("gzip", gzip(&body("gzip"))),
        ("x-gzip", gzip(&body("x-gzip"))),
        ("GZIP", gzip(&body("GZIP"))),
        ("deflate", zlib(&body("deflate"))),
        ("br", BROTLI.to_vec()),
        ("zstd", zstd(&body("zstd"))),
        ("identity", body("identity")),
        ("gzip", [gzip(&body("padded")), vec![0; 512]].concat()),
    ];
    let authorization = basic_auth("key-of-web").1;
    let mut send = |encoding: &str, body: &[u8]| {
        let headers = [("Authorization", &*authorization), ("Content-Encoding", encoding)];
        client.post("/v1/track", &headers, body).unwrap()
    };
    for (encoding, bytes) in &bodies {
        let reply = send(encoding, bytes);
        assert_eq!(reply.status, 200, "{encoding}: {}", reply.text());
        // A damaged body is refused, and the connection stays usable.
        let is_padded = bytes.ends_with(&[0; 512]);
        if *encoding != "identity" && !is_padded {
            assert_eq!(send(encoding, &bytes[..bytes.len() / 2]).status, 400, "{encoding}");
        }
    }
    assert_eq!(send("compress", b"{}").status, 415);
    assert_eq!(send("gzip, br", b"{}").status, 415);
    collector.stop().expect_exit(0);
    let names = ["gzip", "x-gzip", "GZIP", "deflate", "brotli", "zstd", "identity", "padded"];
    assert_delivered(&stub, &names.map(str::to_owned).into());
}

/// Paths for single events, each with its type, and whether only browsers use it.
fn paths_of_one() -> Vec<(String, &'static str, bool)> {
    let mut paths = Vec::new();
    for (name, short) in TYPES {
        paths.push((format!("/v1/{name}"), *name, false));
        paths.extend(short.map(|short| (format!("/v1/{short}"), *name, true)));
    }
    paths
}

fn assert_times(event: &Value, keys: &[&str]) {
    for key in keys {
        let time = event[key].as_str().unwrap_or_default();
        assert!(
            time.len() == 24 && time.starts_with("20") && time.ends_with('Z'),
            "{key}: {event}"
        );
    }
}
