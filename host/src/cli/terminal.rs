//! The terminal that progress bars draw on. Frames go through the bounded queue of standard error,
//! so a terminal that is not read does not stop a run.

use std::io;

use indicatif::{ProgressDrawTarget, TermLike};
use parking_lot::Mutex;

use super::stderr;

/// The terminal behind standard error, for progress bars. A terminal that is not read blocks
/// neither the bar nor the run.
#[derive(Debug)]
pub(super) struct Terminal {
    frame: Mutex<String>,
}

impl Terminal {
    /// Returns the draw target of a bar.
    pub(super) fn target() -> ProgressDrawTarget {
        ProgressDrawTarget::term_like(Box::new(Terminal { frame: Mutex::default() }))
    }

    fn add(&self, text: &str) -> io::Result<()> {
        self.frame.lock().push_str(text);
        Ok(())
    }

    fn move_cursor(&self, count: usize, direction: char) -> io::Result<()> {
        if count == 0 { Ok(()) } else { self.add(&format!("\u{1b}[{count}{direction}")) }
    }
}

impl TermLike for Terminal {
    fn width(&self) -> u16 {
        // The size may have changed.
        console::Term::stderr().size_checked().map_or(80, |(_, columns)| columns)
    }

    fn move_cursor_up(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'A')
    }

    fn move_cursor_down(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'B')
    }

    fn move_cursor_right(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'C')
    }

    fn move_cursor_left(&self, count: usize) -> io::Result<()> {
        self.move_cursor(count, 'D')
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.add(text)?;
        self.add("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.add(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        self.add("\r\u{1b}[2K")
    }

    fn flush(&self) -> io::Result<()> {
        let mut frame = self.frame.lock();
        if !frame.is_empty() {
            // Keeps text that the terminal echoes, such as ^C, on the same line.
            frame.push('\r');
            stderr::try_write_frame(std::mem::take(&mut frame));
        }
        Ok(())
    }
}
