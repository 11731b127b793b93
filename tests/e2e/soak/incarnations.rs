//! The processes of the run, one after the other, and how each ended.

use parking_lot::Mutex;

/// How a process has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// The process still runs.
    Running,
    /// The process ended by SIGKILL, or by itself.
    Killed,
    /// The process stopped normally, with everything delivered.
    Stopped,
    /// The process stopped normally, and the rest waits for the next start.
    StoppedWithRest,
}

/// All processes so far. Their numbers start at 0, and wrap after 255.
#[derive(Debug, Default)]
pub(super) struct Incarnations(Mutex<Vec<(u32, Ending)>>);

impl Incarnations {
    /// The number of the next process.
    pub(super) fn next_number(&self) -> u8 {
        self.0.lock().len() as u8
    }

    /// Records the start of another process.
    pub(super) fn begin_process(&self, pid: u32) {
        self.0.lock().push((pid, Ending::Running));
    }

    /// Records the end of the last process.
    pub(super) fn end_process(&self, ending: Ending) {
        if let Some(last) = self.0.lock().last_mut() {
            last.1 = ending;
        }
    }

    /// How a process has ended.
    pub(super) fn ending_of(&self, number: u8) -> Ending {
        let all = self.0.lock();
        let known = all.iter().enumerate().rev().find(|(at, _)| *at as u8 == number);
        known.map_or(Ending::Running, |(_, (_, ending))| *ending)
    }

    /// The number of a process by its id.
    pub(super) fn of_pid(&self, pid: u32) -> Option<u8> {
        let all = self.0.lock();
        all.iter().rposition(|(known, _)| *known == pid).map(|at| at as u8)
    }
}
