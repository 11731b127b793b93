//! Tests events that a program submits: limits, waiting, closing, one line per event, and an
//! outcome for every caller.

use std::pin::pin;
use std::task::{Context, Wake, Waker};
use std::thread::JoinHandle;
use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::task::yield_now;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::source::{Chunker, Progress};
use standpipe_core::event::{Chunk, LineError, OutputOutcome, Reason, scan};

/// Timeout for the next chunk.
const DEADLINE: Duration = Duration::from_secs(60);

fn room(events: usize) -> SubmissionLimits {
    SubmissionLimits { events, ..SubmissionLimits::default() }
}

/// Starts a reader. Also returns the receiver of its chunks.
fn read(submissions: SubmissionQueue) -> (JoinHandle<()>, Receiver<Chunk>) {
    let (chunker, chunks, _) = Chunker::new(1, Progress::default());
    let reader = SubmissionReader::new(submissions, "test".into());
    (chunker.spawn("submissions", reader, CancellationToken::new()).unwrap(), chunks)
}

fn texts_of(chunk: &Chunk) -> Vec<Vec<u8>> {
    texts(chunk).into_iter().map(<[u8]>::to_vec).collect()
}

fn texts(chunk: &Chunk) -> Vec<&[u8]> {
    chunk.lines.iter().map(|line| chunk.line_text(*line)).collect()
}

#[tokio::test]
async fn each_is_told_how_its_event_ended() {
    let (submitter, submissions) = Submitter::new(room(10));
    let receipts = ["a", "b", "c", "d"].map(|text| submitter.try_submit(text.into()).unwrap());
    let (reader, chunks) = read(submissions);
    let chunk = chunks.recv_timeout(DEADLINE).unwrap();
    assert_eq!(texts(&chunk), [b"a", b"b", b"c", b"d"]);
    chunk.ack.settle(0, OutputOutcome::Delivered);
    chunk.ack.filter_event(1);
    let [a, b, c, d] = receipts;
    chunk.ack.checkpoint();
    assert_eq!((a.await, b.await), (Ok(EventOutcome::Delivered), Ok(EventOutcome::Filtered)));
    assert_eq!(submitter.stats().unsettled, 2);
    chunk.ack.settle(2, OutputOutcome::Dead(Reason::GivenUp));
    drop(chunk);
    assert_eq!(
        (c.await, d.await),
        (Ok(EventOutcome::DeadLettered(Reason::GivenUp)), Err(SubmitError::Abandoned))
    );
    submitter.close();
    submitter.wait_until_settled().await;
    reader.join().unwrap();
    let report = submitter.stats();
    let ended = (report.delivered, report.filtered, report.dead, report.abandoned);
    assert_eq!((report.accepted, ended), (4, (1, 1, 1, 1)));
    assert_eq!((report.queued, report.queued_bytes, report.unsettled), (0, 0, 0));
}

/// Reads a counter at the moment at which a result arrives.
struct UnsettledOnWake {
    submitter: Submitter,
    unsettled: AtomicUsize,
}

impl Wake for UnsettledOnWake {
    fn wake(self: Arc<Self>) {
        self.unsettled.store(self.submitter.stats().unsettled, Ordering::Relaxed);
    }
}

#[test]
fn a_known_result_is_counted_before_it_is_known() {
    let (submitter, submissions) = Submitter::new(room(10));
    let mut receipt = pin!(submitter.try_submit("a".into()).unwrap());
    let _other = submitter.try_submit("b".into()).unwrap();
    let waker = Arc::new(UnsettledOnWake { submitter, unsettled: AtomicUsize::new(usize::MAX) });
    let awoken = Waker::from(Arc::clone(&waker));
    assert!(receipt.as_mut().poll(&mut Context::from_waker(&awoken)).is_pending());
    let (_reader, chunks) = read(submissions);
    let chunk = chunks.recv_timeout(DEADLINE).unwrap();
    chunk.ack.settle(0, OutputOutcome::Delivered);
    chunk.ack.checkpoint();
    assert_eq!(waker.unsettled.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn what_there_is_no_room_for_comes_back_or_waits() {
    let (submitter, submissions) = Submitter::new(room(1));
    let first = submitter.submit("1".into());
    assert_eq!(submitter.try_submit("2".into()).unwrap_err(), TrySubmitError::Full("2".into()));
    let waiting = tokio::spawn(submitter.submit("3".into()));
    yield_now().await;
    assert_eq!((submitter.stats().accepted, submitter.stats().refused_full), (1, 1));
    let (_reader, chunks) = read(submissions);
    let settle = || {
        let chunk = chunks.recv_timeout(DEADLINE).unwrap();
        chunk.ack.settle(0, OutputOutcome::Delivered);
        texts(&chunk).concat()
    };
    assert_eq!((settle(), first.await), (b"1".to_vec(), Ok(EventOutcome::Delivered)));
    // The second event was accepted when the first one was settled.
    let third = tokio::task::spawn_blocking(move || chunks.recv_timeout(DEADLINE).unwrap());
    let chunk = third.await.unwrap();
    assert_eq!(texts(&chunk), [b"3"]);
    chunk.ack.settle(0, OutputOutcome::Delivered);
    drop(chunk);
    assert_eq!(waiting.await.unwrap(), Ok(EventOutcome::Delivered));
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let (submitter, _submissions) = Submitter::new(SubmissionLimits { events: 10, bytes: 0 });
    let half = Bytes::from(vec![b' '; standpipe_core::limits::EVENT_BYTES_MAX / 2 + 1]);
    drop(submitter.try_submit(half.clone()).unwrap());
    assert!(matches!(submitter.try_submit(half), Err(TrySubmitError::Full(_))));
    drop(submitter.try_submit("small".into()).unwrap());
    assert_eq!(submitter.stats().unsettled, 2);
    // A refused event does not use the limits of others.
    assert_eq!(submitter.0.events.available_permits(), 8);
}

#[tokio::test]
async fn nothing_is_accepted_once_it_is_closed() {
    let (submitter, submissions) = Submitter::new(room(1));
    let accepted = submitter.try_submit("1".into()).unwrap();
    let waiting = tokio::spawn(submitter.submit("2".into()));
    yield_now().await;
    submitter.close();
    assert_eq!(waiting.await.unwrap(), Err(SubmitError::Closed("2".into())));
    assert_eq!(submitter.try_submit("3".into()).unwrap_err(), TrySubmitError::Closed("3".into()));
    assert_eq!(submitter.stats().refused_closed, 2);
    let (reader, chunks) = read(submissions);
    let chunk = chunks.recv_timeout(DEADLINE).unwrap();
    chunk.ack.settle(0, OutputOutcome::Delivered);
    drop(chunk);
    assert_eq!(accepted.await, Ok(EventOutcome::Delivered));
    reader.join().unwrap();
}

#[tokio::test]
async fn nobody_waits_for_ever_where_nobody_takes_the_events() {
    let (submitter, submissions) = Submitter::new(room(3));
    let queued = submitter.try_submit("1".into()).unwrap();
    drop(submissions);
    assert_eq!(queued.await, Err(SubmitError::Abandoned));
    assert!(matches!(submitter.try_submit("2".into()), Err(TrySubmitError::Closed(_))));
    submitter.wait_until_settled().await;

    let (submitter, submissions) = Submitter::new(room(3));
    let queued = submitter.try_submit("1".into()).unwrap();
    let (reader, chunks) = read(submissions);
    drop(chunks);
    // The queued chunk is dropped with the receiver. The next one finds that the receiver is gone.
    let next = submitter.try_submit("2".into());
    reader.join().unwrap();
    assert_eq!(queued.await, Err(SubmitError::Abandoned));
    submitter.wait_until_settled().await;
    assert!(matches!(submitter.try_submit("3".into()), Err(TrySubmitError::Closed(_))));
    let abandoned = 1 + u64::from(next.is_ok());
    assert_eq!((submitter.stats().abandoned, submitter.stats().queued), (abandoned, 0));
}

#[test]
fn an_event_is_one_line() {
    let (submitter, submissions) = Submitter::new(room(10));
    for text in ["{\n \"a\": 1\r\n}\n", "{}\r\n", "\n", "", "{\"\\\"\n\":1}"] {
        drop(submitter.try_submit(text.into()).unwrap());
    }
    let (_reader, chunks) = read(submissions);
    let chunk = chunks.recv_timeout(DEADLINE).unwrap();
    assert_eq!(texts(&chunk), [&b"{  \"a\": 1  }"[..], b"{}", b"", b"", b"{\"\\\"\n\":1}"]);
    submitter.close();
}

#[test]
fn of_an_event_that_is_too_long_the_start_is_kept() {
    let (submitter, submissions) = Submitter::new(room(10));
    let bytes = standpipe_core::limits::EVENT_BYTES_MAX + 1;
    drop(submitter.try_submit(vec![b'x'; bytes].into()).unwrap());
    assert_eq!(submitter.stats().queued_bytes, limits::EVENT_PREFIX_BYTES);
    let (_reader, chunks) = read(submissions);
    let chunk = chunks.recv_timeout(DEADLINE).unwrap();
    assert_eq!(chunk.errors, [(0, LineError::TooLong { bytes: bytes as u64 })]);
    assert_eq!(texts(&chunk)[0].len(), limits::EVENT_PREFIX_BYTES);
    submitter.close();
}

/// Texts that are valid, nearly valid, or invalid JSON.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let token = select(vec![
        "{",
        "}",
        "[",
        "]",
        ":",
        ",",
        "\"",
        "\\",
        "\n",
        "\r",
        "\r\n",
        " ",
        "1",
        "true",
        "\"a\"",
        "\"a\\\"\"",
        "{\"a\":1}",
        "{\n\"a\"\r\n:\n[\n]\n}",
        "\0",
        "\u{2028}",
    ]);
    let tokens = vec(token, 0..12).prop_map(|tokens| tokens.concat().into_bytes());
    prop_oneof![4 => tokens, 1 => vec(any::<u8>(), 0..40)]
}

proptest! {
    #[test]
    fn whatever_is_handed_in_comes_out_in_order_and_means_the_same(texts in vec(text(), 1..20)) {
        let (submitter, submissions) = Submitter::new(room(100));
        for text in &texts {
            drop(submitter.try_submit(Bytes::copy_from_slice(text)).unwrap());
        }
        submitter.close();
        let (reader, chunks) = read(submissions);
        let lines: Vec<Vec<u8>> = chunks
            .iter()
            .flat_map(|chunk| texts_of(&chunk))
            .collect();
        reader.join().unwrap();
        prop_assert_eq!(lines.len(), texts.len());
        for (line, text) in lines.iter().zip(&texts) {
            let parsed = |text: &[u8]| serde_json::from_slice::<serde_json::Value>(text).ok();
            prop_assert_eq!(parsed(line), parsed(text), "{:?}", String::from_utf8_lossy(text));
            let is_one = memchr::memchr2(b'\n', b'\r', line).is_none();
            prop_assert!(is_one || scan(line, standpipe_core::limits::EVENT_NESTING_MAX).is_err(), "{:?}", line);
        }
        prop_assert_eq!(submitter.stats().abandoned, texts.len() as u64);
    }
}
