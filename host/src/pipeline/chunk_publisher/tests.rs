//! Chunks become messages of one source, and each event is settled when its message is safe.

use std::thread;

use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::source::{Chunker, Progress};
use standpipe_core::event::{EventRefusal, Lines, Settled};
use standpipe_queue::Queue;
use standpipe_queue::faulty::{FaultyQueue, QueueFault};

/// A chunk_publisher, and a queue whose messages nobody receives.
struct Scene {
    queue: Arc<FaultyQueue>,
    publisher: MessagePublisher,
    abort: CancellationToken,
    chunker: Chunker,
    progress: Progress,
    publishing: thread::JoinHandle<()>,
    dead_letters: Arc<DeadLetterWriter>,
    _directory: TempDir,
}

impl Scene {
    async fn start(message_bytes_max: usize, max_delay: Duration) -> Self {
        let queue = Arc::new(FaultyQueue::new(Duration::from_secs(60), message_bytes_max));
        let (abort, runtime) = (CancellationToken::new(), Handle::current());
        let port: Arc<dyn Queue> = Arc::clone(&queue) as _;
        let publisher =
            MessagePublisher::start(port, "test".to_owned(), abort.clone(), &runtime).await;
        let progress = Progress::default();
        let (chunker, chunks, buffers) = Chunker::new(16, progress.clone());
        let directory = tempfile::tempdir().unwrap();
        let dead_letters = Arc::new(DeadLetterWriter::new(directory.path().to_owned()));
        let chunk_publisher = ChunkPublisher {
            chunks,
            buffers,
            publisher: publisher.clone(),
            max_delay,
            dead_letters: Arc::clone(&dead_letters),
        };
        let publishing = thread::spawn(|| chunk_publisher.run());
        Scene {
            queue,
            publisher,
            abort,
            chunker,
            progress,
            publishing,
            dead_letters,
            _directory: directory,
        }
    }

    /// Hands in a chunk of these events.
    fn submit(&self, source: EventSource, texts: &[&str]) {
        self.submit_lines(source, lines(texts));
    }

    fn submit_lines(&self, source: EventSource, lines: Lines) {
        struct Once(Option<Chunk>);
        impl crate::source::ChunkSource for Once {
            fn next_chunk(&mut self, _: &Chunker) -> standpipe_core::event::NextChunk {
                use standpipe_core::event::NextChunk;
                self.0.take().map_or(NextChunk::End, NextChunk::Chunk)
            }
        }
        self.chunker.count_read(0, lines.len());
        let chunk = self.chunker.make_chunk(lines, source);
        self.chunker.hand_out(&mut Once(Some(chunk)), &CancellationToken::new());
    }

    /// Ends the chunk_publisher, and receives and acknowledges all messages. Returns the source and events of each.
    async fn finish(self) -> (Vec<(String, Vec<String>)>, Settled, Arc<DeadLetterWriter>) {
        let Scene { queue, publisher, chunker, progress, publishing, dead_letters, .. } = self;
        drop(chunker);
        let mut messages = Vec::new();
        let is_done = || publishing.is_finished() && publisher.status().unconfirmed == 0;
        while !is_done() {
            let received = queue.receive(1).await.unwrap();
            for message in received {
                let entry = decode_message(&message.message, Vec::new()).unwrap();
                let entry = EventEntry::decode(&entry).unwrap();
                messages.push((entry.source.to_owned(), texts_of(&entry)));
                queue.acknowledge(&[message.handle]).await.unwrap();
            }
        }
        publishing.join().unwrap();
        (messages, progress.totals().settled, dead_letters)
    }
}

fn lines(texts: &[&str]) -> Lines {
    let mut lines = Lines { first_line: 1, ..Lines::default() };
    for (offset, text) in (0..).zip(texts) {
        let start = lines.bytes.len();
        lines.bytes.extend_from_slice(text.as_bytes());
        lines.push(start..lines.bytes.len(), offset);
        lines.bytes.push(b'\n');
    }
    lines
}

fn texts_of(entry: &EventEntry<'_>) -> Vec<String> {
    let mut start = 0;
    let texts = entry.events().map(|(end, refused)| {
        let text = str::from_utf8(&entry.texts[start..end as usize]).unwrap();
        start = end as usize;
        match refused.unwrap() {
            None => text.to_owned(),
            Some(refusal) => format!("{text} ({refusal})"),
        }
    });
    texts.collect()
}

fn message(source: &str, events: &[&str]) -> (String, Vec<String>) {
    (source.to_owned(), events.iter().map(|&event| event.to_owned()).collect())
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn chunks_of_a_source_share_a_message_and_others_do_not() {
    let scene = Scene::start(1 << 20, LONG).await;
    scene.submit("web".into(), &["{\"a\":1}", "{\"b\":2}"]);
    scene.submit("web".into(), &["{\"c\":3}"]);
    scene.submit("app".into(), &["{\"d\":4}"]);
    let (messages, settled, _) = scene.finish().await;
    let web = message("web", &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
    assert_eq!(messages, [web, message("app", &["{\"d\":4}"])]);
    assert_eq!(settled, Settled { delivered: 4, ..Settled::default() });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_not_full_is_published_after_the_delay() {
    let scene = Scene::start(1 << 20, Duration::from_millis(20)).await;
    scene.submit("web".into(), &["{}"]);
    while scene.queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(scene.finish().await.0, [message("web", &["{}"])]);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_go_along_and_what_was_not_read_whole_becomes_a_dead_letter() {
    let scene = Scene::start(1 << 20, LONG).await;
    let mut lines = lines(&["{\"a\":1}"]);
    let at = lines.bytes.len();
    lines.bytes.extend_from_slice(b"refusedlong");
    lines.push_error(at..at + 7, 1, LineError::Refused(EventRefusal::NoType));
    lines.push_error(at + 7..at + 11, 2, LineError::TooLong { bytes: 9_000_000 });
    scene.submit_lines("web".into(), lines);
    let (messages, settled, dead_letters) = scene.finish().await;
    assert_eq!(messages, [message("web", &["{\"a\":1}", "refused (event has no type)"])]);
    assert_eq!((settled.delivered, settled.dead), (2, 1));
    assert_eq!(dead_letters.report().dead_letters[&Reason::EventTooLong], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_is_split() {
    let scene = Scene::start(1000, LONG).await;
    // Random text does not compress to less than half.
    let text = |length: usize| -> String {
        std::iter::repeat_with(|| fastrand::char('a'..='z')).take(length).collect()
    };
    let (small, large) = (text(600), text(3000));
    scene.submit("web".into(), &[&small, &small, &large, &small, &text(700), &text(900)]);
    let (messages, settled, dead_letters) = scene.finish().await;
    assert_eq!(messages.iter().map(|(_, events)| events.len()).sum::<usize>(), 5);
    assert_eq!((settled.delivered, settled.dead), (5, 1));
    assert_eq!(dead_letters.report().dead_letters[&Reason::MessageTooLarge], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_abort_leaves_events_with_a_durable_source_and_dead_letters_others() {
    for (source, expected) in [
        (EventSource::durable("web"), Settled { undelivered: 2, ..Settled::default() }),
        ("web".into(), Settled { dead: 2, ..Settled::default() }),
    ] {
        let scene = Scene::start(1 << 20, Duration::ZERO).await;
        scene.queue.inject(std::iter::repeat_n(Some(QueueFault::Refused), 1000));
        scene.submit(source, &["{\"a\":1}", "{\"b\":2}"]);
        while scene.publisher.status().unconfirmed == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        scene.abort.cancel();
        scene.queue.clear_faults();
        let (messages, settled, _) = scene.finish().await;
        assert_eq!((messages, settled), (Vec::new(), expected));
    }
}
