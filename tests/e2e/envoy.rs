//! Tests the host next to Envoy as documented: which requests arrive, and which are lost while the
//! host is down.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use standpipe_tests::client::Client;
use standpipe_tests::{Endpoint, Proxy, wait_until};

use crate::beside::{self, LogRotation, find_recipe};

/// Requests before each rotation of the log.
const REQUESTS: usize = 50;

/// The rest of the site's configuration.
const ANSWERED: &str = r#"
route_config:
  virtual_hosts:
    - name: site
      domains: ["*"]
      routes:
        - match: {prefix: /}
          direct_response: {status: 204}
"#;

/// The service behind the site, which the reader of the documentation already has.
const APP: &str = "\
- name: app
    load_assignment:
      cluster_name: app
      endpoints:
        - lb_endpoints:
            - endpoint:
                address:
                  socket_address: {address: 127.0.0.1, port_value: APP}
";

#[test]
fn tracking_calls_are_mirrored_and_lost_only_while_the_host_is_down() {
    beside::assert_mirrored_except_while_host_is_down(|port| {
        let app = Endpoint::start(|_| (202, String::new()));
        let url = app.url();
        let (_, app_port) = url.rsplit_once(':').unwrap();
        let manager = find_recipe("envoy mirror").replace("# the rest of the site", "");
        let clusters = find_recipe("envoy mirror cluster")
            .replace("port_value: 8080", &format!("port_value: {port}"))
            .replace("# add the cluster of app here", &APP.replace("APP", app_port));
        let envoy = Proxy::start_envoy(&manager, &clusters);
        let url = envoy.url().to_owned();
        ((envoy, app), url)
    });
}

/// User agents of clients, and their form in the log.
fn user_agents() -> [(&'static [u8], Value); 6] {
    [
        (b"User-Agent: a \"quoted\" \\ agent\r\n", json!("a \"quoted\" \\ agent")),
        ("User-Agent: Zürich 😀\r\n".as_bytes(), json!("Zürich 😀")),
        // Not UTF-8: each byte becomes a separate character.
        (b"User-Agent: Z\xfcrich\r\n", json!("Zürich")),
        (b"User-Agent: \xc3\xbc\xff\r\n", json!("Ã¼ÿ")),
        (b"User-Agent: 7\r\nX-Envoy-Original-Path: /faked?hush=2\r\n", json!("7")),
        (b"", Value::Null),
    ]
}

#[test]
fn an_access_log_keeps_all_requests_until_the_host_reads_it() {
    let manager = find_recipe("envoy log").replace("/var/log/envoy", "DIRECTORY");
    let envoy = Proxy::start_envoy(&(manager + ANSWERED), "");
    let script =
        find_recipe("envoy turn").replace("/var/log/envoy", envoy.directory().to_str().unwrap());
    let turning = LogRotation::new(&script.replace("$(pidof envoy)", &envoy.pid().to_string()));

    send_requests(&envoy, 0);
    turning.rotate_without_host();
    send_requests(&envoy, REQUESTS);
    turning.rotate_without_host();
    assert_eq!(turning.delivered_records().len(), 0);
    turning.rotate_with_host();
    send_requests(&envoy, 2 * REQUESTS);
    assert_eq!(send_get(&envoy, b"/\xfc", b""), 400);
    wait_until("all requests have been delivered", || {
        turning.rotate_with_host();
        turning.delivered_records().len() > 3 * REQUESTS
    });

    let events = turning.delivered_records();
    assert_eq!(events.len(), 3 * REQUESTS + 1);
    let id = |event: &Value| event["messageId"].as_str().expect("each has one").to_owned();
    let ids: BTreeSet<_> = events.iter().map(id).collect();
    assert_eq!(ids.len(), events.len());
    let path = |event: &Value| event["properties"]["path"].as_str().unwrap_or("").to_owned();
    let mut by_path: BTreeMap<_, _> = events.iter().map(|event| (path(event), event)).collect();
    for number in 0..3 * REQUESTS {
        let event = by_path.remove(&format!("/shop/%22%FF'{number}"));
        let event = event.expect("each request has an event");
        let properties = &event["properties"];
        assert_eq!(properties["method"], "GET");
        assert_eq!(properties["status"], 204);
        assert_eq!(properties["user_agent"], user_agents()[number % user_agents().len()].1);
        assert!(properties["latency_ms"].is_u64());
        assert_eq!(event["type"], "track");
        assert!(!event.to_string().contains("hush"));
    }
    // An invalid HTTP request has neither method nor path.
    let refused = &by_path[""]["properties"];
    assert_eq!(refused["status"], 400);
    assert_eq!((&refused["method"], &refused["path"]), (&Value::Null, &Value::Null));
    assert_eq!(turning.dead_letters().len(), 0);
}

fn send_requests(envoy: &Proxy, first: usize) {
    for number in first..first + REQUESTS {
        let path = format!("/shop/%22%FF'{number}?hush=1");
        let (agent, _) = user_agents()[number % user_agents().len()];
        assert_eq!(send_get(envoy, path.as_bytes(), agent), 204);
    }
}

/// The status of the response to a request with arbitrary bytes.
fn send_get(envoy: &Proxy, path: &[u8], header: &[u8]) -> u16 {
    let mut client = Client::connect(envoy.url());
    client
        .send(&[b"GET ", path, b" HTTP/1.1\r\nHost: site\r\n", header, b"\r\n"].concat())
        .unwrap();
    client.read_response().unwrap().status
}
