//! Tests the durability of dead letters with files that fail and lose unsynced data.

mod disk;
mod failing;
mod power;

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use super::*;
use disk::PowerLossDisk;
use standpipe_core::event::{EventOutcome, Settled, Settlements};

/// The outcomes of events, as reported to their source.
#[derive(Debug, Clone, Default)]
struct Source(Arc<Mutex<EventAccount>>);

#[derive(Debug, Default)]
struct EventAccount {
    /// The numbers of events that the source has released.
    acknowledged: BTreeSet<usize>,
    settled: Settled,
}

impl Source {
    /// Creates an acknowledgement for events with these numbers. `look` gets the numbers of the
    /// events that the source is about to release.
    fn promise(
        &self,
        numbers: Range<usize>,
        look: impl Fn(&BTreeSet<usize>) + Send + Sync + 'static,
    ) -> Ack {
        let (account, total) = (Arc::clone(&self.0), Arc::clone(&self.0));
        let (first, events) = (numbers.start, numbers.len());
        let record = move |settlements: &Settlements<'_>| {
            let is_dead = |number: &usize| {
                settlements.outcome_of(number - first)
                    == Some(EventOutcome::DeadLettered(Reason::NotJson))
            };
            let dead: BTreeSet<_> = numbers.clone().filter(is_dead).collect();
            look(&dead);
            account.lock().acknowledged.extend(dead);
        };
        let notice = move |settled: Settled| {
            let mut account = total.lock();
            account.settled.dead += settled.dead;
            account.settled.undelivered += settled.undelivered;
        };
        Ack::with_checkpoint("in".into(), events, record, notice)
    }

    fn account(&self) -> MutexGuard<'_, EventAccount> {
        self.0.lock()
    }
}

/// Dead-letters events with these numbers, in chunks of ten.
fn kill(dead_letters: &DeadLetterWriter, source: &Source, numbers: Range<usize>) {
    kill_and_look(dead_letters, source, numbers, |_| {});
}

fn kill_and_look(
    dead_letters: &DeadLetterWriter,
    source: &Source,
    numbers: Range<usize>,
    look: impl Fn(&BTreeSet<usize>) + Clone + Send + Sync + 'static,
) {
    for first in numbers.clone().step_by(10) {
        let chunk = first..numbers.end.min(first + 10);
        let ack = source.promise(chunk.clone(), look.clone());
        for (event, number) in (0..).zip(chunk) {
            dead_letters.wait_for_room_blocking();
            let text = format!("{number} {}", "x".repeat(number % 300));
            let name = "in".into();
            let dead_letter = DeadLetter::of_line(Reason::NotJson, "", &name, 1, text.as_bytes());
            dead_letters.settle_dead(&dead_letter, &ack, event);
        }
    }
}

/// The numbers of the events in these files. Each of their lines must be complete.
fn numbers(texts: impl IntoIterator<Item = Vec<u8>>) -> Vec<usize> {
    let mut numbers = Vec::new();
    for text in texts {
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            // A crash can tear the last line of a file.
            let Some(line) = line.strip_suffix(b"\n") else { continue };
            let dead_letter = StoredDeadLetter::parse(line).unwrap();
            let event = String::from_utf8(dead_letter.event).unwrap();
            numbers.push(event.split_once(' ').unwrap().0.parse().unwrap());
        }
    }
    numbers
}

/// The numbers in the current files, oldest first.
fn written(directory: &Path) -> Vec<usize> {
    let files = DeadLetterDirectory::new(directory.to_owned()).files().unwrap();
    numbers(files.iter().map(|file| std::fs::read(&file.path).unwrap()))
}

fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}
