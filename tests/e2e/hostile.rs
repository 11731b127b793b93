//! Tests hostile plugins: each costs only the events on which it is hostile, and memory and CPU
//! time within the limits of the settings.
//!
//! With `--nocapture`, the tests print the resource usage of each.

use std::fmt::Write as _;
use std::time::Duration;

use standpipe_tests::{FinishedRun, ProcessUsage, Program, misbehaving_plugin, stamp_component};

const MIB: u64 = 1024 * 1024;

/// The limits of these tests.
const WORKERS: u64 = 2;
const MEMORY_BYTES: u64 = 64 * MIB;
const ANSWER_BYTES: u64 = 16 * MIB;
const CALL_CPU: Duration = Duration::from_millis(50);
const EVENT_CPU: Duration = Duration::from_micros(500);
const CONFIGURE_CPU: Duration = Duration::from_secs(1);

/// Number of innocent events in a run, and the minimum bytes of each. They fill several chunks,
/// which gives all workers something to do.
const GOOD: usize = 1000;
const GOOD_BYTES: usize = 1000;

/// Events of a chunk of such events. It is the largest batch.
const BATCH: u32 = 270;

/// Halvings of a batch until a single event is left.
const HALVINGS: u32 = 9;

/// Maximum CPU time of every run, even if its limits permit more.
const CPU_MAX: Duration = Duration::from_secs(10);

/// The resource usage of a run without hostile events.
#[derive(Clone, Copy)]
struct Base(ProcessUsage);

/// The name of hostile events, their number, and the permitted reasons of their dead letters.
const ON_EVENTS: &[(&str, usize, &[&str])] = &[
    ("trap", 200, &["plugin_trapped"]),
    ("loop", 10, &["plugin_deadline"]),
    ("recurse", 10, &["plugin_trapped"]),
    ("memory", 10, &["plugin_memory"]),
    ("flood", 5, &["plugin_memory", "plugin_trapped", "plugin_deadline"]),
    ("a million", 5, &["plugin_answer", "plugin_trapped", "plugin_memory", "plugin_deadline"]),
    ("payload MiB:30", 5, &["plugin_answer"]),
    ("payload MiB:15", 30, &["record_too_large"]),
    ("payloads of 2 MiB:7", 30, &["record_too_large"]),
    ("reject MiB:15", 20, &["plugin_rejected"]),
    ("print endlessly", 10, &["plugin_deadline"]),
    ("print a long line", 10, &["plugin_deadline"]),
    ("resources", 10, &["plugin_trapped"]),
    ("random", 10, &["plugin_trapped"]),
    ("zeroes", 10, &["plugin_trapped"]),
    ("sleep", 10, &["plugin_trapped"]),
];

#[test]
fn only_hostile_events_are_dead_lettered() {
    let base = measure_base();
    for (name, count, reasons) in ON_EVENTS {
        let input = mix_events(name, *count);
        let (ran, usage) = new_program("").stdin(input.clone()).watch(|_| ());
        let ran = ran.expect_exit(3);
        let dead = *count as u64;
        assert_eq!(event_counts(&ran), [GOOD as u64 + dead, GOOD as u64, 0, dead], "{name}");
        assert_good(&ran, &input, name);
        let dead_letters = ran.dead_letters();
        let other =
            dead_letters.iter().find(|dead_letter| !reasons.contains(&&*dead_letter.reason));
        let other = other.map(|dead_letter| (&dead_letter.reason, &dead_letter.detail));
        assert_eq!(other, None, "{name}");
        // An event is part of one call for each group that contains it.
        let batches = u32::try_from((GOOD + count) * GOOD_BYTES / (256 * 1024) + 1).unwrap();
        let alone = CALL_CPU * u32::try_from(*count).unwrap();
        let together = (CALL_CPU + EVENT_CPU * BATCH) * batches;
        base.assert_bounded(name, usage, ((alone + together) * HALVINGS).min(CPU_MAX));
        assert_quiet(&ran, name);
    }
}

#[test]
fn a_plugin_that_traps_on_everything_but_the_samples_loses_no_event() {
    let base = measure_base();
    let (ran, usage) = new_program("every = 'trap'").stdin(good_events(5000)).watch(|_| ());
    let ran = ran.expect_exit(3);
    assert_eq!(event_counts(&ran), [5000, 0, 0, 5000]);
    assert_eq!(ran.summary()["dead_letters"]["plugin_trapped"], 5000);
    base.assert_bounded("trap, every event", usage, Duration::from_secs(5));
    assert_quiet(&ran, "trap on everything");
}

#[test]
fn a_plugin_that_traps_on_one_event_in_a_thousand_costs_little() {
    let base = measure_base();
    let (good, mut input) = (good_events(50_000), String::new());
    for (number, line) in good.split_inclusive('\n').enumerate() {
        input += line;
        if number % 1000 == 500 {
            input += "{\"event\":\"trap\"}\n";
        }
    }
    let (ran, usage) = new_program("").stdin(input.clone()).watch(|_| ());
    let ran = ran.expect_exit(3);
    assert_eq!(event_counts(&ran), [50_050, 50_000, 0, 50]);
    assert_eq!(sort_lines(&ran.streams()["good"]), sort_lines(good.as_bytes()));
    base.assert_bounded("trap, 1 of 1000", usage, Duration::from_secs(5));
}

#[test]
fn hostile_plugins_fail_fast_in_configure() {
    let base = measure_base();
    for (configure, word) in [
        ("trap", "trapped"),
        ("loop", "1000 ms"),
        ("recurse", "trapped"),
        ("memory", "64 MiB"),
        ("print", "1000 ms"),
        ("refuse at length", "failed while it was being configured"),
        ("streams", "the plugin"),
    ] {
        let settings = format!("configure = '{configure}'");
        let (ran, usage) = new_program(&settings).stdin(good_events(10)).watch(|_| ());
        let ran = ran.expect_exit(2).expect_stderr(&[word, "misbehaving.wasm"]);
        base.assert_bounded(&format!("configure: {configure}"), usage, CONFIGURE_CPU);
        assert_quiet(&ran, configure);
    }
}

/// Components that are not plugins, as text, and words of the error.
const COMPONENTS: &[(&str, &str, &str)] = &[
    ("nothing", "(component)", "another world"),
    ("core module", "(module)", "core WebAssembly module"),
    (
        "unknown import",
        r#"(component
            (import "acme:secrets/store@1.0.0" (instance (export "all" (func))))
            (instance $mapper)
            (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "acme:secrets/store@1.0.0",
    ),
    (
        "wasi:http",
        r#"(component
            (import "wasi:http/outgoing-handler@0.2.0" (instance (export "handle" (func))))
            (instance $mapper)
            (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "wasi:http/outgoing-handler@0.2.0",
    ),
    (
        "no functions",
        r#"(component (instance $mapper) (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "another version of the contract: it has no function configure: rebuild it against wit/mapping.wit",
    ),
    (
        "a function of another type",
        r#"(component
            (core module $m (memory (export "memory") 1)
                (func (export "configure") (param i32 i32) (result i32) unreachable)
                (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
            (core instance $i (instantiate $m))
            (func $configure (param "settings" string) (result u32)
                (canon lift (core func $i "configure") (memory $i "memory") (realloc (func $i "realloc"))))
            (instance $mapper (export "configure" (func $configure)) (export "map-events" (func $configure)))
            (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "invalid function configure: expected func(string) -> result<record",
    ),
    (
        "a later version",
        r#"(component (instance $mapper) (export "standpipe:mapping/mapper@0.2.0" (instance $mapper)))"#,
        "another version of the contract: it exports standpipe:mapping/mapper@0.2.0",
    ),
    (
        "a gigabyte of memory",
        r#"(component (core module $m (memory 16384)) (core instance (instantiate $m))
            (instance $mapper) (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "minimum byte size of 1073741824 which exceeds the limit of",
    ),
    (
        "a gigabyte of memory, and what to do",
        r#"(component (core module $m (memory 16384)) (core instance (instantiate $m))
            (instance $mapper) (export "standpipe:mapping/mapper@0.1.0" (instance $mapper)))"#,
        "raise memory_bytes under [plugin.limits]",
    ),
];

#[test]
fn components_without_the_contract_are_refused() {
    let base = measure_base();
    for (what, text, word) in COMPONENTS {
        let bytes = wat::parse_str(text).expect("a component as text");
        let program = with_plugin(&bytes, &limit_settings());
        let (ran, usage) = program.stdin(good_events(10)).watch(|_| ());
        let ran = ran.expect_exit(2).expect_stderr(&[word, "hostile.wasm"]);
        base.assert_bounded(what, usage, Duration::from_secs(1));
        assert!(!ran.path("out").join("good.ndjson").exists());
    }
}

#[test]
fn a_large_component_works_and_one_too_large_is_not_read() {
    let base = measure_base();
    let plugin = std::fs::read(misbehaving_plugin()).unwrap();
    let input = good_events(GOOD);
    let large = stamp_component(&plugin, &vec![7; 13 << 20]);
    let (ran, usage) = with_plugin(&large, &limit_settings()).stdin(input.clone()).watch(|_| ());
    assert_eq!(event_counts(&ran.expect_exit(0)), [GOOD as u64, GOOD as u64, 0, 0]);
    base.assert_bounded("13 MB", usage, Duration::from_secs(3));

    let program = with_plugin(&plugin, &limit_settings());
    let file = std::fs::File::options().write(true).open(program.path("hostile.wasm")).unwrap();
    file.set_len(4 << 30).unwrap();
    let (ran, usage) = program.stdin(input).watch(|_| ());
    let _ = ran.expect_exit(2).expect_stderr(&["larger than 67108864 bytes"]);
    base.assert_bounded("4 GiB", usage, Duration::from_secs(1));
}

/// 300,000 leaks of 4 KiB are nine times the memory of both workers' instances.
#[test]
fn a_leaking_plugin_does_not_grow_memory() {
    let base = measure_base();
    let input = "{\"type\":\"track\",\"event\":\"leak:4096\"}\n".repeat(300_000);
    let mut series = Vec::new();
    let program = with_plugin(&std::fs::read(misbehaving_plugin()).unwrap(), &limit_settings());
    let (ran, usage) = program.stdin(input).watch(|usage| series.push(usage.memory_bytes));
    assert_eq!(event_counts(&ran.expect_exit(0)), [300_000, 300_000, 0, 0]);
    let (first, second) = series.split_at(series.len() / 2);
    let most = |part: &[u64]| part.iter().max().copied().unwrap_or_default();
    assert!(
        most(second) <= most(first) + MEMORY_BYTES / 2,
        "{} MiB in the first half, then {} MiB",
        most(first) / MIB,
        most(second) / MIB
    );
    base.assert_bounded("leak, 300,000 events", usage, Duration::from_secs(10));
}

impl Base {
    /// Fails unless a run stayed within its limits, and prints its resource usage.
    fn assert_bounded(&self, what: &str, usage: ProcessUsage, cpu: Duration) {
        let Base(base) = self;
        let cpu_max = base.cpu * 2 + cpu + Duration::from_secs(1);
        // During its check, a result exists twice in memory.
        let memory_max = base.memory_bytes_max + WORKERS * (MEMORY_BYTES + 2 * ANSWER_BYTES);
        print_report(what, usage, memory_max, cpu_max);
        assert!(
            usage.memory_bytes_max <= memory_max,
            "{what}: {usage:?}, at most {memory_max} bytes"
        );
        assert!(usage.cpu <= cpu_max, "{what}: {usage:?}, at most {cpu_max:?}");
    }
}

#[expect(clippy::print_stdout, reason = "a table shown by --nocapture")]
fn print_report(what: &str, usage: ProcessUsage, memory_max: u64, cpu_max: Duration) {
    println!(
        "| {what} | {} MiB of {} | {:.2} s of {:.2} |",
        usage.memory_bytes_max / MIB,
        memory_max / MIB,
        usage.cpu.as_secs_f64(),
        cpu_max.as_secs_f64()
    );
}

fn measure_base() -> Base {
    let (ran, usage) = new_program("").stdin(good_events(GOOD)).watch(|_| ());
    assert_eq!(event_counts(&ran.expect_exit(0)), [GOOD as u64, GOOD as u64, 0, 0]);
    Base(usage)
}

fn limit_settings() -> String {
    format!(
        "workers = {WORKERS}\n[plugin.limits]\nmemory_bytes = {MEMORY_BYTES}\nanswer_bytes = {ANSWER_BYTES}\n\
         call_cpu = '{}ms'\nevent_cpu = '{}us'\nconfigure_cpu = '{}ms'\n",
        CALL_CPU.as_millis(),
        EVENT_CPU.as_micros(),
        CONFIGURE_CPU.as_millis()
    )
}

fn new_program(settings: &str) -> Program {
    let settings = format!("{}[plugin.settings]\n{settings}\n", limit_settings());
    Program::host_run_locally().settings(&settings).args(["--plugin"]).args([misbehaving_plugin()])
}

fn with_plugin(bytes: &[u8], settings: &str) -> Program {
    let program = Program::host_run_locally().settings(settings).file("hostile.wasm", bytes);
    program.args(["--plugin", "hostile.wasm"])
}

/// Innocent events.
fn good_events(count: usize) -> String {
    let filler = "x".repeat(GOOD_BYTES);
    (0..count).fold(String::new(), |mut lines, n| {
        writeln!(lines, r#"{{"type":"track","event":"good","n":{n},"filler":"{filler}"}}"#)
            .unwrap();
        lines
    })
}

/// Innocent events mixed with hostile ones.
fn mix_events(name: &str, hostile: usize) -> String {
    let mut lines = String::new();
    let step = GOOD / hostile;
    for (number, line) in good_events(GOOD).split_inclusive('\n').enumerate() {
        lines += line;
        if number % step == step / 2 && number / step < hostile {
            writeln!(lines, r#"{{"type":"track","event":"{name}"}}"#).unwrap();
        }
    }
    lines
}

fn event_counts(ran: &FinishedRun) -> [u64; 4] {
    ["read", "delivered", "filtered", "dead"].map(|key| ran.count(key))
}

fn assert_good(ran: &FinishedRun, input: &str, what: &str) {
    let expected: String =
        input.split_inclusive('\n').filter(|line| line.contains("good")).collect();
    assert_eq!(sort_lines(&ran.streams()["good"]), sort_lines(expected.as_bytes()), "{what}");
}

fn sort_lines(bytes: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<_> = bytes.split_inclusive(|&byte| byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// Asserts that the output of a plugin is bounded.
fn assert_quiet(ran: &FinishedRun, what: &str) {
    assert!(ran.stderr.len() < 200_000, "{what}: {} bytes of log", ran.stderr.len());
    let longest = ran.stderr.lines().map(str::len).max();
    assert!(longest < Some(4096), "{what}: a line of {longest:?} bytes");
}
