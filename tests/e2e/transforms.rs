//! Tests transforms of the built-in plugin in the whole program.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::json;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::mounted::rotate_secret;
use standpipe_tests::{Collector, Program, wait_until, workspace_directory};

const COLLECTING: &str = "workers = 1\n[delivery]\nmax_delay = '10ms'\n[[sources]]\nname = 'web'\ndialect = 'segment'\n\
                          write_keys = ['key-of-web']\n";

/// Settings in the documentation, and the examples after them.
#[derive(Default)]
struct DocExample {
    line: usize,
    settings: String,
    inputs: String,
    expected: BTreeMap<String, Vec<u8>>,
}

#[test]
fn examples_of_the_documentation_go_through_the_program() {
    let examples = read_examples();
    assert!(examples.len() > 25, "{} were found", examples.len());
    for DocExample { line, settings, inputs, expected } in examples {
        let mut program = Program::host_run_locally().settings(&format!("workers = 1\n{settings}"));
        if !settings.contains("mappings") {
            program = program.mapping(&[("*", "all")]);
        }
        let ran = program.stdin(inputs).run().expect_exit(0);
        assert_eq!(ran.streams(), expected, "line {line}:\n{}", ran.stderr);
    }
}

/// Blocks between two blocks of settings belong to the first of these.
fn read_examples() -> Vec<DocExample> {
    let text =
        fs::read_to_string(workspace_directory().join("host/docs/transformations.md")).unwrap();
    let mut examples: Vec<DocExample> = Vec::new();
    let mut lines = (1..).zip(text.lines());
    while let Some((line, fence)) = lines.next() {
        let Some(info) = fence.strip_prefix("```") else { continue };
        let inside = lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```");
        let block = inside.collect::<Vec<_>>().join("\n") + "\n";
        if matches!(info, "sh" | "console" | "toml settings.toml") {
            continue;
        }
        if info == "toml part" {
            examples.push(DocExample { line, settings: block, ..DocExample::default() });
            continue;
        }
        let example = examples.last_mut().expect("settings come first");
        match info.strip_prefix("json ") {
            Some("in") => example.inputs.push_str(&block),
            Some(out) => {
                let stream = out.strip_prefix("out to ").unwrap_or("all").to_owned();
                example.expected.entry(stream).or_default().extend_from_slice(block.as_bytes());
            }
            None => assert_eq!(block, "filtered\n", "line {line}"),
        }
    }
    examples
}

#[test]
fn integrations_of_collected_events_are_respected() {
    for (settings, expected) in [("", 2), ("[plugin.settings]\nintegrations = false\n", 4)] {
        let settings = format!("{COLLECTING}{settings}");
        let program = Program::host_run_locally().settings(&settings).mapping(&[("*", "all")]);
        let collector = Collector::start(program);
        for integrations in [
            json!({}),
            json!({"All": false}),
            json!({"All": false, "Amazon Kinesis Firehose": true}),
            json!({"Amazon Kinesis Firehose": false}),
        ] {
            send_event(
                &collector,
                &json!({"event": "e", "userId": "u", "integrations": integrations}),
            );
        }
        let ran = collector.stop().expect_exit(0);
        assert_eq!((ran.count("read"), ran.count("delivered")), (4, expected), "{settings}");
    }
}

#[test]
fn integrations_of_file_inputs_are_ignored_by_default() {
    let event = "{\"type\":\"page\",\"integrations\":{\"All\":false}}\n";
    let program = Program::host_run_locally().mapping(&[("*", "all")]);
    assert_eq!(program.stdin(event).run().expect_exit(0).count("delivered"), 1);
}

/// The keys of hashes are in a secret manager, which rotates them.
#[test]
fn plugin_secrets_are_resolved_and_rotated() {
    let settings = format!(
        "{COLLECTING}[secrets]\nmanager = 'files'\ndirectory = 'mounted'\nrefresh = '1s'\n\
         [plugin.settings.secrets]\npii = 'secret:salt'\n[[plugin.settings.transforms]]\n\
         hash = [{{ path = 'userId', with = 'hmac-sha256', secret = 'pii' }}]\n"
    );
    let program = Program::host_run_locally().settings(&settings).mapping(&[("*", "all")]);
    let (mounted, out) = (program.path("mounted"), program.path("out"));
    fs::create_dir(&mounted).unwrap();
    fs::write(mounted.join("salt"), "PLANTED one").unwrap();
    let collector = Collector::start(program.env("RUST_LOG", "info,standpipe=trace"));
    let has = |hash: &str| {
        send_event(&collector, &json!({"event": "e", "userId": "u1"}));
        read_records(&out).contains(hash)
    };
    // The HMAC-SHA-256 of "u1", computed by another implementation.
    wait_until("the first key is used", || has(FIRST));
    rotate_secret(&mounted, "salt", "PLANTED two");
    wait_until("the second key is used", || has(SECOND));
    // Unusable secrets change nothing.
    rotate_secret(&mounted, "salt", "");
    collector.running().wait_for("keeping the last known value");
    let ran = collector.stop().expect_exit(0);
    assert!(!read_records(&out).contains("u1\""));
    assert!(!ran.stderr.contains("PLANTED"), "{}", ran.stderr);
}

const FIRST: &str = "2c8a09e6db3fbd85bab5a718c1a1ec78901b985eb7b58cc1b20c212ffb77da5b";
const SECOND: &str = "ba3d04fa13cab1c5c0864126d14d45e3f46a726db31382415a9f5f4555647400";

#[test]
fn unresolved_plugin_secrets_stop_the_start() {
    let settings = |manager: &str, value: &str| {
        format!("{manager}\n[plugin.settings.secrets]\npii = '{value}'\n")
    };
    let files = "[secrets]\nmanager = 'files'\ndirectory = 'mounted'";
    for (settings, words) in [
        (settings(files, "secret:salt"), &["secret:salt", "mounted"][..]),
        (
            settings("", "secret:salt"),
            &["[plugin.settings.secrets] pii", "set `manager` under [secrets]"],
        ),
        (settings(files, "secret:"), &["[plugin.settings.secrets] pii", "write secret:NAME"]),
    ] {
        let program = Program::host_run_locally().settings(&settings).mapping(&[("*", "all")]);
        fs::create_dir(program.path("mounted")).unwrap();
        program.stdin("{}\n").run().expect_exit(2).expect_stderr(words);
    }
}

fn send_event(collector: &Collector, event: &serde_json::Value) {
    let (name, value) = basic_auth("key-of-web");
    let body = event.to_string();
    let reply =
        Client::connect(collector.url()).post("/v1/track", &[(name, &value)], body.as_bytes());
    assert_eq!(reply.unwrap().status, 200);
}

fn read_records(out: &Path) -> String {
    fs::read_to_string(out.join("all.ndjson")).unwrap_or_default()
}
