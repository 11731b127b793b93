//! Tests that misbehaving plugins cost only the events that they misbehave on.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;
use standpipe_tests::{FinishedRun, Program, Running, misbehaving_plugin};

/// Event names on which the plugin misbehaves, each with the reason and with words of the detail:
/// the detail of a limit contains the setting.
const FAULTS: &[(&str, &str, &str)] = &[
    ("trap", "plugin_trapped", "trap requested"),
    ("loop", "plugin_deadline", "raise call_cpu, event_cpu or byte_cpu under [plugin.limits]"),
    ("recurse", "plugin_trapped", "wasm trap"),
    ("memory", "plugin_memory", "raise memory_bytes under [plugin.limits]"),
    ("sleep", "plugin_trapped", "must not wait"),
    ("exit", "plugin_trapped", "trapped"),
    (
        "huge",
        "plugin_answer",
        "64 MiB of the host's memory: fix the plugin, or raise answer_bytes under",
    ),
    ("many", "plugin_answer", "2000 outputs"),
    ("undeclared", "plugin_answer", "never declared"),
    ("bad name", "plugin_answer", "no name"),
    ("reject and deliver", "plugin_answer", "another output"),
    ("reject", "plugin_rejected", "reject requested"),
];

#[test]
fn only_events_that_cause_a_fault_are_dead_lettered() {
    let mut input = String::new();
    for (number, (name, ..)) in FAULTS.iter().enumerate() {
        for good in 0..37 {
            writeln!(input, r#"{{"type":"track","event":"good","n":"{number}.{good}"}}"#).unwrap();
        }
        writeln!(input, r#"{{"type":"track","event":"{name}"}}"#).unwrap();
    }
    let ran = run_program("", input.clone()).expect_exit(3);
    assert_eq!((ran.count("dead"), ran.count("delivered")), (12, 12 * 37));
    let good = input.lines().filter(|line| line.contains("good"));
    assert_eq!(
        ran.streams()["good"],
        good.flat_map(|line| [line, "\n"]).collect::<String>().into_bytes()
    );
    let dead_letters = ran.dead_letters();
    for (name, reason, words) in FAULTS {
        let event = format!(r#"{{"type":"track","event":"{name}"}}"#);
        let dead_letter =
            dead_letters.iter().find(|dead_letter| dead_letter.event == event.as_bytes());
        let dead_letter = dead_letter.unwrap_or_else(|| panic!("no dead letter for {name:?}"));
        assert_eq!(dead_letter.reason, *reason, "{name:?}: {}", dead_letter.detail);
        assert!(dead_letter.detail.contains(words), "{name:?}: {}", dead_letter.detail);
    }
}

#[test]
fn decisions_of_every_kind_are_carried_out() {
    let names = ["tenant", "twice", "replace", "empty", "filter", "files", "plain"];
    let input = names.map(|name| format!("{{\"event\":\"{name}\"}}\n")).concat();
    let ran = run_program("", input).expect_exit(0);
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
    // Each looping event uses its 52 ms of CPU time, within half of the workers' time.
    for (name, count) in [("trap", 10_000), ("loop", 300)] {
        let input = format!("{{\"event\":\"{name}\"}}\n").repeat(count) + "{\"event\":\"good\"}\n";
        let ran = run_program("", input).expect_exit(3);
        assert_eq!((ran.count("dead"), ran.count("delivered")), (count as u64, 1), "{name}");
    }
}

/// The thread that interrupts plugins sleeps while no plugin runs, and wakes when one does.
#[test]
fn the_plugin_ticker_rests_while_no_plugin_runs() {
    let mut running = start_program("");
    running.write_stdin(b"{\"event\":\"print\"}\n");
    running.wait_for("a line on standard error");
    let ticker = running.thread("plugin-ticker");
    // The ticker sleeps.
    let mut before = ticker.cpu_time();
    standpipe_tests::wait_until("the thread rests", || {
        std::thread::sleep(Duration::from_millis(100));
        let last = std::mem::replace(&mut before, ticker.cpu_time());
        last == before
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(
        ticker.cpu_time() - before < Duration::from_millis(2),
        "{:?}",
        ticker.cpu_time() - before
    );
    running.write_stdin(b"{\"event\":\"loop\"}\n{\"event\":\"good\"}\n");
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(3);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (2, 1));
    assert_eq!(ran.dead_letters()[0].reason, "plugin_deadline");
}

#[test]
fn a_plugin_that_leaks_is_renewed_before_it_fails() {
    // 5,000 leaks of 64 KiB are 2.5 times the memory of an instance.
    let ran = run_program("", "{\"event\":\"leak\"}\n".repeat(5000)).expect_exit(0);
    assert_eq!(ran.count("delivered"), 5000);
}

#[test]
fn plugin_output_becomes_log_lines() {
    let ran = run_program("", "{\"event\":\"print\"}\n".to_owned()).expect_exit(0);
    let ran = ran.expect_stderr(&[
        "plugin: a line on standard output",
        "a line on standard error, from stdin",
    ]);
    assert!(!ran.stderr.contains("\u{1b}[31m"), "escapes reach the terminal: {}", ran.stderr);
    let ran = run_program("", "{\"event\":\"print\"}\n".repeat(500)).expect_exit(0);
    assert!(ran.stderr.lines().count() < 200, "a flood of lines: {}", ran.stderr.lines().count());
}

/// A dead letter contains what the plugin printed for its own event, and nothing that it printed
/// for other events.
#[test]
fn dead_letters_quote_no_other_event() {
    for between in ["", "{\"event\":\"good\"}\n"] {
        let input = format!(
            "{{\"event\":\"print its text\",\"email\":\"planted@example.com\"}}\n{between}{{\"event\":\"trap\"}}\n\
             {{\"event\":\"say and trap\"}}\n"
        );
        // All events in one batch, and each event in its own batch.
        for is_alone in [false, true] {
            let mut running = start_program("");
            for line in input.lines() {
                running.write_stdin(format!("{line}\n").as_bytes());
                if is_alone {
                    running.wait_for(match line {
                        _ if line.contains("print its") => "standard output has",
                        _ if line.contains("say and") => "line 10 of",
                        _ if line.contains("trap") => "trap requested",
                        _ => "",
                    });
                }
            }
            let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(3);
            let dead_letters = ran.dead_letters();
            assert_eq!(dead_letters.len(), 2);
            for dead_letter in &dead_letters {
                assert!(!dead_letter.detail.contains("planted"), "{}", dead_letter.detail);
            }
            assert!(
                dead_letters[0].detail.contains("trap requested"),
                "{}",
                dead_letters[0].detail
            );
            let detail = &dead_letters[1].detail;
            let words =
                ["line 01 of standard error", "line 05", "... 2", "trap requested after thirty"];
            assert!(words.iter().all(|words| detail.contains(words)), "{detail}");
        }
    }
}

#[test]
fn lines_that_are_not_shown_are_counted() {
    let ran = run_program("", "{\"event\":\"print\"}\n".repeat(500)).expect_exit(0);
    let shown = ran.stderr.matches("a line on standard").count();
    let counts = ran.stderr.lines().filter_map(|line| {
        let before = line.split_once(" lines that the plugin printed")?.0;
        before.rsplit(' ').next()?.parse::<usize>().ok()
    });
    let counts: Vec<_> = counts.collect();
    assert!(!counts.is_empty(), "{}", ran.stderr);
    assert_eq!(counts.into_iter().sum::<usize>() + shown, 1000);
}

#[test]
fn a_plugin_that_cannot_be_configured_stops_the_start() {
    for (configure, words) in [
        ("trap", ["failed while it was being configured", "trapped"]),
        ("loop", ["5000 ms of CPU time", "raise configure_cpu under [plugin.limits]"]),
        ("memory", ["128 MiB of memory", "raise memory_bytes under [plugin.limits]"]),
        ("refuse", ["refuses its settings", "remove it"]),
    ] {
        run_program(&format!("configure = \"{configure}\""), String::new())
            .expect_exit(2)
            .expect_stderr(&words)
            .expect_stderr(&["misbehaving.wasm"]);
    }
}

#[test]
fn streams_may_be_declared_in_any_order() {
    // Each call gets its own instance, and four workers have four instances.
    for limits in ["", "[plugin.limits]\nmax_calls = 1\n"] {
        let settings = format!("workers = 4\n{limits}[plugin.settings]\ndeclare = 'shuffled'\n");
        let mut input = String::new();
        let mut expected = BTreeMap::<String, usize>::new();
        for number in 0..20_000 {
            let stream = number % 10;
            writeln!(input, r#"{{"event":"stream:{stream}","n":{number}}}"#).unwrap();
            *expected.entry(format!("s{stream}")).or_default() += 1;
        }
        let program = Program::host_run_locally().settings(&settings).args(["--plugin"]);
        let ran = program.args([misbehaving_plugin()]).stdin(input).run().expect_exit(0);
        assert_eq!((ran.count("delivered"), ran.count("dead")), (20_000, 0));
        let streams = ran.streams();
        for (stream, text) in &streams {
            let number = &stream[1..];
            let lines = String::from_utf8_lossy(text);
            let is_right = |line: &str| line.contains(&format!("\"stream:{number}\""));
            assert!(lines.lines().all(is_right), "another stream's event in {stream}");
        }
        let counts = streams
            .into_iter()
            .map(|(stream, text)| (stream, text.iter().filter(|&&byte| byte == b'\n').count()));
        assert_eq!(counts.collect::<BTreeMap<_, _>>(), expected);
    }
}

#[test]
fn a_plugin_that_declares_other_streams_each_time_is_refused_before_anything_is_read() {
    let cases = r#"{"settings":{"declare":"random"},"cases":[{"name":"n","event":{},"expect":[{"stream":"good"}]}]}"#;
    let settings = "[plugin.settings]\ndeclare = 'random'\n";
    let program = |command: &[&str]| {
        let program = Program::new().file("cases.json", cases.as_bytes());
        let text = format!("[plugin]\npath = '{}'\n{settings}", misbehaving_plugin().display());
        program.file("settings.toml", text.as_bytes()).args(command).stdin("{}\n")
    };
    let words = ["does not declare the same streams each time", "random-", "pattern"];
    let run = ["run", "--local", "out", "--config", "settings.toml"];
    program(&run).run().expect_exit(2).expect_stderr(&words);
    let checked = program(&["config", "check", "settings.toml"]).run();
    assert_ne!(checked.exit, 0);
    let _ = checked.expect_stderr(&words);
    let plugin = misbehaving_plugin();
    let tested =
        program(&["plugin", "test", plugin.to_str().unwrap(), "cases.json"]).run().expect_exit(1);
    let printed = String::from_utf8_lossy(&tested.stdout);
    assert!(words.iter().all(|words| printed.contains(words)), "{printed}");
}

/// The name changes while events flow, and each call gets a new instance. No event fails because of
/// that.
#[test]
fn a_plugin_whose_streams_change_is_configured_again() {
    let settings = "workers = 2\n[delivery]\nmax_delay = '10ms'\n[plugin.limits]\nmax_calls = 1\n\
                    [plugin.settings]\ndeclare = 'dated'\nperiod_ms = 2000\n";
    let program = Program::host_run_locally().settings(settings).args(["--plugin"]);
    let mut running = program.args([misbehaving_plugin()]).start();
    let mut sent = 0;
    standpipe_tests::wait_until("the plugin has been configured anew twice", || {
        running.write_stdin(b"{\"event\":\"stream:0\"}\n{\"event\":\"good\"}\n");
        sent += 2;
        running.stderr().matches("declares other streams than before").count() >= 2
    });
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (sent, 0));
    let streams = ran.streams();
    let dated = streams.keys().filter(|stream| stream.starts_with("period-")).count();
    assert!(dated >= 2, "{:?}", streams.keys());
}

/// When the plugin rejects its settings, no instance can be created. Events wait for another
/// plugin, and those that still wait at the end become dead letters.
#[test]
fn events_wait_for_a_plugin_that_cannot_be_started_again() {
    let settings = |plugin: &str| {
        format!(
            "workers = 2\n[delivery]\nmax_delay = '10ms'\ndrain_timeout = '1s'\n[plugin]\npath = '{}'\n\
             [plugin.limits]\nmax_calls = 1\n[plugin.settings]\n{plugin}\n",
            misbehaving_plugin().display()
        )
    };
    for is_replaced in [true, false] {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let refusing = settings(&format!("refuse_from_ms = {}", now + 4000));
        let mut running = Program::host_run_locally().settings(&refusing).start();
        let mut sent = 0;
        standpipe_tests::wait_until("no instance can be made", || {
            running.write_stdin(b"{\"event\":\"good\"}\n");
            sent += 1;
            running.stderr().contains("failed to start an instance of the plugin")
        });
        running.write_stdin(&b"{\"event\":\"good\"}\n".repeat(1000));
        sent += 1000;
        if is_replaced {
            fs::write(running.path("settings.toml"), settings("stream = 'other'")).unwrap();
            running.wait_for("plugin swapped");
            let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(0);
            assert_eq!((ran.count("delivered"), ran.count("dead")), (sent, 0));
        } else {
            running.send_signal(Signal::TERM);
            let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(3);
            let dead = ran.count("dead");
            assert_eq!(ran.count("read"), ran.count("delivered") + dead);
            assert!(dead > 0, "nothing waited");
            let reasons = ran.dead_letters().into_iter().map(|dead_letter| dead_letter.reason);
            assert!(reasons.into_iter().all(|reason| reason == "plugin_unavailable"));
        }
    }
}

/// A canary that cannot be restarted does not cost an event either: the canary ends, and the active
/// plugin gets all events.
#[test]
fn a_canary_that_cannot_be_restarted_is_removed() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let settings = format!(
        "workers = 1\n[delivery]\nmax_delay = '10ms'\n[plugin]\npath = '{0}'\n[plugin.limits]\nmax_calls = 1\n\
         [plugin.settings]\nstream = 'active'\n[plugin.canary]\npercent = 100\nmin_events = 5\n\
         [plugin.canary.settings]\nstream = 'canary'\nrefuse_from_ms = {1}\n",
        misbehaving_plugin().display(),
        now + 4000
    );
    let mut running = Program::host_run_locally().settings(&settings).start();
    let mut sent = 0;
    standpipe_tests::wait_until("the canary is out", || {
        running.write_stdin(b"{\"event\":\"good\"}\n");
        sent += 1;
        running.stderr().contains("canary stopped: it failed on or rejected")
    });
    running.write_stdin(b"{\"event\":\"good\"}\n");
    let ran = running.finish(standpipe_tests::DEADLINE).expect_exit(0);
    assert_eq!((ran.count("delivered"), ran.count("dead")), (sent + 1, 0));
    let ran = ran.expect_stderr(&["failed to start an instance of the canary"]);
    let streams: Vec<_> = ran.streams().into_keys().collect();
    assert_eq!(streams, ["active", "canary"]);
}

/// Runs with one worker, which makes the order of records predictable.
fn run_program(settings: &str, input: String) -> FinishedRun {
    new_program(settings).stdin(input).run()
}

fn start_program(settings: &str) -> Running {
    new_program(settings).start()
}

fn new_program(settings: &str) -> Program {
    let settings = format!("workers = 1\n[plugin.settings]\n{settings}\n");
    let program = Program::host_run_locally().settings(&settings);
    program.args(["--plugin"]).args([misbehaving_plugin()])
}
