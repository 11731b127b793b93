//! Tests random lives of a spool against a model of the entries that it must return.

use std::sync::Arc;

use proptest::prelude::*;

use super::faulty::{Faults, Faulty};
use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Append {
        items: u32,
        length: usize,
    },
    Read {
        entries: usize,
    },
    Acknowledge {
        which: usize,
        bits: u64,
    },
    AcknowledgeAll {
        which: usize,
    },
    Reopen,
    /// The process ends without a shutdown, as if it was killed.
    Crash,
    /// From now on, writes, syncs or truncations fail, or none of them.
    Fail {
        append: bool,
        sync: bool,
        truncate: bool,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..90_u32, 0..700_usize).prop_map(|(items, length)| Step::Append { items, length }),
        3 => (0..12_usize).prop_map(|entries| Step::Read { entries }),
        4 => (any::<usize>(), any::<u64>()).prop_map(|(which, bits)| Step::Acknowledge { which, bits }),
        4 => any::<usize>().prop_map(|which| Step::AcknowledgeAll { which }),
        1 => Just(Step::Reopen),
        1 => Just(Step::Crash),
        1 => any::<[bool; 3]>().prop_map(|[append, sync, truncate]| Step::Fail { append, sync, truncate }),
        1 => Just(Step::Fail { append: false, sync: false, truncate: false }),
    ]
}

/// The state of an appended entry.
#[derive(Debug)]
struct Debt {
    bytes: Vec<u8>,
    acked: Vec<bool>,
    /// The append returned an error, so the entry may or may not be returned after a restart.
    is_doubtful: bool,
    place: Option<EntryPosition>,
}

struct Life {
    directory: tempfile::TempDir,
    spool: Option<(Spool, Consumer)>,
    faults: Arc<Faults>,
    debts: Vec<Debt>,
    /// Entries from this one on have not been returned in this life.
    next: usize,
}

impl Life {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut life =
            Life { directory, spool: None, faults: Arc::default(), debts: Vec::new(), next: 0 };
        life.open();
        life
    }

    fn open(&mut self) {
        self.faults = Arc::default();
        let settings = SpoolSettings {
            durability: Durability::Fsync,
            ..settings(self.directory.path(), 1 << 30)
        };
        let storage = Box::new(Faulty(Arc::clone(&self.faults)));
        let (spool, consumer, recovered) =
            Spool::open_on(settings, SEGMENT_BYTES, storage).unwrap();
        assert_eq!(recovered.acks_corrupt, 0);
        (self.spool, self.next) = (Some((spool, consumer)), 0);
        self.debts.iter_mut().for_each(|debt| debt.place = None);
    }

    fn spool(&self) -> &Spool {
        &self.spool.as_ref().unwrap().0
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { items, length } => {
                let bytes = payload(self.debts.len() as u32, length);
                let is_doubtful = append(self.spool(), items, &bytes).is_err();
                let acked = vec![false; items as usize];
                self.debts.push(Debt { bytes, acked, is_doubtful, place: None });
            }
            Step::Read { entries } => (0..entries).for_each(|_| {
                self.read();
            }),
            Step::Acknowledge { which, bits } => {
                self.acknowledge(which, |item| bits >> (item % 64) & 1 == 1);
            }
            Step::AcknowledgeAll { which } => self.acknowledge(which, |_| true),
            Step::Reopen => {
                self.faults.set(false, false, false);
                self.spool = None;
                self.open();
            }
            Step::Crash => {
                let directory = copy(self.directory.path());
                self.spool = None;
                self.directory = directory;
                self.open();
            }
            Step::Fail { append, sync, truncate } => self.faults.set(append, sync, truncate),
        }
    }

    /// Reads the next entry, which must be the next one in the model.
    fn read(&mut self) -> bool {
        let entry = read(&mut self.spool.as_mut().unwrap().1);
        loop {
            let debt = self.debts.get_mut(self.next);
            self.next += usize::from(debt.is_some());
            match (debt, &entry) {
                (None, entry) => {
                    assert_eq!(entry, &None, "nothing is owed");
                    return false;
                }
                (Some(debt), _) if debt.acked.iter().all(|acked| *acked) => {}
                (Some(debt), Some(entry)) if debt.bytes == entry.bytes => {
                    let acked: Vec<u32> =
                        (0..entry.items).filter(|item| debt.acked[*item as usize]).collect();
                    assert_eq!((&entry.acked, entry.items as usize), (&acked, debt.acked.len()));
                    (debt.place, debt.is_doubtful) = (Some(entry.place), false);
                    return true;
                }
                (Some(debt), entry) => assert!(debt.is_doubtful, "{debt:?} is owed, not {entry:?}"),
            }
        }
    }

    fn acknowledge(&mut self, which: usize, is_meant: impl Fn(usize) -> bool) {
        let known: Vec<usize> =
            (0..self.debts.len()).filter(|debt| self.debts[*debt].place.is_some()).collect();
        let Some(which) = known.get(which.checked_rem(known.len()).unwrap_or(0)) else {
            return;
        };
        let debt = &mut self.debts[*which];
        let items: Vec<usize> = (0..debt.acked.len()).filter(|item| is_meant(*item)).collect();
        items.iter().for_each(|item| debt.acked[*item] = true);
        let place = debt.place.unwrap();
        self.spool().acknowledge(place, items.into_iter().map(|item| item as u32));
    }

    /// Reads all entries. Nothing is left after they are acknowledged.
    fn end(mut self) {
        self.step(Step::Crash);
        while self.read() {}
        let unpaid =
            self.debts.iter().filter(|debt| !debt.is_doubtful).flat_map(|debt| &debt.acked);
        let waiting = unpaid.filter(|acked| !**acked).count() as u64;
        let status = self.spool().status();
        assert_eq!(
            (status.items_waiting, status.corrupt_regions, status.read_errors),
            (waiting, 0, 0)
        );
        for which in 0..self.debts.len() {
            self.acknowledge(which, |_| true);
        }
        assert_eq!(self.spool().status().items_waiting, 0);
        self.step(Step::Reopen);
        assert!(!self.read());
        let directory = self.directory.path();
        eventually("all files are removed", || files(directory, "log").is_empty());
        assert_eq!(self.spool().status().bytes, 0);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_spool_pays_what_it_owes(steps in proptest::collection::vec(step(), 1..60)) {
        let mut life = Life::new();
        steps.into_iter().for_each(|step| life.step(step));
        life.end();
    }
}
