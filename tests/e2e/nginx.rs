//! Tests the host next to nginx as documented: which requests arrive, and which are lost while the
//! host is down.

use standpipe_tests::client::Client;
use standpipe_tests::{Proxy, wait_until};

use crate::beside::{self, LogRotation, find_recipe};

/// Requests before each rotation of the log.
const REQUESTS: usize = 50;

#[test]
fn tracking_calls_are_mirrored_and_lost_only_while_the_host_is_down() {
    beside::assert_mirrored_except_while_host_is_down(|port| {
        let http = find_recipe("nginx mirror")
            .replace("127.0.0.1:8080", &format!("127.0.0.1:{port}"))
            .replace("listen 80;", "listen LISTEN;")
            .replace("proxy_pass http://app;", "proxy_pass http://$server_addr:$server_port/app;")
            .replace("# the rest of the site", "location /app { return 202; }");
        let nginx = Proxy::start_nginx(&http);
        let url = nginx.url().to_owned();
        (nginx, url)
    });
}

#[test]
fn an_access_log_keeps_all_requests_until_the_host_reads_it() {
    let http = find_recipe("nginx log").replace("/var/log/nginx/", "");
    let http = http.replace("listen 80;", "listen LISTEN;");
    let nginx =
        Proxy::start_nginx(&http.replace("# the rest of the site", "location / { return 204; }"));
    let directory = nginx.directory().to_str().unwrap();
    let script = find_recipe("nginx turn").replace("/var/log/nginx", directory);
    let pid = nginx.pid().to_string();
    let turning = LogRotation::new(&script.replace("$(cat /run/nginx.pid)", &pid));

    assert_eq!(Client::connect(nginx.url()).get("/%FF").unwrap().status, 204);
    send_requests(&nginx, 0);
    turning.rotate_without_host();
    send_requests(&nginx, REQUESTS);
    turning.rotate_without_host();
    assert_eq!(turning.delivered_records().len(), 0);
    turning.rotate_with_host();
    assert_eq!(turning.delivered_records().len(), REQUESTS);
    send_requests(&nginx, 2 * REQUESTS);
    wait_until("all requests have been delivered", || {
        turning.rotate_with_host();
        turning.delivered_records().len() >= 3 * REQUESTS
    });

    let events = turning.delivered_records();
    assert_eq!(events.len(), 3 * REQUESTS);
    for (number, event) in events.iter().enumerate() {
        let properties = &event["properties"];
        assert_eq!(properties["method"], "GET");
        assert_eq!(properties["path"], format!("/shop/\"{number}"));
        assert_eq!(properties["status"], 204);
        assert_eq!(properties["user_agent"], "a \"quoted\" agent");
        assert!(properties["latency_s"].as_f64().is_some());
        assert_eq!(event["type"], "track");
        assert!(!event.to_string().contains("hush"));
    }
    let dead_letters = turning.dead_letters();
    let reasons: Vec<_> = dead_letters.iter().map(|dead_letter| &*dead_letter.reason).collect();
    assert_eq!(reasons, ["invalid_utf8"]);
}

fn send_requests(nginx: &Proxy, first: usize) {
    let headers = [("User-Agent", "a \"quoted\" agent")];
    for number in first..first + REQUESTS {
        let path = format!("/shop/%22{number}?hush=1");
        let reply = Client::connect(nginx.url()).request("GET", &path, &headers, b"").unwrap();
        assert_eq!(reply.status, 204);
    }
}
