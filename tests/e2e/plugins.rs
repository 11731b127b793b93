//! Plugins that misbehave cost only the events that they misbehave on.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use tests::{Program, Ran, misbehaving_plugin};

/// Event names that the plugin misbehaves on, with the reason that follows.
const FAULTS: &[(&str, &str)] = &[
    ("trap", "plugin_trapped"),
    ("loop", "plugin_deadline"),
    ("recurse", "plugin_trapped"),
    ("memory", "plugin_memory"),
    ("sleep", "plugin_trapped"),
    ("exit", "plugin_trapped"),
    ("huge", "plugin_trapped"),
    ("many", "plugin_answer"),
    ("undeclared", "plugin_answer"),
    ("bad name", "plugin_answer"),
    ("reject and deliver", "plugin_answer"),
    ("reject", "plugin_rejected"),
];

#[test]
fn only_the_events_that_cause_a_fault_are_dead() {
    let mut input = String::new();
    for (number, (name, _)) in FAULTS.iter().enumerate() {
        for good in 0..37 {
            writeln!(input, r#"{{"type":"track","event":"good","n":"{number}.{good}"}}"#).unwrap();
        }
        writeln!(input, r#"{{"type":"track","event":"{name}"}}"#).unwrap();
    }
    let ran = run("", input.clone()).exits(3);
    assert_eq!((ran.count("dead"), ran.count("delivered")), (12, 12 * 37));
    let good = input.lines().filter(|line| line.contains("good"));
    assert_eq!(
        ran.streams()["good"],
        good.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
    );
    let letters = ran.letters();
    for (name, reason) in FAULTS {
        let event = format!(r#"{{"type":"track","event":"{name}"}}"#);
        let letter = letters.iter().find(|letter| letter.event == event.as_bytes());
        let letter = letter.unwrap_or_else(|| panic!("no letter for {name:?}"));
        assert_eq!(letter.reason, *reason, "{name:?}: {}", letter.detail);
    }
}

#[test]
fn decisions_of_every_kind_are_carried_out() {
    let names = ["tenant", "twice", "replace", "empty", "filter", "files", "plain"];
    let input = names.map(|name| format!("{{\"event\":\"{name}\"}}\n")).concat();
    let ran = run("", input).exits(0);
    assert_eq!((ran.count("delivered"), ran.count("filtered")), (6, 1));
    let event = |name: &str| format!("{{\"event\":\"{name}\"}}\n").into_bytes();
    let good = [
        event("twice"),
        event("twice"),
        b"replaced \xff\n".to_vec(),
        b"\n".to_vec(),
        event("files"),
        event("plain"),
    ];
    let expected = [("good".to_owned(), good.concat()), ("tenant-a".to_owned(), event("tenant"))];
    assert_eq!(ran.streams(), BTreeMap::from(expected));
}

#[test]
fn a_poisoned_run_is_bounded() {
    // Each that loops has its 52 ms of processor time, in half of the workers' time.
    for (name, count) in [("trap", 10_000), ("loop", 300)] {
        let input = format!("{{\"event\":\"{name}\"}}\n").repeat(count) + "{\"event\":\"good\"}\n";
        let ran = run("", input).exits(3);
        assert_eq!((ran.count("dead"), ran.count("delivered")), (count as u64, 1), "{name}");
    }
}

#[test]
fn a_plugin_that_leaks_is_renewed_before_it_fails() {
    // 5,000 leaks of 64 KiB are 2.5 times what an instance may have.
    let ran = run("", "{\"event\":\"leak\"}\n".repeat(5000)).exits(0);
    assert_eq!(ran.count("delivered"), 5000);
}

#[test]
fn what_a_plugin_prints_becomes_log_lines() {
    let ran = run("", "{\"event\":\"print\"}\n".to_owned()).exits(0);
    let ran =
        ran.says(&["plugin: a line on standard output", "a line on standard error, from stdin"]);
    assert!(!ran.stderr.contains("\u{1b}[31m"), "escapes reach the terminal: {}", ran.stderr);
    let ran = run("", "{\"event\":\"print\"}\n".repeat(500)).exits(0);
    assert!(ran.stderr.lines().count() < 200, "a flood of lines: {}", ran.stderr.lines().count());
}

#[test]
fn a_plugin_that_cannot_be_configured_stops_the_start() {
    for (configure, words) in [
        ("trap", ["failed while it was being configured", "trapped"]),
        ("loop", ["failed while it was being configured", "5000 ms"]),
        ("refuse", ["refuses its settings", "remove it"]),
    ] {
        run(&format!("configure = \"{configure}\""), String::new())
            .exits(2)
            .says(&words)
            .says(&["misbehaving.wasm"]);
    }
}

/// Run with one worker, so that the order of records can be told.
fn run(settings: &str, input: String) -> Ran {
    let settings = format!("workers = 1\n[plugin.settings]\n{settings}\n");
    let program = Program::running_locally().settings(&settings);
    program.args(["--plugin"]).args([misbehaving_plugin()]).stdin(input).run()
}
