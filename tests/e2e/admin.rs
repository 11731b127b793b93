//! The admin API changes the plugin while events flow, for whoever knows the token,
//! and does what its document says.

mod clients;
mod flow;
mod routes;
mod signatures;
mod tokens;

use std::borrow::Cow;

use serde_json::{Value, json};
use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_tests::client::{Client, Reply, basic};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, Source};
use standpipe_tests::{Collector, Program};

const TOKEN: &str = "0123456789abcdef-PLANTED";

/// A collector whose plugin can be changed.
fn administered() -> CollectorSettings {
    let settings = CollectorSettings::new([Source::segment("web")]);
    settings.with("admin", &format!("token = '{TOKEN}'"))
}

fn start(settings: &CollectorSettings) -> Collector {
    let program = Program::running_locally().settings(settings);
    Collector::start(program.mapping(&[("*", "all")]).env("RUST_LOG", "info,standpipe=trace"))
}

/// Ask with the token.
fn ask(collector: &Collector, method: &str, path: &str, body: &[u8]) -> Reply {
    let authorization = format!("Bearer {TOKEN}");
    ask_with(collector, method, path, &[("Authorization", &authorization)], body)
}

fn ask_with(
    collector: &Collector,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Reply {
    let mut client = Client::connect(collector.admin_url());
    client.request(method, path, headers, body).expect("an answer")
}

fn value(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text()))
}

/// Another component that does the same: a custom section is behind the others.
fn variant(component: &[u8], number: u8) -> Vec<u8> {
    [component, &[0, 6, 4, b't', b'e', b's', b't', number]].concat()
}

fn of_default(number: u8) -> Cow<'static, [u8]> {
    Cow::Owned(variant(DEFAULT_PLUGIN, number))
}

fn metrics(collector: &Collector) -> Metrics {
    let page = Client::connect(collector.admin_url()).get("/metrics").expect("a page");
    Metrics::parse(&page.text()).expect("a page as it must be")
}

/// Send events with these names, of users who are numbered, to a collector.
fn send(url: &str, names: &[&str]) {
    let events = names
        .iter()
        .enumerate()
        .map(|(user, name)| json!({"type": "track", "event": name, "userId": format!("u{user}")}));
    let body = json!({"batch": events.collect::<Vec<_>>()}).to_string();
    let (name, key) = basic("key-of-web");
    let headers = [(name, &*key), ("Content-Type", "application/json")];
    let mut client = Client::connect(url);
    let reply = client.post("/v1/batch", &headers, body.as_bytes()).expect("an answer");
    assert_eq!(reply.status, 200, "{}", reply.text());
}
