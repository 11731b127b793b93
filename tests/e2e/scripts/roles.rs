//! Tests scripts as canary and shadow, and through the admin API.

use serde_json::{Value, json};
use standpipe_tests::client::{Client, HttpResponse};
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Collector, misbehaving_plugin};

use super::*;

const TOKEN: &str = "0123456789abcdef-PLANTED";

/// A script that marks all events.
fn marking(mark: &str) -> String {
    format!("export function transformEvent(event) {{ event.mark = '{mark}'; return event; }}\n")
}

#[test]
fn a_shadow_compares_another_script() {
    let settings = format!(
        "workers = 1\n[plugin]\nscript = 'old.js'\n[plugin.shadow]\nscript = 'new.js'\n{ALL_EVENTS}"
    );
    let new = "export function transformEvent(event) { if (event.event !== 'x') return event; }";
    let program = Program::host_run_locally().file("old.js", TRANSFORM.as_bytes());
    let program = program.file("new.js", new.as_bytes()).settings(&settings);
    let ran = program.stdin("{\"event\":\"x\"}\n{\"event\":\"y\"}\n").run().expect_exit(0);
    assert_eq!(ran.count("delivered"), 2);
    let comparison = &ran.summary()["shadow"]["comparison"];
    assert_eq!((&comparison["compared"], &comparison["same"]), (&json!(2), &json!(1)));
    assert_eq!(comparison["filtered"], 1);
}

#[test]
fn a_canary_is_a_script_for_some_users() {
    let settings = format!(
        "workers = 1\n[plugin]\nscript = 'old.js'\n[plugin.canary]\nscript = 'new.js'\npercent = 50\n{ALL_EVENTS}"
    );
    let program = Program::host_run_locally().file("old.js", marking("old").as_bytes());
    let program = program.file("new.js", marking("new").as_bytes()).settings(&settings);
    let input = (0..400).map(|user| format!("{{\"event\":\"x\",\"userId\":\"u{user}\"}}\n"));
    let ran = program.stdin(input.collect::<String>()).run().expect_exit(0);
    let records = lines_of(&ran.streams());
    let marked = |mark: &str| {
        let mark = format!("\"mark\":\"{mark}\"");
        records.iter().filter(|record| record.contains(&mark)).count()
    };
    assert_eq!((records.len(), marked("old") + marked("new")), (400, 400));
    assert!((100..300).contains(&marked("new")), "{}", marked("new"));
}

#[test]
fn the_admin_api_takes_scripts() {
    let settings = CollectorSettings::new([SourceEntry::segment("web")])
        .with_line("admin", &format!("token = '{TOKEN}'"))
        .with_line("plugin", "script = 'old.js'");
    let program = Program::host_run_locally().file("old.js", marking("old").as_bytes());
    let collector = Collector::start(program.settings(&settings).mapping(&[("*", "events")]));
    let send = |method: &str, path: &str, body: &[u8]| -> HttpResponse {
        let authorization = format!("Bearer {TOKEN}");
        let headers = [("Authorization", &*authorization)];
        let mut client = Client::connect(collector.admin_url());
        client.request(method, path, &headers, body).expect("an answer")
    };
    let parse = |reply: &HttpResponse| -> Value { serde_json::from_slice(&reply.body).unwrap() };
    let new = marking("new");
    let checked = send("POST", "/plugin/check", new.as_bytes());
    assert_eq!(checked.status, 200, "{}", checked.text());
    let reply = send("PUT", "/plugin", new.as_bytes());
    assert_eq!((reply.status, &parse(&reply)["generation"]), (200, &json!(2)), "{}", reply.text());
    let active = |key: &str| parse(&send("GET", "/plugin", b""))["active"][key].clone();
    assert_eq!(active("sha256"), sha256_of(new.as_bytes()));

    let broken =
        send("PUT", "/plugin", b"export function transformEvent(event) {\n  retrun event; }");
    assert_eq!((broken.status, &parse(&broken)["step"]), (422, &json!("configure")));
    assert!(broken.text().contains("old.js:2:"), "{}", broken.text());

    let canary = send("PUT", "/plugin/canary?percent=100", marking("canary").as_bytes());
    assert_eq!(canary.status, 200, "{}", canary.text());
    assert_eq!(send("POST", "/plugin/canary/promote", b"").status, 200);
    assert_eq!(active("sha256"), sha256_of(marking("canary").as_bytes()));
    assert_eq!(send("POST", "/plugin/rollback", b"").status, 200);
    assert_eq!(active("sha256"), sha256_of(new.as_bytes()));
    // A component takes the place of a script.
    let component = fs::read(misbehaving_plugin()).unwrap();
    let reply = send("PUT", "/plugin", &component);
    assert_eq!(reply.status, 200, "{}", reply.text());
    collector.stop().expect_exit(0);
}
