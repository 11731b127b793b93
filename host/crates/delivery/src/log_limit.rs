//! Limits the log lines of each kind per minute, so that thousands of streams cannot fill the log.
//! Further lines are counted.

use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

/// Maximum log lines of one kind about delivery streams in [`STREAM_LOG_WINDOW`]. Further ones are
/// counted.
const STREAM_LOG_LINES_MAX: u64 = 30;

/// The time in which these lines are counted.
const STREAM_LOG_WINDOW: Duration = Duration::from_secs(60);

/// Keeps the log readable if thousands of streams log something: of each kind of line, some are
/// written per minute, and the others are counted.
#[derive(Debug, Default)]
pub(super) struct LogLimit(Mutex<[LogWindow; LogKind::ALL]>);

/// The kind of a line about a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogKind {
    /// Records are kept, and sent again later.
    Trouble,
    /// A stream accepts records again.
    Recovered,
    /// Records could not be read back from disk.
    Unread,
    /// Whether events are aggregated.
    Aggregation,
    /// Events chose a stream above the limit of streams in use.
    Refused,
}

#[derive(Debug, Clone, Copy, Default)]
struct LogWindow {
    started: Option<Instant>,
    lines: u64,
    suppressed: u64,
}

impl LogKind {
    const ALL: usize = LogKind::Refused as usize + 1;

    fn description(self) -> &'static str {
        match self {
            LogKind::Trouble => "streams that do not accept records",
            LogKind::Recovered => "streams that accept records again",
            LogKind::Unread => "records that could not be read back from disk",
            LogKind::Aggregation => "the aggregation of streams",
            LogKind::Refused => "streams beyond max_dynamic_streams",
        }
    }
}

impl LogLimit {
    /// Whether a line of this kind should be written now.
    pub(super) fn admits(&self, kind: LogKind) -> bool {
        let (is_admitted, suppressed) = self.count_line(kind, Instant::now());
        if suppressed > 0 {
            let (words, window) = (kind.description(), STREAM_LOG_WINDOW.as_secs());
            tracing::warn!(
                "{suppressed} more messages about {words} were suppressed: at most {} of a kind are logged in {window} s",
                STREAM_LOG_LINES_MAX
            );
        }
        is_admitted
    }

    /// Whether the line should be written, and how many of the previous window were not.
    fn count_line(&self, kind: LogKind, now: Instant) -> (bool, u64) {
        let mut windows = self.0.lock();
        let window = &mut windows[kind as usize];
        let is_over = window.started.is_none_or(|started| now - started >= STREAM_LOG_WINDOW);
        let mut suppressed = 0;
        if is_over {
            suppressed = window.suppressed;
            *window = LogWindow { started: Some(now), ..LogWindow::default() };
        }
        if window.lines == STREAM_LOG_LINES_MAX {
            window.suppressed += 1;
            return (false, 0);
        }
        window.lines += 1;
        (true, suppressed)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn of_each_kind_a_few_lines_are_written_in_a_minute_and_the_others_counted() {
        let (log, start) = (LogLimit::default(), Instant::now());
        let most = STREAM_LOG_LINES_MAX;
        let admitted =
            (0..most + 7).filter(|_| log.count_line(LogKind::Trouble, start) == (true, 0)).count();
        assert_eq!(admitted as u64, most);
        assert_eq!(log.count_line(LogKind::Recovered, start), (true, 0), "kinds are counted apart");
        let later = start + STREAM_LOG_WINDOW;
        assert_eq!(log.count_line(LogKind::Trouble, later - Duration::from_millis(1)), (false, 0));
        assert_eq!(log.count_line(LogKind::Trouble, later), (true, 8));
        assert_eq!(log.count_line(LogKind::Trouble, later), (true, 0), "it is logged once");
    }
}
