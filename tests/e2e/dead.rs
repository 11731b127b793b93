//! Dead letters as a place to work with: listed, shown, purged, replayed.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use standpipe_tests::events::Events;
use standpipe_tests::{DEADLINE, DeadLetter, Fate, Program, Ran, Stub, make_data_directory};
use tempfile::TempDir;

/// Events that no row maps are dead.
const STRICT: &str = "workers = 2\n[plugin.settings]\nunmapped = 'dead_letter'\n[delivery]\nmax_delay = '5ms'\nconcurrency = 1";
const A: &str = "{\"type\":\"track\",\"event\":\"A\"}\n";
const B: &str = "{\"type\":\"track\",\"event\":\"B\"}\n";

/// A data directory that several starts of the program work in.
struct Data {
    _directory: TempDir,
    path: PathBuf,
}

impl Data {
    fn new() -> Self {
        let directory = TempDir::new().expect("a directory");
        let path = directory.path().join("data");
        make_data_directory(&path);
        Data { _directory: directory, path }
    }

    /// A run into the dead letters of what no row maps.
    fn filled_by(input: &str) -> Self {
        let data = Data::new();
        data.run(input).exits(3);
        data
    }

    fn run(&self, input: &str) -> Ran {
        let program = self.at(Program::running_locally()).settings(STRICT);
        program.mapping(&[("A", "as")]).stdin(input).run()
    }

    fn at(&self, program: Program) -> Program {
        program.args(["--data-dir"]).args([&self.path])
    }

    /// `host dead` with these arguments.
    fn dead(&self, arguments: &[&str]) -> Program {
        self.at(Program::new().args(["dead"]).args(arguments))
    }

    fn replay(&self, rows: &[(&str, &str)]) -> Program {
        let program = self.dead(&["replay", "--local", "out", "--summary", "summary.json"]);
        program.settings(STRICT).mapping(rows)
    }

    fn letters(&self) -> Vec<DeadLetter> {
        DeadLetter::read_all(&self.path)
    }

    fn files(&self) -> Vec<PathBuf> {
        let Ok(files) = fs::read_dir(self.path.join("dead")) else { return Vec::new() };
        let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
        files.sort();
        files
    }
}

fn stdout(ran: &Ran) -> String {
    String::from_utf8(ran.stdout.clone()).expect("UTF-8")
}

#[test]
fn letters_are_listed_by_reason_and_stream() {
    let data = Data::filled_by(&["x\n", A, B, "[]\n", "y\n"].concat());
    let text = stdout(&data.dead(&["list"]).run().exits(0));
    for words in ["not_json", "plugin_rejected", "not_an_object", "4 dead letters in 1 files"] {
        assert!(text.contains(words), "no {words:?} in:\n{text}");
    }
    let listing = |arguments: &[&str]| -> Value {
        let ran = data.dead(&["list", "--json"]).args(arguments).run().exits(0);
        serde_json::from_slice(&ran.stdout).expect("JSON")
    };
    let all = listing(&[]);
    assert_eq!((&all["letters"], &all["unreadable"]), (&4.into(), &0.into()));
    assert_eq!(all["groups"][1]["reason"], "not_json");
    assert_eq!(all["groups"][1]["letters"], 2);
    for (arguments, letters) in [
        (&["--reason", "not_json"][..], 2),
        (&["--reason", "not_json", "--reason", "plugin_rejected"], 3),
        (&["--source", "stdin"], 4),
        (&["--source", "elsewhere"], 0),
        (&["--stream", "as"], 0),
        (&["--since", "1h"], 4),
        (&["--until", "1h"], 0),
        (&["--since", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00+02:00"], 0),
    ] {
        assert_eq!(listing(arguments)["letters"], letters, "{arguments:?}");
    }
    let none = Data::new().dead(&["list"]).run().exits(0);
    assert!(stdout(&none).contains("0 dead letters in 0 files"), "{}", stdout(&none));
    data.dead(&["list", "--since", "yesterday"]).run().exits(2).says(&["2h for two hours ago"]);
}

#[test]
fn events_are_shown_only_where_that_is_asked_for() {
    let data = Data::filled_by(&["hush\u{1b}[2J\n", B].concat());
    let text = stdout(&data.dead(&["show"]).run().exits(0));
    assert!(text.contains("not_json  stdin line 1") && text.contains("stdin line 2"), "{text}");
    assert!(!text.contains("hush"), "{text}");
    let text = stdout(&data.dead(&["show", "--events", "--limit", "1"]).run().exits(0));
    assert!(text.contains("hush\\u{1b}[2J") && !text.contains("line 2"), "{text}");
    let json = stdout(&data.dead(&["show", "--json"]).run().exits(0));
    assert!(json.lines().count() == 2 && !json.contains("event\":"), "{json}");
    // Shown whole, the letters are those of the file.
    let ran = data.dead(&["show", "--json", "--events"]).run().exits(0);
    assert_eq!(ran.stdout, fs::read(&data.files()[0]).unwrap());
}

#[test]
fn purging_deletes_what_was_asked_for_and_nothing_else() {
    let data = Data::filled_by(&["x\n", B, "y\n"].concat());
    data.dead(&["purge"]).run().exits(2).says(&["--reason", "--all"]);
    assert_eq!(data.letters().len(), 3);
    let ran = data.dead(&["purge", "--reason", "not_json"]).run().exits(0);
    assert_eq!(stdout(&ran), "Deleted 2 dead letters.\n");
    let reasons: Vec<_> = data.letters().into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["plugin_rejected"]);
    data.dead(&["purge", "--all"]).run().exits(0);
    assert!(data.files().is_empty());
    data.dead(&["purge", "--all"]).run().exits(0);
}

#[test]
fn a_replay_with_the_mapping_mended_delivers_and_leaves_nothing() {
    let data = Data::filled_by(&[B, A, "x\n", B].concat());
    let ran = data.replay(&[("B", "bs")]).args(["--reason", "plugin_rejected"]).run().exits(0);
    assert_eq!(ran.streams()["bs"], [B, B].concat().as_bytes());
    assert_eq!((ran.count("read"), ran.count("delivered")), (2, 2));
    let reasons: Vec<_> = data.letters().into_iter().map(|letter| letter.reason).collect();
    assert_eq!(reasons, ["not_json"]);
    data.dead(&["purge", "--all"]).run().exits(0);
    data.replay(&[("B", "bs")]).run().exits(0).says(&["no dead letters to replay"]);
}

#[test]
fn a_letter_that_dies_again_keeps_its_place_and_its_history() {
    let data = Data::filled_by(&[A, "{}x\n", B].concat());
    for _ in 0..2 {
        let ran = data.replay(&[("C", "cs")]).run().exits(3);
        assert_eq!((ran.count("read"), ran.count("dead")), (2, 2));
    }
    let mut letters = data.letters();
    letters.sort_by_key(|letter| letter.line);
    assert_eq!(letters.len(), 2, "{letters:?}");
    for (letter, (line, reason)) in letters.iter().zip([(2, "not_json"), (3, "plugin_rejected")]) {
        assert_eq!((letter.source.as_str(), letter.line), ("stdin", line));
        assert_eq!(letter.reason, reason);
        assert_eq!(letter.history, [reason, reason]);
    }
    let text = stdout(&data.dead(&["show"]).run().exits(0));
    assert_eq!(text.matches("  before   ").count(), 4, "{text}");
}

#[test]
fn refusals_of_firehose_keep_the_history_too() {
    let data = Data::filled_by(B);
    let stub = Stub::start(|put| match put.records.len() {
        1 => Fate::Refuse { records: vec![0], code: "ValidationException" },
        _ => Fate::Accept,
    });
    let program = data.dead(&["replay", "--endpoint-url", &stub.url(), "--region", "eu-central-1"]);
    program.with_keys().settings(STRICT).mapping(&[("B", "bs")]).run().exits(3);
    let letters = data.letters();
    assert_eq!(letters.len(), 1);
    assert_eq!((letters[0].reason.as_str(), letters[0].line), ("record_refused", 1));
    assert_eq!(letters[0].history, ["plugin_rejected"]);
}

#[test]
fn bodies_of_refused_requests_are_left() {
    let data = Data::filled_by(&[B, B].concat());
    let file = &data.files()[0];
    let text = fs::read_to_string(file).unwrap();
    fs::write(file, text.replacen("\"plugin_rejected\"", "\"request_refused\"", 1)).unwrap();
    let ran = data.replay(&[("B", "bs")]).run().exits(0).says(&["bodies of refused requests"]);
    assert_eq!((ran.count("delivered"), ran.count("request_letters")), (1, 1));
    let left: Vec<_> = data.letters().into_iter().map(|letter| letter.reason).collect();
    assert_eq!(left, ["request_refused"]);
}

#[test]
fn what_holds_only_a_start_or_no_letter_is_left() {
    let long = format!("{{\"event\":\"{}\"}}\n", "B".repeat(9 << 20));
    let data = Data::filled_by(&[B, long.as_str()].concat());
    let file = &data.files()[0];
    let mut text = fs::read_to_string(file).unwrap();
    let letter = text.lines().next().unwrap().to_owned();
    text += "\0\0\0 damaged\n";
    text += &letter;
    text += "\n";
    text += &letter[..letter.len() / 2];
    fs::write(file, &text).unwrap();

    let listed =
        data.dead(&["list"]).run().exits(0).says(&["line 3: not a dead letter", "incomplete line"]);
    assert!(stdout(&listed).contains("2 unreadable lines"), "{}", stdout(&listed));
    let ran = data
        .replay(&[("B", "bs")])
        .run()
        .exits(0)
        .says(&["only the start", "they are not dead letters"]);
    assert_eq!((ran.count("delivered"), ran.count("partial_letters")), (2, 1));
    assert_eq!(ran.count("unreadable_letters"), 2);
    let left = fs::read_to_string(file).unwrap();
    let torn = &letter[..letter.len() / 2];
    assert!(left.ends_with(&format!("\0\0\0 damaged\n{torn}")) && left.lines().count() == 3);
    data.dead(&["purge", "--all"]).run().exits(0);
    assert_eq!(fs::read_to_string(file).unwrap(), format!("\0\0\0 damaged\n{torn}"));
}

#[test]
fn what_is_not_delivered_keeps_its_letter() {
    let data = Data::filled_by(&[B, B].concat());
    let before = fs::read(&data.files()[0]).unwrap();
    let stub = Stub::start(|_| Fate::Hang);
    let program = data.dead(&["replay", "--endpoint-url", &stub.url(), "--region", "eu-central-1"]);
    let settings = format!("{STRICT}\ndrain_timeout = '100ms'");
    let running = program.with_keys().settings(&settings).mapping(&[("B", "bs")]).start();
    standpipe_tests::wait_until("a request is under way", || !stub.requests().is_empty());
    running.signal(Signal::TERM);
    running.wait(DEADLINE).exits(1).says(&["not delivered"]);
    assert_eq!(fs::read(&data.files()[0]).unwrap(), before);
}

#[test]
fn the_file_of_a_running_host_is_left_alone() {
    let data = Data::filled_by("old\n");
    let program = data.at(Program::running_locally()).mapping(&[("A", "as")]);
    let mut running = program.start();
    running.write(b"first\n");
    standpipe_tests::wait_until("the host has written a letter", || data.letters().len() == 2);
    data.dead(&["purge", "--all"]).run().exits(0).says(&["skipped"]);
    let list = data.dead(&["list"]).run().exits(0);
    assert!(stdout(&list).contains("1 dead letters in 1 files"), "{}", stdout(&list));
    let ran = data.replay(&[("B", "bs")]).run().exits(0).says(&["skipped"]);
    assert_eq!(ran.count("read"), 0);
    running.write(b"second\n");
    running.finish(DEADLINE).exits(3);
    let events: Vec<_> = data.letters().into_iter().map(|letter| letter.event).collect();
    assert_eq!(events, [b"first".to_vec(), b"second".to_vec()]);
    data.dead(&["purge", "--all"]).run().exits(0);
    assert!(data.files().is_empty());
}

#[test]
fn only_one_works_on_the_letters_at_a_time() {
    let data = Data::filled_by(B);
    let lock = fs::File::open(data.path.join("dead")).unwrap();
    lock.try_lock().unwrap();
    data.dead(&["purge", "--all"]).run().exits(1).says(&["another replay or purge"]);
    data.replay(&[("B", "bs")]).run().exits(1).says(&["another replay or purge"]);
    assert_eq!(data.letters().len(), 1);
}

#[test]
fn a_full_directory_refuses_letters_or_drops_the_oldest() {
    let input = (0..3000).map(|number| format!("{number} {}\n", "x".repeat(1000)));
    let input: String = input.collect();
    let run = |when_full: &str| {
        let data = Data::new();
        let settings =
            format!("workers = 1\n[dead_letters]\nmax_bytes = 1048576\nwhen_full = '{when_full}'");
        let program = data.at(Program::running_locally()).settings(&settings);
        let ran = program.mapping(&[("A", "as")]).stdin(input.as_str()).run();
        let bytes: u64 = data.files().iter().map(|file| file.metadata().unwrap().len()).sum();
        assert!(bytes <= 1 << 20 && bytes > 900_000, "{bytes} bytes");
        (ran, data.letters())
    };
    let (ran, letters) = run("stop");
    let ran = ran.exits(1).says(&["fault:", "`max_bytes`", "`when_full`"]);
    assert_eq!(ran.count("dead"), letters.len() as u64);
    assert_eq!(ran.count("dead") + ran.count("undelivered"), ran.count("read"));
    assert_eq!(ran.count("dead_letters_refused"), ran.count("undelivered"));

    let (ran, letters) = run("drop_oldest");
    let ran = ran.exits(3).says(&["were dropped to make room"]);
    assert_eq!(ran.count("dead"), 3000);
    assert_eq!(ran.count("dead_letters_dropped") + letters.len() as u64, 3000);
    assert_eq!(letters.last().unwrap().line, 3000);
}

/// A replay that is killed leaves every event in a letter, or delivered it; the
/// next replay goes on from there.
#[test]
fn a_killed_replay_loses_no_event() {
    let data = Data::new();
    let input = Events::new(77).ndjson(1200);
    let lines: Vec<_> = input.split_inclusive(|&byte| byte == b'\n').collect();
    for part in lines.chunks(60) {
        let program = data.at(Program::running_locally()).settings(STRICT).stdin(part.concat());
        program.mapping(&[("nothing", "nowhere")]).run().exits(3);
    }
    assert_eq!(data.letters().len(), 1200);

    let calm = Arc::new(AtomicBool::new(false));
    let (is_calm, mut choice) = (Arc::clone(&calm), fastrand::Rng::with_seed(8));
    let stub = Stub::start(move |_| match choice.u8(..3) {
        0 if !is_calm.load(Ordering::Relaxed) => Fate::Hang,
        1 => Fate::Slow(Duration::from_millis(20)),
        _ => Fate::Accept,
    });
    let replay = || {
        let program =
            data.dead(&["replay", "--endpoint-url", &stub.url(), "--region", "eu-central-1"]);
        let program = program.args(["--summary", "summary.json"]);
        // Half of the events die again.
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
        assert!(accounted(&data, &stub) == expected, "an event is lost");
    }
    calm.store(true, Ordering::Relaxed);
    replay().finish(DEADLINE).exits(3);
    assert!(accounted(&data, &stub) == expected, "an event is lost");
    let left = data.letters();
    assert!(left.iter().all(|letter| !letter.history.is_empty()), "an old letter is left");
    let delivered = stub.accepted().into_values().flatten();
    let delivered: BTreeSet<_> = delivered.map(|record| record.trim_ascii_end().to_vec()).collect();
    assert!(left.iter().all(|letter| !delivered.contains(&letter.event)), "delivered and dead");
    assert!(data.files().iter().all(|file| file.extension().is_some_and(|own| own == "ndjson")));
}

/// The events that were delivered, or are in a letter.
fn accounted(data: &Data, stub: &Stub) -> BTreeSet<Vec<u8>> {
    let mut events = BTreeSet::new();
    for file in data.files().iter().filter(|file| file.extension().unwrap() == "ndjson") {
        // The last line of the killed replay's own file can be torn.
        let text = fs::read_to_string(file).unwrap();
        let letters = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.extend(letters.map(|letter| letter["event"].as_str().unwrap().as_bytes().to_vec()));
    }
    let delivered = stub.accepted().into_values().flatten();
    events.extend(delivered.map(|record| record.trim_ascii_end().to_vec()));
    events
}

#[test]
fn a_wrong_place_or_reason_is_no_empty_list() {
    for command in ["list", "show", "replay", "purge"] {
        let ran = Program::new().args(["dead", command, "--data-dir", "nowhere"]);
        let ran = if command == "purge" { ran.args(["--all"]) } else { ran };
        ran.run().exits(2).says(&["the data directory nowhere", "--data-dir"]);
    }
    let data = Data::filled_by("x\n");
    let ran = data.dead(&["list", "--reason", "not_jsn"]).run().exits(2);
    let _ = ran.says(&["did you mean `not_json`?"]);
    data.dead(&["purge", "--reason", "everything"]).run().exits(2).says(&["expected one of"]);
    data.dead(&["list", "--stream", "a b"])
        .run()
        .exits(2)
        .says(&["not the name of a delivery stream"]);
}

#[test]
fn the_data_directory_is_beside_the_settings_file() {
    let program = Program::running_locally();
    let beside = program.path("conf");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("settings.toml"), STRICT).unwrap();
    make_data_directory(&beside.join("standpipe-data"));
    let ran = program.args(["--config", "conf/settings.toml"]).mapping(&[("A", "as")]);
    let ran = ran.stdin("x\n").run().exits(3);
    assert_eq!(ran.letters().len(), 0, "letters are in the working directory");
    // From another directory.
    let listed = Program::new().args(["dead", "list", "--json", "--config"]);
    let listed = listed.args([ran.path("conf").join("settings.toml")]).run().exits(0);
    let listed: Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["letters"], 1);
}

#[test]
fn events_of_an_earlier_run_are_not_left_behind() {
    let program = Program::running_locally();
    fs::create_dir(program.path("conf")).unwrap();
    fs::write(program.path("conf").join("settings.toml"), STRICT).unwrap();
    let dead = program.path("standpipe-data").join("dead");
    fs::create_dir(&dead).unwrap();
    fs::write(dead.join("s1.ndjson"), "").unwrap();
    let ran = program.args(["--config", "conf/settings.toml"]).mapping(&[("A", "as")]).stdin(A);
    let _ = ran.run().exits(2).says(&["move it there", "conf/standpipe-data", "data_dir"]);
}
