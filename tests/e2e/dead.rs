//! Tests the commands for dead letters: list, show, purge and replay.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::events::Events;
use standpipe_tests::{
    DEADLINE, DeadLetter, FinishedRun, Program, Stub, StubResponse, make_data_directory,
};
use tempfile::TempDir;

/// With these settings, events without a mapping become dead letters.
const STRICT: &str = "workers = 2\n[plugin.settings]\nunmapped = 'dead_letter'\n[delivery]\nmax_delay = '5ms'\nconcurrency = 1";
const A: &str = "{\"type\":\"track\",\"event\":\"A\"}\n";
const B: &str = "{\"type\":\"track\",\"event\":\"B\"}\n";

/// A data directory that several runs of the program share.
struct DataDirectory {
    _directory: TempDir,
    path: PathBuf,
}

impl DataDirectory {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("data");
        make_data_directory(&path);
        DataDirectory { _directory: directory, path }
    }

    /// Fills the directory: a run dead-letters the events without a mapping.
    fn filled_by(input: &str) -> Self {
        let data = DataDirectory::new();
        data.run(input).expect_exit(3);
        data
    }

    fn run(&self, input: &str) -> FinishedRun {
        let program = self.program_at(Program::host_run_locally()).settings(STRICT);
        program.mapping(&[("A", "as")]).stdin(input).run()
    }

    fn program_at(&self, program: Program) -> Program {
        program.args(["--data-dir"]).args([&self.path])
    }

    /// Runs `host dead` with these arguments.
    fn dead_command(&self, arguments: &[&str]) -> Program {
        self.program_at(Program::new().args(["dead"]).args(arguments))
    }

    fn replay_command(&self, rows: &[(&str, &str)]) -> Program {
        let program = self.dead_command(&["replay", "--local", "out", "--summary", "summary.json"]);
        program.settings(STRICT).mapping(rows)
    }

    fn dead_letters(&self) -> Vec<DeadLetter> {
        DeadLetter::read_all(&self.path)
    }

    fn dead_letter_files(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.path.join("dead")) else { return Vec::new() };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn stdout_text(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).expect("UTF-8")
}

#[test]
fn dead_letters_are_listed_by_reason_and_stream() {
    let data = DataDirectory::filled_by(&["x\n", A, B, "[]\n", "y\n"].concat());
    let text = stdout_text(&data.dead_command(&["list"]).run().expect_exit(0));
    for words in ["not_json", "plugin_rejected", "not_an_object", "4 dead letters in 1 files"] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let listing = |arguments: &[&str]| -> Value {
        let ran = data.dead_command(&["list", "--json"]).args(arguments).run().expect_exit(0);
        serde_json::from_slice(&ran.stdout).expect("JSON")
    };
    let all = listing(&[]);
    assert_eq!((&all["letters"], &all["unreadable"]), (&4.into(), &0.into()));
    assert_eq!(all["groups"][1]["reason"], "not_json");
    assert_eq!(all["groups"][1]["letters"], 2);
    for (arguments, dead_letters) in [
        (&["--reason", "not_json"][..], 2),
        (&["--reason", "not_json", "--reason", "plugin_rejected"], 3),
        (&["--source", "stdin"], 4),
        (&["--source", "elsewhere"], 0),
        (&["--stream", "as"], 0),
        (&["--since", "1h"], 4),
        (&["--until", "1h"], 0),
        (&["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00+02:00"], 0),
    ] {
        assert_eq!(listing(arguments)["letters"], dead_letters, "{arguments:?}");
    }
    let none = DataDirectory::new().dead_command(&["list"]).run().expect_exit(0);
    assert!(stdout_text(&none).contains("0 dead letters in 0 files"), "{}", stdout_text(&none));
    data.dead_command(&["list", "--since", "yesterday"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["2h for two hours ago"]);
}

#[test]
fn events_are_shown_only_where_that_is_asked_for() {
    let data = DataDirectory::filled_by(&["hush\u{1b}[2J\n", B].concat());
    let text = stdout_text(&data.dead_command(&["show"]).run().expect_exit(0));
    assert!(text.contains("not_json  stdin line 1") && text.contains("stdin line 2"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let text =
        stdout_text(&data.dead_command(&["show", "--events", "--limit", "1"]).run().expect_exit(0));
    assert!(text.contains("hush\\u{1b}[2J") && !text.contains("line 2"), "{text}");
    let json = stdout_text(&data.dead_command(&["show", "--json"]).run().expect_exit(0));
    assert!(json.lines().count() == 2 && !json.contains("event\":"), "{json}");
    // With all details, the output equals the lines of the file.
    let ran = data.dead_command(&["show", "--json", "--events"]).run().expect_exit(0);
    assert_eq!(ran.stdout, fs::read(&data.dead_letter_files()[0]).unwrap());
}

#[test]
fn purge_deletes_only_the_selected_dead_letters() {
    let data = DataDirectory::filled_by(&["x\n", B, "y\n"].concat());
    data.dead_command(&["purge"]).run().expect_exit(2).expect_stderr(&["--reason", "--all"]);
    assert_eq!(data.dead_letters().len(), 3);
    let ran = data.dead_command(&["purge", "--reason", "not_json"]).run().expect_exit(0);
    assert_eq!(stdout_text(&ran), "Deleted 2 dead letters.\n");
    let reasons: Vec<_> =
        data.dead_letters().into_iter().map(|dead_letter| dead_letter.reason).collect();
    assert_eq!(reasons, ["plugin_rejected"]);
    data.dead_command(&["purge", "--all"]).run().expect_exit(0);
    assert!(data.dead_letter_files().is_empty());
    data.dead_command(&["purge", "--all"]).run().expect_exit(0);
}

#[test]
fn a_replay_with_the_fixed_mapping_delivers_everything() {
    let data = DataDirectory::filled_by(&[B, A, "x\n", B].concat());
    let ran = data
        .replay_command(&[("B", "bs")])
        .args(["--reason", "plugin_rejected"])
        .run()
        .expect_exit(0);
    assert_eq!(ran.streams()["bs"], [B, B].concat().as_bytes());
    assert_eq!((ran.count("read"), ran.count("delivered")), (2, 2));
    let reasons: Vec<_> =
        data.dead_letters().into_iter().map(|dead_letter| dead_letter.reason).collect();
    assert_eq!(reasons, ["not_json"]);
    data.dead_command(&["purge", "--all"]).run().expect_exit(0);
    data.replay_command(&[("B", "bs")])
        .run()
        .expect_exit(0)
        .expect_stderr(&["no dead letters to replay"]);
}

#[test]
fn an_event_dead_lettered_again_keeps_its_position_and_history() {
    let data = DataDirectory::filled_by(&[A, "{}x\n", B].concat());
    for _ in 0..2 {
        let ran = data.replay_command(&[("C", "cs")]).run().expect_exit(3);
        assert_eq!((ran.count("read"), ran.count("dead")), (2, 2));
    }
    let mut dead_letters = data.dead_letters();
    dead_letters.sort_by_key(|dead_letter| dead_letter.line);
    assert_eq!(dead_letters.len(), 2, "{dead_letters:?}");
    for (dead_letter, (line, reason)) in
        dead_letters.iter().zip([(2, "not_json"), (3, "plugin_rejected")])
    {
        assert_eq!((dead_letter.source.as_str(), dead_letter.line), ("stdin", line));
        assert_eq!(dead_letter.reason, reason);
        assert_eq!(dead_letter.history, [reason, reason]);
    }
    let text = stdout_text(&data.dead_command(&["show"]).run().expect_exit(0));
    assert_eq!(text.matches("  before   ").count(), 4, "{text}");
}

#[test]
fn refusals_of_firehose_keep_the_history_too() {
    let data = DataDirectory::filled_by(B);
    let stub = Stub::start(|put| match put.records.len() {
        1 => StubResponse::Refuse { records: vec![0], code: "ValidationException" },
        _ => StubResponse::Accept,
    });
    let program =
        data.dead_command(&["replay", "--endpoint-url", &stub.url(), "--region", "eu-central-1"]);
    program.with_keys().settings(STRICT).mapping(&[("B", "bs")]).run().expect_exit(3);
    let dead_letters = data.dead_letters();
    assert_eq!(dead_letters.len(), 1);
    assert_eq!((dead_letters[0].reason.as_str(), dead_letters[0].line), ("record_refused", 1));
    assert_eq!(dead_letters[0].history, ["plugin_rejected"]);
}

#[test]
fn a_replay_leaves_bodies_of_refused_requests() {
    let data = DataDirectory::filled_by(&[B, B].concat());
    let file = &data.dead_letter_files()[0];
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("\"plugin_rejected\"", "\"request_refused\"", 1)).unwrap();
    let ran = data
        .replay_command(&[("B", "bs")])
        .run()
        .expect_exit(0)
        .expect_stderr(&["bodies of refused requests"]);
    assert_eq!((ran.count("delivered"), ran.count("request_letters")), (1, 1));
    let left: Vec<_> =
        data.dead_letters().into_iter().map(|dead_letter| dead_letter.reason).collect();
    assert_eq!(left, ["request_refused"]);
}

#[test]
fn a_replay_leaves_truncated_events_and_invalid_lines() {
    let long = format!("{{\"event\":\"{}\"}}\n", "B".repeat(9 << 20));
    let data = DataDirectory::filled_by(&[B, long.as_str()].concat());
    let file = &data.dead_letter_files()[0];
    let mut text = fs::read_to_string(file).unwrap();
    let dead_letter = text.lines().next().unwrap().to_owned();
    text += "\0\0\0 damaged\n";
    text += &dead_letter;
    text += "\n";
    text += &dead_letter[..dead_letter.len() / 2];
    fs::write(file, &text).unwrap();

    let listed = data
        .dead_command(&["list"])
        .run()
        .expect_exit(0)
        .expect_stderr(&["line 3: not a dead letter", "incomplete line"]);
    assert!(stdout_text(&listed).contains("2 unreadable lines"), "{}", stdout_text(&listed));
    let ran = data
        .replay_command(&[("B", "bs")])
        .run()
        .expect_exit(0)
        .expect_stderr(&["only the start", "they are not dead letters"]);
    assert_eq!((ran.count("delivered"), ran.count("partial_letters")), (2, 1));
    assert_eq!(ran.count("unreadable_letters"), 2);
    let left = fs::read_to_string(file).unwrap();
    let torn = &dead_letter[..dead_letter.len() / 2];
    assert!(left.ends_with(&format!("\0\0\0 damaged\n{torn}")) && left.lines().count() == 3);
    data.dead_command(&["purge", "--all"]).run().expect_exit(0);
    assert_eq!(fs::read_to_string(file).unwrap(), format!("\0\0\0 damaged\n{torn}"));
}

#[test]
fn undelivered_events_keep_their_dead_letter() {
    let data = DataDirectory::filled_by(&[B, B].concat());
    let before = fs::read(&data.dead_letter_files()[0]).unwrap();
    let stub = Stub::start(|_| StubResponse::Hang);
    let program =
        data.dead_command(&["replay", "--endpoint-url", &stub.url(), "--region", "eu-central-1"]);
    let settings = format!("{STRICT}\ndrain_timeout = '100ms'");
    let running = program.with_keys().settings(&settings).mapping(&[("B", "bs")]).start();
    standpipe_tests::wait_until("a request is under way", || !stub.requests().is_empty());
    running.send_signal(Signal::TERM);
    running.wait(DEADLINE).expect_exit(1).expect_stderr(&["not delivered"]);
    assert_eq!(fs::read(&data.dead_letter_files()[0]).unwrap(), before);
}

#[test]
fn the_file_of_a_running_host_is_left_alone() {
    let data = DataDirectory::filled_by("old\n");
    let program = data.program_at(Program::host_run_locally()).mapping(&[("A", "as")]);
    let mut running = program.start();
    running.write_stdin(b"first\n");
    standpipe_tests::wait_until("the host has written a dead letter", || {
        data.dead_letters().len() == 2
    });
    data.dead_command(&["purge", "--all"]).run().expect_exit(0).expect_stderr(&["skipped"]);
    let list = data.dead_command(&["list"]).run().expect_exit(0);
    assert!(stdout_text(&list).contains("1 dead letters in 1 files"), "{}", stdout_text(&list));
    let ran = data.replay_command(&[("B", "bs")]).run().expect_exit(0).expect_stderr(&["skipped"]);
    assert_eq!(ran.count("read"), 0);
    running.write_stdin(b"second\n");
    running.finish(DEADLINE).expect_exit(3);
    let events: Vec<_> =
        data.dead_letters().into_iter().map(|dead_letter| dead_letter.event).collect();
    assert_eq!(events, [b"first".to_vec(), b"second".to_vec()]);
    data.dead_command(&["purge", "--all"]).run().expect_exit(0);
    assert!(data.dead_letter_files().is_empty());
}

#[test]
fn only_one_process_uses_the_dead_letters_at_a_time() {
    let data = DataDirectory::filled_by(B);
    let lock = fs::File::open(data.path.join("dead")).unwrap();
    lock.try_lock().unwrap();
    data.dead_command(&["purge", "--all"])
        .run()
        .expect_exit(1)
        .expect_stderr(&["another replay or purge"]);
    data.replay_command(&[("B", "bs")])
        .run()
        .expect_exit(1)
        .expect_stderr(&["another replay or purge"]);
    assert_eq!(data.dead_letters().len(), 1);
}

#[test]
fn a_full_directory_refuses_dead_letters_or_drops_the_oldest() {
    let input = (0..3000).map(|number| format!("{number} {}\n", "x".repeat(1000)));
    let input: String = input.collect();
    let run = |when_full: &str| {
        let data = DataDirectory::new();
        let settings =
            format!("workers = 1\n[dead_letters]\nmax_bytes = 1048576\nwhen_full = '{when_full}'");
        let program = data.program_at(Program::host_run_locally()).settings(&settings);
        let ran = program.mapping(&[("A", "as")]).stdin(input.as_str()).run();
        let bytes: u64 =
            data.dead_letter_files().iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes <= 1 << 20 && bytes > 900_000, "{bytes} bytes");
        (ran, data.dead_letters())
    };
    let (ran, dead_letters) = run("stop");
    let ran = ran.expect_exit(1).expect_stderr(&["fault:", "`max_bytes`", "`when_full`"]);
    assert_eq!(ran.count("dead"), dead_letters.len() as u64);
    assert_eq!(ran.count("dead") + ran.count("undelivered"), ran.count("read"));
    assert_eq!(ran.count("dead_letters_refused"), ran.count("undelivered"));

    let (ran, dead_letters) = run("drop_oldest");
    let ran = ran.expect_exit(3).expect_stderr(&["were dropped to make room"]);
    assert_eq!(ran.count("dead"), 3000);
    assert_eq!(ran.count("dead_letters_dropped") + dead_letters.len() as u64, 3000);
    assert_eq!(dead_letters.last().unwrap().line, 3000);
}

/// A killed replay leaves every event in a dead letter or delivered. The next replay continues from
/// there.
#[test]
fn a_killed_replay_loses_no_event() {
    let data = DataDirectory::new();
    let input = Events::new(77).into_ndjson(1200);
    let lines: Vec<_> = input.split_inclusive(|&byte| byte == b'\n').collect();
    for part in lines.chunks(60) {
        let program =
            data.program_at(Program::host_run_locally()).settings(STRICT).stdin(part.concat());
        program.mapping(&[("nothing", "nowhere")]).run().expect_exit(3);
    }
    assert_eq!(data.dead_letters().len(), 1200);

    let calm = Arc::new(AtomicBool::new(false));
    let (is_calm, mut choice) = (Arc::clone(&calm), fastrand::Rng::with_seed(8));
    let stub = Stub::start(move |_| match choice.u8(..3) {
        0 if !is_calm.load(Ordering::Relaxed) => StubResponse::Hang,
        1 => StubResponse::Slow(Duration::from_millis(20)),
        _ => StubResponse::Accept,
    });
    let replay = || {
        let program = data.dead_command(&[
            "replay",
            "--endpoint-url",
            &stub.url(),
            "--region",
            "eu-central-1",
        ]);
        let program = program.args(["--summary", "summary.json"]);
        // Half of the events become dead letters again.
        let rows = [("page", "pages"), ("identify", "people"), ("Product Viewed", "views")];
        program.with_keys().settings(STRICT).mapping(&rows).start()
    };
    let mut rng = fastrand::Rng::with_seed(7);
    let expected: BTreeSet<_> = lines.iter().map(|line| line.trim_ascii_end().to_vec()).collect();
    for _ in 0..8 {
        let (running, before) = (replay(), stub.requests().len());
        standpipe_tests::wait_until("a request is made", || {
            stub.requests().len() > before || running.path("summary.json").exists()
        });
        std::thread::sleep(Duration::from_millis(rng.u64(..150)));
        running.kill();
        assert!(accounted_events(&data, &stub) == expected, "an event is lost");
    }
    calm.store(true, Ordering::Relaxed);
    replay().finish(DEADLINE).expect_exit(3);
    assert!(accounted_events(&data, &stub) == expected, "an event is lost");
    let left = data.dead_letters();
    assert!(
        left.iter().all(|dead_letter| !dead_letter.history.is_empty()),
        "an old dead letter is left"
    );
    let delivered = stub.accepted_records().into_values().flatten();
    let delivered: BTreeSet<_> = delivered.map(|record| record.trim_ascii_end().to_vec()).collect();
    assert!(
        left.iter().all(|dead_letter| !delivered.contains(&dead_letter.event)),
        "delivered and dead"
    );
    assert!(
        data.dead_letter_files()
            .iter()
            .all(|file| file.extension().is_some_and(|own| own == "ndjson"))
    );
}

/// The events that were delivered or are in a dead letter.
fn accounted_events(data: &DataDirectory, stub: &Stub) -> BTreeSet<Vec<u8>> {
    let mut events = BTreeSet::new();
    for file in data.dead_letter_files().iter().filter(|file| file.extension().unwrap() == "ndjson")
    {
        // The last line in the file of the killed replay can be torn.
        let text = fs::read_to_string(file).unwrap();
        let dead_letters = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.extend(
            dead_letters
                .map(|dead_letter| dead_letter["event"].as_str().unwrap().as_bytes().to_vec()),
        );
    }
    let delivered = stub.accepted_records().into_values().flatten();
    events.extend(delivered.map(|record| record.trim_ascii_end().to_vec()));
    events
}

#[test]
fn a_wrong_directory_or_reason_is_an_error() {
    for command in ["list", "show", "replay", "purge"] {
        let ran = Program::new().args(["dead", command, "--data-dir", "nowhere"]);
        let ran = if command == "purge" { ran.args(["--all"]) } else { ran };
        ran.run().expect_exit(2).expect_stderr(&["the data directory nowhere", "--data-dir"]);
    }
    let data = DataDirectory::filled_by("x\n");
    let ran = data.dead_command(&["list", "--reason", "not_jsn"]).run().expect_exit(2);
    let _ = ran.expect_stderr(&["did you mean `not_json`?"]);
    data.dead_command(&["purge", "--reason", "everything"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["expected one of"]);
    data.dead_command(&["list", "--stream", "a b"])
        .run()
        .expect_exit(2)
        .expect_stderr(&["not the name of a delivery stream"]);
}

#[test]
fn the_data_directory_is_beside_the_settings_file() {
    let program = Program::host_run_locally();
    let beside = program.path("conf");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("settings.toml"), STRICT).unwrap();
    make_data_directory(&beside.join("standpipe-data"));
    let ran = program.args(["--config", "conf/settings.toml"]).mapping(&[("A", "as")]);
    let ran = ran.stdin("x\n").run().expect_exit(3);
    assert_eq!(ran.dead_letters().len(), 0, "letters are in the working directory");
    // The command runs in another directory.
    let listed = Program::new().args(["dead", "list", "--json", "--config"]);
    let listed = listed.args([ran.path("conf").join("settings.toml")]).run().expect_exit(0);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["letters"], 1);
}

#[test]
fn events_of_an_earlier_run_are_not_left_behind() {
    let program = Program::host_run_locally();
    fs::create_dir(program.path("conf")).unwrap();
    fs::write(program.path("conf").join("settings.toml"), STRICT).unwrap();
    let dead = program.path("standpipe-data").join("dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("s1.ndjson"), "").unwrap();
    let ran = program.args(["--config", "conf/settings.toml"]).mapping(&[("A", "as")]).stdin(A);
    let _ = ran.run().expect_exit(2).expect_stderr(&[
        "move it there",
        "conf/standpipe-data",
        "data_dir",
    ]);
}
