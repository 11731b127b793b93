//! Standard error: log lines, notices and the summary, written by one thread.
//!
//! Lines are put into a queue. Therefore a reader that has closed the pipe or stopped reading, or a
//! full disk, delays neither events nor signals. The queue is limited by bytes. Log lines that do
//! not fit are dropped and counted; notices wait while the reader reads. A reader is stalled if it
//! has read nothing for [`STDERR_STALL`].
//!
//! `tracing-appender` solves a part of this problem. However, it limits lines instead of bytes,
//! drops the summary like a log line, and, if its queue is still full at the end, prints to
//! standard output, which is reserved for the command's output.

use std::backtrace::{Backtrace, BacktraceStatus};
use std::collections::VecDeque;
use std::io::{self, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex, MutexGuard};
use serde_json::json;
pub(super) use tracing::Level;
use tracing_subscriber::fmt::MakeWriter;

use standpipe_core::clock;
use standpipe_core::escape::{json_line, one_line};

/// Maximum bytes of queued lines: about 30,000 lines. Further lines are dropped and counted.
const STDERR_QUEUE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A reader of standard error that has read nothing for this time is stalled.
const STDERR_STALL: Duration = Duration::from_secs(1);

/// How long the program waits at its end for a slow reader of standard error.
const STDERR_FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one write. A pipe accepts this many bytes atomically, so lines of several processes do
/// not mix, and the program notices that a slow reader reads.
const PIECE_BYTES: usize = 4096;

/// The pause before a write is repeated if standard error is non-blocking.
const AGAIN: Duration = Duration::from_millis(10);

/// The minimum time between reports of dropped lines.
const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// Clears the line of the cursor, and moves the cursor to its start.
const CLEAR_LINE: &str = "\r\u{1b}[2K";

/// Whether notices are JSON, as log lines are.
static IS_JSON: AtomicBool = AtomicBool::new(false);

static STDERR: LazyLock<StderrQueue> = LazyLock::new(|| StderrQueue::new(STDERR_QUEUE_BYTES_MAX));

/// Whether a thread writes the lines of the queue. If the system refuses one, each caller writes
/// its own line.
static HAS_WRITER: LazyLock<bool> = LazyLock::new(|| {
    let thread = thread::Builder::new().name("stderr".to_owned());
    thread.spawn(|| STDERR.write_to(&mut io::stderr())).is_ok()
});

/// Writes notices as JSON from now on, as log lines are.
pub(super) fn write_json() {
    IS_JSON.store(true, Ordering::Relaxed);
}

/// Whether notices are JSON.
pub(super) fn is_json() -> bool {
    IS_JSON.load(Ordering::Relaxed)
}

/// Writes a notice. Waits for room while the reader reads.
pub(super) fn write_notice(level: Level, text: &str) {
    push_line(notice_line(level, text), WhenQueueFull::Wait);
}

/// Writes a notice without waiting, for threads that handle events or signals.
pub(super) fn try_write_notice(level: Level, text: &str) {
    push_line(notice_line(level, text), WhenQueueFull::Drop);
}

/// Writes a message with an object, if notices are JSON. Waits as a notice does.
pub(super) fn write_object(level: Level, message: &str, name: &str, value: &serde_json::Value) {
    push_line(json_notice(level, &json!({"message": message, name: value})), WhenQueueFull::Wait);
}

fn notice_line(level: Level, text: &str) -> Vec<u8> {
    match is_json() {
        true => json_notice(level, &json!({ "message": text })),
        false => format!("host: {}\n", one_line(text)).into_bytes(),
    }
}

/// Formats a notice like a log line of `tracing-subscriber`.
fn json_notice(level: Level, fields: &serde_json::Value) -> Vec<u8> {
    let time = clock::rfc3339(clock::now());
    let line =
        json!({"timestamp": time, "level": level.as_str(), "fields": fields, "target": "host"});
    format!("{}\n", json_line(&line.to_string())).into_bytes()
}

/// Replaces the frame on the terminal. It is dropped and not counted if there is no room.
pub(super) fn try_write_frame(text: String) {
    push_line(text.into_bytes(), WhenQueueFull::LeaveOut);
}

/// Clears the frame.
pub(super) fn clear_frame() {
    if STDERR.state.lock().has_frame {
        try_write_frame(CLEAR_LINE.to_owned());
    }
}

/// Writes text unchanged. Waits for room while the reader reads.
pub(super) fn write_text(text: String) {
    push_line(text.into_bytes(), WhenQueueFull::Wait);
}

/// Waits until everything is written, while the reader reads, for at most
/// [`STDERR_FLUSH_TIMEOUT`].
pub(super) fn flush() {
    STDERR.flush(STDERR_FLUSH_TIMEOUT);
}

/// Counts lines that were dropped because standard error was not read or failed.
pub(super) fn dropped_lines() -> Arc<AtomicU64> {
    Arc::clone(&STDERR.dropped)
}

/// Writes panics to the queue as well: the default hook would wait for the reader.
pub(super) fn report_panics() {
    panic::set_hook(Box::new(report_panic));
}

fn report_panic(info: &PanicHookInfo<'_>) {
    let thread = thread::current();
    let name = thread.name().unwrap_or("<unnamed>");
    let place = info.location().map(|place| format!(" at {place}")).unwrap_or_default();
    let words = info.payload_as_str().unwrap_or("no message");
    try_write_notice(Level::ERROR, &format!("thread '{name}' panicked{place}: {words}"));
    let backtrace = Backtrace::capture();
    if backtrace.status() == BacktraceStatus::Captured {
        let text = backtrace.to_string();
        let line = match is_json() {
            true => notice_line(Level::ERROR, &text),
            false => format!("{text}\n").into_bytes(),
        };
        push_line(line, WhenQueueFull::Drop);
    }
    // The process may be about to end, so the report must be written now.
    flush();
}

/// Writes the lines of the log.
#[derive(Debug, Clone, Copy)]
pub(super) struct LogLines;

impl Write for LogLines {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let line = match std::str::from_utf8(event) {
            Ok(line) if is_json() => {
                let end = line.strip_suffix('\n').unwrap_or(line);
                format!("{}\n", json_line(end)).into_bytes()
            }
            // Fields of lines for people are already escaped.
            _ => event.to_vec(),
        };
        push_line(line, WhenQueueFull::Drop);
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for LogLines {
    type Writer = LogLines;

    fn make_writer(&self) -> LogLines {
        *self
    }
}

/// What happens to a line that does not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WhenQueueFull {
    /// The line waits while the reader reads, and is then dropped and counted.
    Wait,
    /// The line is dropped and counted.
    Drop,
    /// The line is dropped and not counted, because the next frame replaces it.
    LeaveOut,
}

#[derive(Debug)]
struct StderrQueue {
    state: Mutex<StderrState>,
    /// Notified whenever the state changes.
    changed: Condvar,
    bytes_max: usize,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct StderrState {
    lines: VecDeque<Vec<u8>>,
    /// Bytes of these lines and of the line that is being written.
    bytes: usize,
    /// When the reader last read, or the queue last stopped being empty.
    progressed: Instant,
    /// Dropped lines that were reported.
    reported: u64,
    /// The time of the last report.
    last_report: Option<Instant>,
    /// Whether the line of the cursor has a frame.
    has_frame: bool,
}

fn push_line(line: Vec<u8>, when_full: WhenQueueFull) {
    if *HAS_WRITER {
        STDERR.push(line, when_full);
    } else {
        let _ = io::stderr().write_all(&line);
    }
}

impl StderrQueue {
    fn new(bytes_max: usize) -> Self {
        StderrQueue {
            state: Mutex::new(StderrState {
                lines: VecDeque::new(),
                bytes: 0,
                progressed: Instant::now(),
                reported: 0,
                last_report: None,
                has_frame: false,
            }),
            changed: Condvar::new(),
            bytes_max,
            dropped: Arc::default(),
        }
    }

    fn push(&self, mut line: Vec<u8>, when_full: WhenQueueFull) {
        let mut state = self.state.lock();
        if state.has_frame && when_full != WhenQueueFull::LeaveOut {
            line.splice(..0, CLEAR_LINE.bytes());
        }
        let fits = |state: &StderrState| state.bytes + line.len() <= self.bytes_max;
        if when_full == WhenQueueFull::Wait && !fits(&state) {
            self.wait_while_read(&mut state, Duration::MAX, fits);
        }
        if !fits(&state) {
            if when_full != WhenQueueFull::LeaveOut {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            return;
        }
        if state.bytes == 0 {
            state.progressed = Instant::now();
        }
        state.has_frame = when_full == WhenQueueFull::LeaveOut && shows_something(&line);
        state.bytes += line.len();
        state.lines.push_back(line);
        drop(state);
        self.changed.notify_all();
    }

    fn flush(&self, timeout: Duration) {
        let is_empty = |state: &StderrState| state.bytes == 0;
        let mut state = self.state.lock();
        self.wait_while_read(&mut state, timeout, is_empty);
        if is_empty(&state) && self.unreported_lines(&state) > 0 {
            drop(self.report_dropped(state));
            self.wait_while_read(&mut self.state.lock(), timeout, is_empty);
        }
    }

    /// Waits for a condition while the reader is not stalled.
    fn wait_while_read(
        &self,
        state: &mut MutexGuard<'_, StderrState>,
        timeout: Duration,
        is_so: impl Fn(&StderrState) -> bool,
    ) {
        let started = Instant::now();
        while !is_so(state) {
            let patience = STDERR_STALL.saturating_sub(state.progressed.elapsed());
            let left = patience.min(timeout.saturating_sub(started.elapsed()));
            if left.is_zero() {
                break;
            }
            self.changed.wait_for(state, left);
        }
    }

    /// Writes lines forever. A line that cannot be written is counted as dropped.
    fn write_to(&self, output: &mut impl Write) {
        loop {
            let line = self.next_line();
            let is_written = line.chunks(PIECE_BYTES).all(|piece| {
                let is_written = write_piece(output, piece);
                self.state.lock().progressed = Instant::now();
                self.changed.notify_all();
                is_written
            });
            if !is_written {
                self.dropped.fetch_add(1, Ordering::Relaxed);
            }
            let mut state = self.state.lock();
            state.bytes -= line.len();
            state.progressed = Instant::now();
            if !is_written {
                // A report about it could not be written either.
                state.reported += 1;
            }
            drop(state);
            self.changed.notify_all();
        }
    }

    /// Waits for the next line. Reports dropped lines once the reader reads again.
    fn next_line(&self) -> Vec<u8> {
        let mut state = self.state.lock();
        loop {
            let mut patience = Duration::MAX;
            if self.unreported_lines(&state) > 0 && state.bytes < self.bytes_max / 2 {
                let since = state.last_report.map_or(REPORT_INTERVAL, |last| last.elapsed());
                patience = REPORT_INTERVAL.saturating_sub(since);
                if patience.is_zero() {
                    state = self.report_dropped(state);
                    continue;
                }
            }
            if let Some(line) = state.lines.pop_front() {
                return line;
            }
            self.changed.wait_for(&mut state, patience);
        }
    }

    /// Lines dropped since the last report.
    fn unreported_lines(&self, state: &StderrState) -> u64 {
        self.dropped.load(Ordering::Relaxed).saturating_sub(state.reported)
    }

    /// Logs how many lines were dropped. The log line needs the lock of the state, too.
    fn report_dropped<'a>(
        &'a self,
        mut state: MutexGuard<'a, StderrState>,
    ) -> MutexGuard<'a, StderrState> {
        let lines = self.unreported_lines(&state);
        state.reported += lines;
        state.last_report = Some(Instant::now());
        drop(state);
        tracing::warn!(lines, "log lines dropped: standard error was not read in time");
        self.state.lock()
    }
}

/// Whether a frame shows anything.
fn shows_something(frame: &[u8]) -> bool {
    let text = String::from_utf8_lossy(frame);
    let shown = text.rsplit(CLEAR_LINE).next().unwrap_or_default();
    !shown.trim().is_empty()
}

/// Writes a piece. Returns whether that succeeded.
#[expect(
    clippy::disallowed_methods,
    reason = "the end of a pipe cannot be waited for, and the thread does nothing else"
)]
fn write_piece(output: &mut impl Write, mut piece: &[u8]) -> bool {
    while !piece.is_empty() {
        match output.write(piece) {
            Ok(0) => return false,
            Ok(written) => piece = &piece[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Another process made the shared terminal or pipe non-blocking.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(AGAIN),
            Err(_) => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use proptest::prelude::*;
    use tracing_subscriber::fmt::format::JsonFields;

    use super::*;
    use crate::log_fields::OneLineFields;

    /// A reader that reads a piece on request.
    struct Reader {
        turns: Receiver<()>,
        read: Sender<Vec<u8>>,
    }

    impl Write for Reader {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.turns.recv().map_err(|_| io::ErrorKind::BrokenPipe)?;
            let _ = self.read.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn start(bytes_max: usize) -> (&'static StderrQueue, Sender<()>, Receiver<Vec<u8>>) {
        let queue: &StderrQueue = Box::leak(Box::new(StderrQueue::new(bytes_max)));
        let ((turn, turns), (read, has_read)) = (channel(), channel());
        thread::spawn(move || queue.write_to(&mut Reader { turns, read }));
        (queue, turn, has_read)
    }

    fn dropped(queue: &StderrQueue) -> u64 {
        queue.dropped.load(Ordering::Relaxed)
    }

    #[test]
    fn a_reader_that_does_not_read_costs_lines_and_no_time() {
        let (queue, turn, read) = start(100);
        let started = Instant::now();
        for number in 0..1000 {
            queue.push(format!("line {number:04}\n").into_bytes(), WhenQueueFull::Drop);
        }
        assert!(started.elapsed() < Duration::from_secs(5), "it waited");
        // Ten lines of ten bytes fit.
        assert_eq!(dropped(queue), 990);
        // A notice waits for a while, and later ones do not wait any more.
        queue.push(vec![b'x'; 10], WhenQueueFull::Wait);
        let waited = started.elapsed();
        assert!(waited >= STDERR_STALL / 2, "{waited:?}");
        queue.push(vec![b'x'; 10], WhenQueueFull::Wait);
        queue.flush(Duration::from_secs(60));
        assert!(started.elapsed() < waited + STDERR_STALL / 2, "it waited twice");
        assert_eq!(dropped(queue), 992);
        (0..10).for_each(|_| turn.send(()).unwrap());
        let lines: Vec<u8> = read.iter().take(10).flatten().collect();
        assert!(lines.starts_with(b"line 0000\nline 0001\n"));
        queue.flush(Duration::from_secs(60));
        assert_eq!(queue.state.lock().bytes, 0);
    }

    #[test]
    fn a_line_takes_the_frame_off_the_screen_first() {
        let (queue, turn, read) = start(1000);
        let push = |text: &str, when_full| queue.push(text.as_bytes().to_vec(), when_full);
        push("\r\u{1b}[2K[##  ] 50 %\r", WhenQueueFull::LeaveOut);
        push("a line\n", WhenQueueFull::Drop);
        push("another line\n", WhenQueueFull::Drop);
        push("\r\u{1b}[2K[### ] 75 %\r", WhenQueueFull::LeaveOut);
        push("\r\u{1b}[2K", WhenQueueFull::LeaveOut);
        push("the last line\n", WhenQueueFull::Wait);
        (0..6).for_each(|_| turn.send(()).unwrap());
        let written: Vec<_> =
            read.iter().take(6).map(|it| String::from_utf8(it).unwrap()).collect();
        assert_eq!(written[1], "\r\u{1b}[2Ka line\n");
        assert_eq!(written[2], "another line\n", "nothing stands there any more");
        assert_eq!(written[5], "the last line\n", "it was cleared before");
    }

    #[test]
    fn a_notice_in_json_is_one_line_of_the_logs_form() {
        for text in ["a\nb \u{1b}[2J \"c\"", "", "\u{2028}\u{202e}ü"] {
            let line =
                String::from_utf8(json_notice(Level::ERROR, &json!({"message": text}))).unwrap();
            assert_eq!(line.lines().count(), 1);
            let value: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
            assert_eq!(value["fields"]["message"], text);
            assert_eq!((&value["level"], &value["target"]), (&json!("ERROR"), &json!("host")));
            assert!(!line.trim_end().contains(standpipe_core::escape::is_unsafe), "{line:?}");
        }
    }

    #[test]
    fn a_notice_waits_for_a_reader_that_is_slow() {
        let (queue, turn, read) = start(20);
        thread::spawn(move || {
            for _ in 0..8 {
                thread::sleep(STDERR_STALL / 4);
                turn.send(()).unwrap();
            }
        });
        for number in 0..8 {
            queue.push(format!("{number:09}\n").into_bytes(), WhenQueueFull::Wait);
        }
        queue.flush(Duration::from_secs(60));
        assert_eq!((dropped(queue), read.iter().take(8).count()), (0, 8));
    }

    #[test]
    fn a_reader_that_is_gone_holds_up_nothing() {
        let (queue, turn, _read) = start(100);
        drop(turn);
        for _ in 0..100 {
            queue.push(b"a line\n".to_vec(), WhenQueueFull::Wait);
        }
        queue.flush(Duration::from_secs(60));
        assert_eq!((dropped(queue), queue.state.lock().bytes), (100, 0));
    }

    /// The log output of one event.
    fn logged(message: &str, is_json: bool) -> String {
        #[derive(Clone, Default)]
        struct Kept(Arc<Mutex<Vec<u8>>>);

        impl Write for Kept {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.lock().extend_from_slice(bytes);
                Ok(bytes.len())
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        let kept = Kept::default();
        let own = kept.clone();
        let lines = tracing_subscriber::fmt().with_writer(move || own.clone());
        let log = || {
            let error = io::Error::other(message.to_owned());
            tracing::info!(shown = %message, debugged = ?message, text = message, "{message}: {error}");
        };
        match is_json {
            true => {
                let lines = lines.json().fmt_fields(JsonFields::new());
                tracing::subscriber::with_default(lines.finish(), log);
            }
            false => {
                let lines = lines.with_ansi(false).fmt_fields(OneLineFields);
                tracing::subscriber::with_default(lines.finish(), log);
            }
        }
        let bytes = kept.0.lock().clone();
        let text = String::from_utf8(bytes).unwrap();
        if is_json { json_line(&text).into_owned() } else { text }
    }

    proptest! {
        #[test]
        fn an_event_is_exactly_one_line(message in "(\\PC|[\n\r\t\u{1b}\u{85}\u{9b}\u{202e}\u{2028}\u{2066}\u{0}]){0,40}") {
            let line = logged(&message, false);
            let (text, end) = line.split_at(line.len() - 1);
            prop_assert_eq!(end, "\n");
            prop_assert!(!text.contains(standpipe_core::escape::is_unsafe), "{:?}", text);
            let line = logged(&message, true);
            let json: serde_json::Value = serde_json::from_str(line.trim_end()).unwrap();
            prop_assert_eq!(json["fields"]["text"].as_str().unwrap(), &message);
            prop_assert_eq!(line.lines().count(), 1);
        }
    }
}
