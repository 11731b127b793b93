use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;

use tokio::task::yield_now;

use super::*;
use crate::event::{Chunk, Damage, Outcome, Totals};

fn room(events: usize) -> Room {
    Room { events, ..Room::default() }
}

/// A gatherer at work, and where its chunks come out.
fn gather(submissions: Submissions) -> (JoinHandle<()>, Receiver<Chunk>) {
    let (chunks, out) = crossbeam_channel::bounded(1);
    let gatherer = Gatherer {
        submissions,
        source: "test".into(),
        chunks,
        buffers: crossbeam_channel::never(),
        totals: Arc::<Totals>::default(),
        bytes_read: Arc::<AtomicU64>::default(),
    };
    (std::thread::spawn(|| gatherer.run()), out)
}

fn texts(chunk: &Chunk) -> Vec<&[u8]> {
    chunk.lines.iter().map(|line| chunk.text(*line)).collect()
}

#[tokio::test]
async fn each_is_told_how_its_event_ended() {
    let (submitter, submissions) = Submitter::new(room(10));
    let receipts = ["a", "b", "c", "d"].map(|text| submitter.try_submit(text.into()).unwrap());
    let (gatherer, chunks) = gather(submissions);
    let chunk = chunks.recv().unwrap();
    assert_eq!(texts(&chunk), [b"a", b"b", b"c", b"d"]);
    chunk.ack.settle(0, Outcome::Delivered);
    chunk.ack.filter(1);
    let [a, b, c, d] = receipts;
    chunk.ack.record();
    assert_eq!((a.await, b.await), (Ok(Ended::Delivered), Ok(Ended::Filtered)));
    assert_eq!(submitter.report().unsettled, 2);
    chunk.ack.settle(2, Outcome::Dead);
    drop(chunk);
    assert_eq!((c.await, d.await), (Ok(Ended::Dead), Err(NotSettled::Abandoned)));
    submitter.close();
    submitter.settled().await;
    gatherer.join().unwrap();
    let report = submitter.report();
    let ended = (report.delivered, report.filtered, report.dead, report.abandoned);
    assert_eq!((report.accepted, ended), (4, (1, 1, 1, 1)));
    assert_eq!((report.queued, report.queued_bytes, report.unsettled), (0, 0, 0));
}

#[tokio::test]
async fn what_there_is_no_room_for_comes_back_or_waits() {
    let (submitter, submissions) = Submitter::new(room(1));
    let first = submitter.submit("1".into());
    assert_eq!(submitter.try_submit("2".into()).unwrap_err(), Refused::Full("2".into()));
    let waiting = tokio::spawn(submitter.submit("3".into()));
    yield_now().await;
    assert_eq!((submitter.report().accepted, submitter.report().refused_full), (1, 1));
    let (_gatherer, chunks) = gather(submissions);
    let settle = || {
        let chunk = chunks.recv().unwrap();
        chunk.ack.settle(0, Outcome::Delivered);
        texts(&chunk).concat()
    };
    assert_eq!((settle(), first.await), (b"1".to_vec(), Ok(Ended::Delivered)));
    // The second one was let in when the first was settled.
    let third = tokio::task::spawn_blocking(move || chunks.recv().unwrap());
    let chunk = third.await.unwrap();
    assert_eq!(texts(&chunk), [b"3"]);
    chunk.ack.settle(0, Outcome::Delivered);
    drop(chunk);
    assert_eq!(waiting.await.unwrap(), Ok(Ended::Delivered));
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let (submitter, _submissions) = Submitter::new(Room { events: 10, bytes: 0 });
    let half = Bytes::from(vec![b' '; limits::EVENT_BYTES_MAX / 2 + 1]);
    drop(submitter.try_submit(half.clone()).unwrap());
    assert!(matches!(submitter.try_submit(half), Err(Refused::Full(_))));
    drop(submitter.try_submit("small".into()).unwrap());
    assert_eq!(submitter.report().unsettled, 2);
    // What did not fit took no place from others.
    assert_eq!(submitter.0.events.available_permits(), 8);
}

#[tokio::test]
async fn nothing_is_accepted_once_it_is_closed() {
    let (submitter, submissions) = Submitter::new(room(1));
    let accepted = submitter.try_submit("1".into()).unwrap();
    let waiting = tokio::spawn(submitter.submit("2".into()));
    yield_now().await;
    submitter.close();
    assert_eq!(waiting.await.unwrap(), Err(NotSettled::Closed("2".into())));
    assert_eq!(submitter.try_submit("3".into()).unwrap_err(), Refused::Closed("3".into()));
    assert_eq!(submitter.report().refused_closed, 2);
    let (gatherer, chunks) = gather(submissions);
    let chunk = chunks.recv().unwrap();
    chunk.ack.settle(0, Outcome::Delivered);
    drop(chunk);
    assert_eq!(accepted.await, Ok(Ended::Delivered));
    gatherer.join().unwrap();
}

#[tokio::test]
async fn nobody_waits_for_ever_where_nobody_takes_the_events() {
    let (submitter, submissions) = Submitter::new(room(3));
    let queued = submitter.try_submit("1".into()).unwrap();
    drop(submissions);
    assert_eq!(queued.await, Err(NotSettled::Abandoned));
    assert!(matches!(submitter.try_submit("2".into()), Err(Refused::Closed(_))));
    submitter.settled().await;

    let (submitter, submissions) = Submitter::new(room(3));
    let queued = submitter.try_submit("1".into()).unwrap();
    let (gatherer, chunks) = gather(submissions);
    drop(chunks);
    // A chunk that was sent at that very moment goes with the queue's other end.
    submitter.close();
    gatherer.join().unwrap();
    assert_eq!(queued.await, Err(NotSettled::Abandoned));
    submitter.settled().await;
    assert_eq!((submitter.report().abandoned, submitter.report().queued), (1, 0));
}

#[test]
fn an_event_is_one_line() {
    let (submitter, submissions) = Submitter::new(room(10));
    for text in ["{\n \"a\": 1\r\n}\n", "{}\r\n", "\n", ""] {
        drop(submitter.try_submit(text.into()).unwrap());
    }
    let (_gatherer, chunks) = gather(submissions);
    let chunk = chunks.recv().unwrap();
    assert_eq!(texts(&chunk), [&b"{  \"a\": 1  }"[..], b"{}", b"", b""]);
    submitter.close();
}

#[test]
fn of_an_event_that_is_too_long_the_start_is_kept() {
    let (submitter, submissions) = Submitter::new(room(10));
    let bytes = limits::EVENT_BYTES_MAX + 1;
    drop(submitter.try_submit(vec![b'x'; bytes].into()).unwrap());
    assert_eq!(submitter.report().queued_bytes, limits::EVENT_PREFIX_BYTES);
    let (_gatherer, chunks) = gather(submissions);
    let chunk = chunks.recv().unwrap();
    assert_eq!(chunk.damaged, [(0, Damage::TooLong { bytes: bytes as u64 })]);
    assert_eq!(texts(&chunk)[0].len(), limits::EVENT_PREFIX_BYTES);
    submitter.close();
}
