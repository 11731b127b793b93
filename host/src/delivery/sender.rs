use std::pin::pin;
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{JoinError, JoinHandle, JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep_until};

use super::Batch;
use super::attempt::{Attempt, Attempts, Rest};
use super::lane::Lane;
use super::overflow::{Overflow, Stored};
use super::port::RequestError;
use super::room::Room;
use super::stream::Stream;
use super::waiting::{Parcel, Pending, Waiting};
use crate::dead::Reason;

/// Writes one stream's batches until its queue is closed and empty, and every
/// record accepted, buried or given up.
///
/// It alone decides what goes out next. Batches go out in the order in which
/// they came; only what is sent again may be overtaken.
pub(super) struct Sender {
    pub(super) stream: Arc<Stream>,
    pub(super) attempts: Arc<Attempts>,
    pub(super) room: Arc<Room>,
    pub(super) overflow: Arc<Overflow>,
    pub(super) lane: Lane,
    pub(super) waiting: Waiting,
    pub(super) under_way: JoinSet<Attempt>,
    /// The batch that is read back from disk.
    pub(super) loading: Option<JoinHandle<Option<Pending>>>,
}

impl Sender {
    pub(super) async fn serve(mut self, mut queue: UnboundedReceiver<Parcel>) {
        let attempts = Arc::clone(&self.attempts);
        let mut given_up = pin!(attempts.given_up());
        let mut is_open = true;
        loop {
            let wake = self.launch();
            if !is_open && self.is_idle() {
                return;
            }
            tokio::select! {
                biased;
                () = &mut given_up => break,
                Some(done) = self.under_way.join_next(), if !self.under_way.is_empty() => {
                    self.take_back(done).await;
                }
                loaded = loaded(&mut self.loading), if self.loading.is_some() => {
                    self.loading = None;
                    loaded.into_iter().for_each(|pending| self.waiting.push_front(pending));
                }
                parcel = queue.recv(), if is_open => match parcel {
                    Some(parcel) => self.waiting.push(parcel),
                    None => is_open = false,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
        queue.close();
        while let Some(parcel) = queue.recv().await {
            self.waiting.push(parcel);
        }
        self.give_up().await;
    }

    /// Send what can be sent now. Tells when there will be more, if that is a
    /// matter of time.
    fn launch(&mut self) -> Option<Instant> {
        loop {
            self.load_next();
            if self.waiting.is_empty() {
                return None;
            }
            let now = Instant::now();
            let at = self.lane.next(now)?;
            if at > now {
                return Some(at);
            }
            let Some(pending) = self.waiting.next(now) else { return self.waiting.next_due(now) };
            let passage = self.lane.sent(now, &pending.batch);
            let (attempts, stream) = (Arc::clone(&self.attempts), Arc::clone(&self.stream));
            self.under_way.spawn(async move { attempts.put(&stream, passage, pending).await });
        }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_empty() && self.loading.is_none()
    }

    /// Begin to read the next batch back, if it is on disk.
    fn load_next(&mut self) {
        if self.loading.is_none()
            && let Some((stored, tries)) = self.waiting.next_stored()
        {
            let (stream, room) = (Arc::clone(&self.stream), Arc::clone(&self.room));
            self.loading = Some(tokio::spawn(async move {
                let share = room.take(&stream.taken, stored.held_bytes()).await;
                let batch = load(stream, stored).await?;
                Some(Pending { batch: Arc::new(batch), share, tries })
            }));
        }
    }

    async fn take_back(&mut self, done: Result<Attempt, JoinError>) {
        let Attempt { passage, pace, rest } = match done {
            Ok(attempt) => attempt,
            Err(error) => {
                tracing::error!(stream = %self.stream.name, "a delivery failed: {error}");
                self.lane.lost();
                return;
            }
        };
        pace.tell(&mut self.lane, passage);
        self.stream.set_held(self.lane.is_held());
        if let Some(error) = self.take_rest(rest) {
            self.bury_waiting(Reason::StreamNotFound, error.to_string()).await;
        }
        if self.lane.is_held() {
            self.put_aside().await;
        }
    }

    /// Put what is left of a request where it waits. Tells if the stream has not
    /// existed for too long.
    fn take_rest(&mut self, rest: Rest) -> Option<RequestError> {
        match rest {
            Rest::Nothing => {}
            Rest::Again(pending, pause) => {
                self.waiting.push_again(Instant::now() + pause, pending);
            }
            Rest::Halves(halves) => {
                halves.into_iter().for_each(|half| self.waiting.push_suspect(half));
            }
            Rest::Missing(error) => return Some(error),
        }
        None
    }

    /// Write everything out but for one batch, with which the stream is tried:
    /// a held stream leaves the memory to the others.
    async fn put_aside(&mut self) {
        let mut is_first = true;
        for parcel in self.waiting.take_all() {
            let parcel = match parcel {
                Parcel::Held(pending) if !std::mem::take(&mut is_first) => {
                    self.store(pending).await
                }
                parcel => parcel,
            };
            self.waiting.push(parcel);
        }
    }

    async fn store(&self, pending: Pending) -> Parcel {
        let (overflow, stream) = (Arc::clone(&self.overflow), Arc::clone(&self.stream));
        let store = spawn_blocking(move || match overflow.store(&stream.backlog, &pending.batch) {
            Ok(stored) => Parcel::Stored(stored, pending.tries),
            Err(_) => Parcel::Held(pending),
        });
        store.await.expect("writing a file does not panic")
    }

    /// The time to deliver is over.
    async fn give_up(&mut self) {
        while let Some(done) = self.under_way.join_next().await {
            if let Ok(Attempt { rest, .. }) = done {
                self.take_rest(rest);
            }
        }
        if let Some(loading) = self.loading.take()
            && let Ok(Some(pending)) = loading.await
        {
            self.waiting.push_front(pending);
        }
        self.bury_waiting(Reason::GivenUp, self.stream.why_given_up()).await;
    }

    async fn bury_waiting(&mut self, reason: Reason, detail: String) {
        let detail: Arc<str> = detail.into();
        for parcel in self.waiting.take_all() {
            let (attempts, stream) = (Arc::clone(&self.attempts), Arc::clone(&self.stream));
            let detail = Arc::clone(&detail);
            let (batch, tries) = match parcel {
                Parcel::Held(Pending { batch, tries, .. }) => (batch, tries),
                Parcel::Stored(stored, tries) => match load(Arc::clone(&stream), stored).await {
                    Some(batch) => (Arc::new(batch), tries),
                    None => continue,
                },
            };
            self.attempts.letters.room().await;
            let bury = move || attempts.bury_all(&stream, &batch, reason, &detail, tries.attempts);
            spawn_blocking(bury).await.expect("writing letters does not panic");
        }
    }
}

/// What has been read back, once it has.
async fn loaded(loading: &mut Option<JoinHandle<Option<Pending>>>) -> Option<Pending> {
    match loading {
        Some(loading) => loading.await.ok().flatten(),
        None => std::future::pending().await,
    }
}

/// Read a batch back. Where the disk fails its events are not delivered.
async fn load(stream: Arc<Stream>, stored: Stored) -> Option<Batch> {
    let load = spawn_blocking(move || stored.load());
    let loaded = load.await.expect("reading a file does not panic");
    loaded.inspect_err(|error| stream.mention_unread(error)).ok()
}
