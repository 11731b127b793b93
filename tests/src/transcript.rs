//! Collects the output of a process, and waits for words in it.

use std::io::Read;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The output of a process, collected while it runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct Transcript(Arc<(Mutex<Vec<u8>>, Condvar)>);

impl Transcript {
    /// Collects until the writer closes the pipe.
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

    /// The output so far.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.0.lock().clone()
    }

    /// Waits until these words have been written. Returns whether they came in time.
    pub(crate) fn wait_for(&self, words: &str, deadline: Duration) -> bool {
        let (text, changed) = &*self.0;
        let mut text = text.lock();
        let lacks_them = |text: &mut Vec<u8>| !String::from_utf8_lossy(text).contains(words);
        !changed.wait_while_for(&mut text, lacks_them, deadline).timed_out()
    }
}
