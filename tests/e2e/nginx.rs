//! The host beside nginx, as the documentation says to set it up: what arrives, and
//! what is lost while the host is down.

use std::fs;

use serde_json::{Value, json};
use tests::client::Client;
use tests::metrics::Metrics;
use tests::{Collector, Nginx, Program, wait_until, workspace};

const REQUESTS: usize = 50;

/// A block of the documentation, as a reader copies it.
fn recipe(name: &str) -> String {
    let text = fs::read_to_string(workspace().join("host/docs/embedding.md")).unwrap();
    let start = format!("<!-- {name} -->\n\n");
    let (_, rest) = text.split_once(&start).expect("the recipe is there");
    let lines = rest.lines().take_while(|line| line.is_empty() || line.starts_with("    "));
    lines.map(|line| line.strip_prefix("    ").unwrap_or(line).to_owned() + "\n").collect()
}

fn post(nginx: &Nginx, path: &str, body: &str) -> u16 {
    let headers = [("Content-Type", "application/json"), ("User-Agent", "a \"quoted\" agent")];
    Client::connect(nginx.url()).post(path, &headers, body.as_bytes()).unwrap().status
}

fn tracked(number: usize) -> String {
    json!({"writeKey": "key", "userId": "u", "event": "Signed Up", "n": number}).to_string()
}

fn numbers(records: &[u8]) -> Vec<u64> {
    let events = records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let number = |line| serde_json::from_slice::<Value>(line).unwrap()["n"].as_u64().unwrap();
    let mut numbers: Vec<_> = events.map(number).collect();
    numbers.sort_unstable();
    numbers
}

const SOURCES: &str = "[delivery]\nmax_delay = '10ms'\n\
    [[sources]]\nname = 'web'\ndialect = 'segment'\nwrite_keys = ['key']\n";

#[test]
fn tracking_calls_are_mirrored_and_lost_only_while_the_host_is_down() {
    let program = Program::running_locally().settings(SOURCES).mapping(&[("*", "all")]);
    let collector = Collector::start(program);
    let address = collector.url().strip_prefix("http://").unwrap();
    let http = recipe("nginx mirror").replace("127.0.0.1:8080", address);
    let http = http
        .replace("listen 80;", "listen LISTEN;")
        .replace("proxy_pass http://app;", "proxy_pass http://$server_addr:$server_port/app;");
    let app = "location /app { return 202; }";
    let nginx = Nginx::start(&http.replace("# the rest of the site", app));
    for number in 0..REQUESTS {
        assert_eq!(post(&nginx, "/v1/track", &tracked(number)), 202);
    }
    wait_until("what was mirrored has come", || {
        let page = Client::connect(collector.admin_url()).get("/metrics").unwrap().body;
        let metrics = Metrics::parse(&String::from_utf8(page).unwrap()).unwrap();
        metrics.sum("collector_events_total") == REQUESTS as f64
    });
    let ran = collector.stop();
    assert_eq!(numbers(&ran.streams()["all"]), (0..REQUESTS as u64).collect::<Vec<_>>());
    // The site does not notice.
    assert_eq!(post(&nginx, "/v1/track", &tracked(REQUESTS)), 202);
}

#[test]
fn an_access_log_keeps_all_requests_until_the_host_reads_it() {
    let http = recipe("nginx log").replace("/var/log/nginx/", "");
    let http = http.replace("listen 80;", "listen LISTEN;");
    let nginx = Nginx::start(&http.replace("# the rest of the site", "location / { return 204; }"));
    for number in 0..REQUESTS {
        assert_eq!(post(&nginx, &format!("/shop/%22{number}?hush=1"), ""), 204);
    }
    let (log, turned) = (nginx.path("events.json"), nginx.path("events.1.json"));
    fs::rename(&log, &turned).unwrap();
    nginx.reopen_logs();
    wait_until("nginx writes another file", || log.exists());
    assert_eq!(post(&nginx, "/late", ""), 204);
    let program = Program::running_locally().mapping(&[("HTTP Request", "requests")]);
    let ran = program.args([&turned]).run().exits(0);
    let records = ran.streams().remove("requests").unwrap();
    let events = records.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let events: Vec<Value> = events.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert_eq!(events.len(), REQUESTS);
    for (number, event) in events.iter().enumerate() {
        let properties = &event["properties"];
        assert_eq!(properties["path"], format!("/shop/\"{number}"));
        assert_eq!(properties["status"], 204);
        assert_eq!(properties["user_agent"], "a \"quoted\" agent");
        assert!(properties["latency_s"].as_f64().is_some());
        assert_eq!(event["type"], "track");
    }
    assert!(!String::from_utf8(records).unwrap().contains("hush"));
}
