//! Writes the log lines of one catalog run to a file, up to a limit.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tracing::dispatcher::{self, Dispatch};
use tracing::subscriber::DefaultGuard;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::log_fields::OneLineFields;
use standpipe_core::private;

/// Maximum bytes of a run's log: some thousands of lines. Further lines are dropped.
const CATALOG_LOG_BYTES_MAX: u64 = 1024 * 1024;

/// Also writes the log lines of this thread to a file, until the guard is dropped. The lines still
/// go to the program's log.
#[expect(clippy::disallowed_types, reason = "a subscriber writes to its guard")]
pub(super) fn log_to_file(path: &Path, level: Level) -> io::Result<DefaultGuard> {
    let file = private::file_options().write(true).create(true).truncate(true).open(path)?;
    let file = BoundedFile { file, left: CATALOG_LOG_BYTES_MAX };
    // The names of all crates of Standpipe start with this prefix.
    let filter = EnvFilter::new(format!("warn,standpipe={level}"));
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .fmt_fields(OneLineFields)
        .with_writer(std::sync::Mutex::new(file))
        .with_filter(filter);
    let before = dispatcher::get_default(Clone::clone);
    let both = Registry::default().with(lines).with(ForwardLayer(before));
    Ok(tracing::subscriber::set_default(both))
}

/// Passes events on to the dispatcher that was active before.
struct ForwardLayer(Dispatch);

impl<S: Subscriber + for<'span> LookupSpan<'span>> Layer<S> for ForwardLayer {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if self.0.enabled(event.metadata()) {
            self.0.event(event);
        }
    }
}

/// A file with a size limit, because a log must not fill a disk.
struct BoundedFile {
    file: File,
    left: u64,
}

impl Write for BoundedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = bytes.len() as u64;
        if length <= self.left {
            self.file.write_all(bytes)?;
            self.left -= length;
        } else if self.left > 0 {
            self.left = 0;
            self.file.write_all(b"\nthe log has reached its limit; later lines are dropped\n")?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_has_the_level_that_is_set_and_an_end() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.log");
        let guard = log_to_file(&path, Level::DEBUG).unwrap();
        tracing::debug!("a small thing");
        for _ in 0..20_000 {
            tracing::info!("{}", "x".repeat(100));
        }
        drop(guard);
        tracing::info!("not here");
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("a small thing") && text.contains("the log has reached its limit"));
        assert!(!text.contains("not here"));
        assert!(text.len() as u64 <= CATALOG_LOG_BYTES_MAX + 100);
        let guard = log_to_file(&path, Level::ERROR).unwrap();
        tracing::info!("a small thing");
        drop(guard);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "");
    }
}
