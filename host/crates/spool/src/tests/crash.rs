//! Tests a process that is killed while it appends and acknowledges.

use std::collections::HashSet;
use std::io::Write;
use std::process::{Child, Command};

use super::*;

const DIRECTORY: &str = "SPOOL_CRASH_DIRECTORY";
const ROUNDS: usize = 30;

/// The time after which such a process ends by itself, in case the test is killed.
const LIFE_MAX: Duration = Duration::from_secs(30);

/// A process that ends with the test.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The directory of the process to kill, if this is that process.
fn directory_of_victim() -> Option<PathBuf> {
    std::env::var_os(DIRECTORY).map(PathBuf::from)
}

/// The work of the process to kill: it logs the results of its calls.
fn append_and_acknowledge(directory: &Path) -> ! {
    let answers =
        fs::File::options().append(true).create(true).open(directory.join("answers")).unwrap();
    let note = |what: &str| (&answers).write_all(format!("{what}\n").as_bytes()).unwrap();
    let base = std::process::id();
    let durability = if base.is_multiple_of(2) { Durability::Os } else { Durability::Fsync };
    let settings = SpoolSettings { durability, ..settings(&directory.join("spool"), 1 << 30) };
    let (spool, mut consumer, _) = Spool::open_on(settings, 20_000, Box::new(FileStorage)).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..6 {
            let (spool, note) = (spool.clone(), &note);
            scope.spawn(move || {
                for count in 0.. {
                    let name = format!("{base}-{thread}-{count}");
                    append(&spool, 2, format!("{name} {}", "x".repeat(count % 700)).as_bytes())
                        .unwrap();
                    note(&format!("stored {name}"));
                }
            });
        }
        let (mut count, begun) = (0_u32, Instant::now());
        while begun.elapsed() < LIFE_MAX {
            let NextEntry::Entry(entry) = consumer.next(Duration::from_secs(1)) else { continue };
            count += 1;
            if !count.is_multiple_of(5) {
                acknowledge_all(&spool, &entry);
                note(&format!("paid {}", name_of(&entry)));
            }
        }
        std::process::abort()
    })
}

fn name_of(entry: &SpoolEntry) -> String {
    String::from_utf8_lossy(&entry.bytes).split(' ').next().unwrap().to_owned()
}

#[test]
fn what_was_stored_survives_being_killed() {
    // The test starts its own program as the process to kill.
    if let Some(directory) = directory_of_victim() {
        append_and_acknowledge(&directory);
    }
    let this = module_path!().split_once("::").unwrap().1.to_owned();
    let this = this + "::what_was_stored_survives_being_killed";
    let directory = tempfile::tempdir().unwrap();
    let mut stored_ever = 0;
    for round in 0..ROUNDS {
        let child = Command::new(std::env::current_exe().unwrap())
            .args([&this, "--exact"])
            .env(DIRECTORY, directory.path())
            .stdout(std::process::Stdio::null())
            .spawn();
        let victim = Victim(child.unwrap());
        let answers = directory.path().join("answers");
        let stored = || fs::read_to_string(&answers).unwrap_or_default().matches("stored").count();
        eventually("it stores something", || stored() > stored_ever);
        std::thread::sleep(Duration::from_millis((round as u64 * 7) % 60));
        drop(victim);

        let answers = fs::read_to_string(&answers).unwrap();
        let all = |kind: &str| -> HashSet<String> {
            answers.lines().filter_map(|line| line.strip_prefix(kind)).map(str::to_owned).collect()
        };
        let (stored, paid) = (all("stored "), all("paid "));
        assert!(stored.len() > stored_ever);
        stored_ever = stored.len();
        let crashed = copy(&directory.path().join("spool"));
        let (spool, mut consumer, recovered) = open(crashed.path());
        let entries = drain(&mut consumer);
        let names: HashSet<String> = entries.iter().map(name_of).collect();
        assert_eq!(names.len(), entries.len(), "none is handed out twice");
        let lost: Vec<_> = stored.difference(&paid).filter(|name| !names.contains(*name)).collect();
        // One acknowledgement may have been written but not logged.
        assert!(lost.len() <= round + 1, "{lost:?}");
        assert!(names.is_disjoint(&paid), "what was paid is not handed out");
        assert_eq!((recovered.acks_corrupt, spool.status().corrupt_regions), (0, 0));
    }
}
