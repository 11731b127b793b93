//! Tests the admin API, which changes the plugin while events flow, for clients with the token, as
//! in its OpenAPI document.

mod clients;
mod flow;
mod routes;
mod signatures;
mod tokens;

use std::borrow::Cow;

use serde_json::{Value, json};
use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_tests::client::{Client, HttpResponse, basic_auth};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, Program};

const TOKEN: &str = "0123456789abcdef-PLANTED";

/// Settings of a collector whose plugin can be changed through the admin API.
fn settings_with_token() -> CollectorSettings {
    let settings = CollectorSettings::new([SourceEntry::segment("web")]);
    settings.with_line("admin", &format!("token = '{TOKEN}'"))
}

fn start_collector(settings: &CollectorSettings) -> Collector {
    let program = Program::host_run_locally().settings(settings);
    Collector::start(program.mapping(&[("*", "all")]).env("RUST_LOG", "info,standpipe=trace"))
}

/// Sends a request with the token.
fn send_request(collector: &Collector, method: &str, path: &str, body: &[u8]) -> HttpResponse {
    let authorization = format!("Bearer {TOKEN}");
    send_request_with(collector, method, path, &[("Authorization", &authorization)], body)
}

fn send_request_with(
    collector: &Collector,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> HttpResponse {
    let mut client = Client::connect(collector.admin_url());
    client.request(method, path, headers, body).expect("an answer")
}

fn parse_body(reply: &HttpResponse) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text()))
}

/// A component with the same code and another digest, because it has an additional custom section.
fn plugin_variant(component: &[u8], number: u8) -> Vec<u8> {
    [component, &[0, 6, 4, b't', b'e', b's', b't', number]].concat()
}

fn default_plugin_variant(number: u8) -> Cow<'static, [u8]> {
    Cow::Owned(plugin_variant(DEFAULT_PLUGIN, number))
}

fn read_metrics(collector: &Collector) -> Metrics {
    let page = Client::connect(collector.admin_url()).get("/metrics").expect("a page");
    Metrics::parse(&page.text()).expect("a page as it must be")
}

/// Sends events with these names, of numbered users, to a collector.
fn send_events(url: &str, names: &[&str]) {
    let events = names
        .iter()
        .enumerate()
        .map(|(user, name)| json!({"type": "track", "event": name, "userId": format!("u{user}")}));
    let body = json!({"batch": events.collect::<Vec<_>>()}).to_string();
    let (name, key) = basic_auth("key-of-web");
    let headers = [(name, &*key), ("Content-Type", "application/json")];
    let mut client = Client::connect(url);
    let reply = client.post("/v1/batch", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}
