//! Collects what a process writes, and waits for words in it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What a process writes, collected while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Transcript {
    /// Collect until the writer is done.
    pub(crate) fn of(mut source: impl Read + Send + 'static) -> (Self, JoinHandle<()>) {
        let transcript = Transcript::default();
        let own = transcript.clone();
        let thread = thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = source.read(&mut buffer) {
                own.add(&buffer[..read]);
            }
        });
        (transcript, thread)
    }

    fn add(&self, bytes: &[u8]) {
        let (text, changed) = &*self.0;
        text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        changed.notify_all();
    }

    /// Everything so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Wait until these words have been written; whether they were in time.
    pub(crate) fn wait_for(&self, words: &str, deadline: Duration) -> bool {
        let (text, changed) = &*self.0;
        let text = text.lock().unwrap_or_else(PoisonError::into_inner);
        let lacks_them = |text: &mut Vec<u8>| !String::from_utf8_lossy(text).contains(words);
        let (_text, waited) = changed
            .wait_timeout_while(text, deadline, lacks_them)
            .unwrap_or_else(PoisonError::into_inner);
        !waited.timed_out()
    }
}
