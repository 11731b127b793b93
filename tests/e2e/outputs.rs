//! Tests standard error and standard output that are closed, full, or unread: events are delivered,
//! signals take effect, and the exit code is right.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read, Write, pipe};
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::client::{Client, basic_auth};
use standpipe_tests::metrics::Metrics;
use standpipe_tests::settings::{CollectorSettings, SourceEntry};
use standpipe_tests::{Program, Running, Stub, StubResponse, free_port, wait_until};

const EVENT: &str = "{\"type\":\"track\",\"event\":\"a\",\"userId\":\"u\"}\n";

/// Maximum time for a run to end if it has nothing to wait for. It is far more than necessary on a
/// busy machine.
const SOON: Duration = Duration::from_secs(20);

/// The ways in which standard error can be broken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BrokenStderr {
    /// A pipe without a reader.
    Gone,
    /// A device that is always full.
    Full,
    /// A full pipe whose reader reads nothing.
    Stalled,
}

const BROKEN: [BrokenStderr; 3] = [BrokenStderr::Gone, BrokenStderr::Full, BrokenStderr::Stalled];

impl BrokenStderr {
    /// Returns the broken output, and the reader to keep open until the end.
    fn open_stderr(self) -> (Stdio, Option<PipeReader>) {
        match self {
            BrokenStderr::Gone => {
                let (reader, writer) = pipe().unwrap();
                drop(reader);
                (writer.into(), None)
            }
            BrokenStderr::Full => {
                (File::options().write(true).open("/dev/full").unwrap().into(), None)
            }
            BrokenStderr::Stalled => {
                let (reader, writer) = full_pipe();
                (writer.into(), Some(reader))
            }
        }
    }
}

/// A pipe that accepts nothing more until it is read.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

/// A collector on fixed addresses, which the test knows without its output.
struct QuietCollector {
    running: Running,
    url: String,
    admin_url: String,
}

impl QuietCollector {
    fn start(stub: &Stub, stderr: Stdio, settings: &[(&str, &str)]) -> Self {
        let (port, admin_port) = (free_port(), free_port());
        let sources = CollectorSettings::new([SourceEntry::segment("web")]);
        let program =
            Program::host_run_against(&stub.url()).settings(&sources).mapping(&[("*", "all")]);
        let program =
            settings.iter().fold(program, |program, (name, value)| program.env(name, value));
        let [listen, admin] = [port, admin_port].map(|port| format!("127.0.0.1:{port}"));
        let program = program.args(["--listen", &listen, "--admin", &admin]);
        let running = program.start_with(Stdio::null(), stderr);
        wait_until("it listens", || {
            [&listen, &admin].iter().all(|it| std::net::TcpStream::connect(it.as_str()).is_ok())
        });
        let [url, admin_url] = [listen, admin].map(|address| format!("http://{address}"));
        QuietCollector { running, url, admin_url }
    }

    fn send_track(&self) -> u16 {
        let headers = [("Authorization", &*basic_auth("key-of-web").1)];
        let mut client = Client::connect(&self.url);
        client.set_read_timeout(SOON);
        client.post("/v1/track", &headers, EVENT.as_bytes()).unwrap().status
    }

    fn send_get(&self, path: &str) -> (u16, String) {
        let mut client = Client::connect(&self.admin_url);
        client.set_read_timeout(SOON);
        let reply = client.get(path).unwrap();
        (reply.status, reply.text())
    }

    fn dropped_lines(&self) -> f64 {
        Metrics::parse(&self.send_get("/metrics").1)
            .unwrap()
            .value("standpipe_log_lines_dropped_total", &[])
    }
}

#[test]
fn a_collector_works_and_stops_with_broken_standard_error() {
    for broken in BROKEN {
        let stub = Stub::start(|_| StubResponse::Accept);
        let (stderr, _reader) = broken.open_stderr();
        let collector = QuietCollector::start(&stub, stderr, &[]);
        for _ in 0..20 {
            assert_eq!(collector.send_track(), 200, "{broken:?}");
            assert_eq!(collector.send_get("/health/ready").0, 200, "{broken:?}");
        }
        collector.running.send_signal(Signal::TERM);
        let ran = collector.running.wait(SOON).expect_exit(0);
        assert_eq!((ran.count("read"), ran.count("delivered")), (20, 20), "{broken:?}");
    }
}

/// All lines of the log go to the broken output, and nothing reads them.
#[test]
fn dropped_log_lines_are_counted_and_delay_nothing() {
    let stub = Stub::start(|_| StubResponse::Accept);
    let (mut reader, writer) = full_pipe();
    let collector = QuietCollector::start(&stub, writer.into(), &[("RUST_LOG", "trace")]);
    let mut sent = 0;
    wait_until("lines are dropped", || {
        for _ in 0..100 {
            let started = Instant::now();
            assert_eq!(collector.send_track(), 200);
            assert!(started.elapsed() < SOON);
        }
        sent += 100;
        collector.dropped_lines() > 0.0
    });
    assert_eq!(collector.send_get("/health/live").0, 200);
    // When the test reads again, the number is reported.
    let reads = std::thread::spawn(move || {
        let mut text = Vec::new();
        let _ = reader.read_to_end(&mut text);
        String::from_utf8_lossy(&text).into_owned()
    });
    collector.running.send_signal(Signal::TERM);
    let ran = collector.running.wait(SOON).expect_exit(0);
    assert_eq!(ran.count("delivered"), sent);
    let text = reads.join().unwrap();
    assert!(text.contains("log lines dropped"), "{} bytes of log", text.len());
    assert!(text.contains("processed in"), "the summary is the end of the log");
}

#[test]
fn a_run_of_files_ends_normally_with_broken_standard_error() {
    for broken in BROKEN {
        for (input, exit) in [(EVENT.repeat(1000), 0), (format!("x\n{EVENT}"), 3)] {
            let (stderr, _reader) = broken.open_stderr();
            let program = Program::host_run_locally().mapping(&[("*", "all")]);
            let program = program.file("in.ndjson", input.as_bytes()).args(["in.ndjson"]);
            let started = Instant::now();
            let ran = program.start_with(Stdio::null(), stderr).finish(SOON).expect_exit(exit);
            let took = started.elapsed();
            assert!(took < SOON, "{broken:?}: {took:?}");
            assert_eq!(ran.count("read") as usize, input.lines().count(), "{broken:?}");
            assert_eq!(ran.count("undelivered"), 0, "{broken:?}");
        }
    }
}

#[test]
fn closed_standard_streams_have_no_effect() {
    let host = standpipe_tests::program_path().to_str().unwrap();
    let program = |redirect: &str| {
        let script = format!(
            "exec {host} run --local out --summary summary.json in.ndjson --map '*=all' {redirect}"
        );
        let shell = Program::from_path("/bin/sh".as_ref()).file("in.ndjson", EVENT.as_bytes());
        shell.args(["-c", &script]).run()
    };
    for redirect in ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-"] {
        assert_eq!(program(redirect).expect_exit(0).count("delivered"), 1, "{redirect}");
    }
}

/// Wrong settings and wrong usage also have their exit codes.
#[test]
fn errors_keep_their_exit_code_with_closed_standard_error() {
    for broken in BROKEN {
        for arguments in [&["run", "--config", "nowhere.toml"][..], &["run", "--nonsense"]] {
            let (stderr, _reader) = broken.open_stderr();
            let program = Program::new().args(arguments);
            program.start_with(Stdio::null(), stderr).finish(SOON).expect_exit(2);
        }
    }
}

/// A command fails if it cannot print its result.
#[test]
fn output_that_cannot_be_written_is_an_error() {
    let dead_letter = run_with_dead_letter();
    for broken in [BrokenStderr::Gone, BrokenStderr::Full] {
        for arguments in [
            &["config", "schema"][..],
            &["plugin", "export", "-"],
            &["dead", "list", "--json"],
            &["dead", "show", "--json"],
            &["run", "--local", "out", "--summary", "-", "in.ndjson", "--map", "*=all"],
        ] {
            let program = program_with_dead_letter(&dead_letter, arguments);
            let (stdout, _reader) = broken.open_stderr();
            let (mut reader, writer) = pipe().unwrap();
            let ran = program.start_with(stdout, writer).finish(SOON);
            let mut stderr = String::new();
            reader.read_to_string(&mut stderr).unwrap();
            assert_eq!(ran.exit, 1, "{broken:?}: {arguments:?}: {stderr}");
            assert!(stderr.contains("standard output"), "{broken:?}: {arguments:?}: {stderr}");
            assert!(!stderr.contains("panicked"), "{broken:?}: {arguments:?}: {stderr}");
        }
    }
}

/// `host dead show | head` is not an error: the reader has closed the pipe.
#[test]
fn tables_end_when_their_reader_closes_the_pipe() {
    let dead_letter = run_with_dead_letter();
    for arguments in [&["dead", "list"][..], &["dead", "show"], &["plugin", "inspect"]] {
        let (stdout, _reader) = BrokenStderr::Gone.open_stderr();
        let program = program_with_dead_letter(&dead_letter, arguments);
        program.start_with(stdout, Stdio::null()).finish(SOON).expect_exit(0);
    }
}

/// A run that wrote a dead letter.
fn run_with_dead_letter() -> standpipe_tests::FinishedRun {
    Program::host_run_locally().mapping(&[("*", "all")]).stdin("x\n").run().expect_exit(3)
}

/// The program with these arguments. For `dead`, it uses the data directory of that run.
fn program_with_dead_letter(
    dead_letter: &standpipe_tests::FinishedRun,
    arguments: &[&str],
) -> Program {
    let program = Program::new().file("in.ndjson", EVENT.as_bytes()).args(arguments);
    match arguments[0] {
        "dead" => program.args(["--data-dir"]).args([dead_letter.path("standpipe-data")]),
        _ => program,
    }
}

#[test]
fn the_default_plugin_can_be_exported_to_standard_output() {
    let ran = Program::new().args(["plugin", "export", "-"]).run().expect_exit(0);
    assert!(ran.stdout.starts_with(b"\0asm"), "a component");
    let file = Program::new().args(["plugin", "export", "a.wasm"]).run().expect_exit(0);
    assert_eq!(std::fs::read(file.path("a.wasm")).unwrap(), ran.stdout);
}

/// Texts of plugins and names of inputs become one line without control characters.
#[test]
fn untrusted_texts_cannot_forge_log_lines() {
    let forged = "a\n2026-01-01T00:00:00Z  INFO forged\u{1b}[2J\u{202e}";
    let answer = serde_json::json!({"__type": "AccessDeniedException", "message": forged});
    let endpoint = standpipe_tests::Endpoint::start(move |_| (400, answer.to_string()));
    let stopping = |format: &str| {
        let program = Program::host_run_against(&endpoint.url()).mapping(&[("*", "all")]);
        let settings = "[delivery]\nmax_delay = '10ms'\ndrain_timeout = '1s'";
        let program = program.settings(settings).args(["--log-format", format]);
        let mut running = program.start();
        running.write_stdin(EVENT.repeat(600).as_bytes());
        running.wait_for("forged");
        running.send_signal(Signal::TERM);
        running.wait(SOON)
    };
    let ran = stopping("human");
    let is_forged = |line: &str| {
        line.starts_with("2026-01-01") || line.contains('\u{1b}') || line.contains('\u{202e}')
    };
    let forged: Vec<_> = ran.stderr.lines().filter(|line| is_forged(line)).collect();
    assert!(forged.is_empty(), "{forged:?}");
    let ran = stopping("json");
    for line in ran.stderr.lines() {
        let parsed: Result<Value, _> = serde_json::from_str(line);
        assert!(parsed.is_ok(), "{line}");
        assert!(!line.contains('\u{202e}'), "{line}");
    }
    // The summary is a separate object, and notices are lines of the log.
    let lines = || ran.stderr.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let summary = lines().find(|line| line["fields"]["summary"].is_object()).expect("a summary");
    assert_eq!(summary["fields"]["summary"]["read"], 600);
    let stopping = |line: &Value| {
        line["fields"]["message"].as_str().is_some_and(|text| text.starts_with("stopping"))
    };
    assert_eq!(lines().filter(stopping).count(), 1);
    // The error that ends the program has the same form.
    let ran = Program::host_run_locally().args(["--log-format", "json", "nowhere.ndjson"]).run();
    let error: Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert_eq!((ran.exit, &error["level"]), (2, &"ERROR".into()), "{}", ran.stderr);
}
