//! Collects what a process writes, and waits for words in it.

use std::io::Read;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// What a process writes, collected while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Transcript {
    /// Collect until the writer is done.
    pub(crate) fn collect_from(mut source: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let transcript = Transcript::default();
        let own = transcript.clone();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = source.read(&mut buffer) {
                own.append(&buffer[..read]);
            }
        });
        (transcript, thread)
    }

    fn append(&self, bytes: &[u8]) {
        let (text, changed) = &*self.0;
        text.lock().extend_from_slice(bytes);
        changed.notify_all();
    }

    /// Everything so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().clone()
    }

    /// Wait until these words have been written; whether they were in time.
    pub(crate) fn wait_for(&self, words: &str, deadline: Duration) -> bool {
        let (text, changed) = &*self.0;
        let mut text = text.lock();
        let lacks_them = |text: &mut Vec<u8>| !String::from_utf8_lossy(text).contains(words);
        !changed.wait_while_for(&mut text, lacks_them, deadline).timed_out()
    }
}
