//! Messages become chunks, whose acks acknowledge or return the messages.

use std::time::Duration;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::source::Progress;
use standpipe_core::event::{EntryEvent, EventRefusal, OutputOutcome, Reason, encode_entry};
use standpipe_queue::faulty::FaultyQueue;
use standpipe_queue::{Gate, MessageEncoder, MessageReceiver, Queue};

/// Publishes messages, and reads them as chunks. `look` settles them.
async fn read(
    messages: Vec<Bytes>,
    sources: SourceNames,
    look: impl FnMut(&Chunk),
) -> (Progress, Arc<FaultyQueue>, MessageReceiver) {
    read_with(None, messages, sources, look).await
}

/// The same with a deduplicator.
async fn read_with(
    deduplicator: Option<Arc<EventDeduplicator>>,
    messages: Vec<Bytes>,
    sources: SourceNames,
    mut look: impl FnMut(&Chunk),
) -> (Progress, Arc<FaultyQueue>, MessageReceiver) {
    let queue = Arc::new(FaultyQueue::new(Duration::from_secs(60), 1 << 20));
    let count = messages.len();
    for (number, message) in messages.into_iter().enumerate() {
        queue.publish(&number.to_string(), 0, message).await.unwrap();
    }
    let (stop, runtime) = (CancellationToken::new(), Handle::current());
    let (receiver, messages, tasks) =
        MessageReceiver::start(Arc::clone(&queue) as _, 8, Gate::open(), stop.clone(), &runtime);
    let progress = Progress::default();
    let (chunker, _chunks, _buffers) = Chunker::new(1, progress.clone());
    let sources = Arc::new(ArcSwap::from_pointee(sources));
    let mut reader = QueueReader::new(messages, sources, deduplicator);
    let mut read = 0;
    while read < count {
        match tokio::task::block_in_place(|| reader.next_chunk(&chunker)) {
            NextChunk::Chunk(chunk) => {
                look(&chunk);
                read += 1;
            }
            NextChunk::Nothing => {}
            NextChunk::End => break,
        }
    }
    stop.cancel();
    drop(reader);
    tasks.finish().await;
    (progress, queue, receiver)
}

fn message(source: &str, texts: &[(&str, Option<EventRefusal>)]) -> Bytes {
    let (mut bytes, mut events) = (Vec::new(), Vec::new());
    for (text, refused) in texts {
        bytes.extend_from_slice(text.as_bytes());
        let end = u32::try_from(bytes.len()).unwrap();
        events.push(EntryEvent { end, refused: *refused });
    }
    MessageEncoder::default().encode(&encode_entry(source, bytes, events.into_iter())).into()
}

fn settle_all(chunk: &Chunk) {
    for (index, _) in (0..).zip(&chunk.lines) {
        chunk.ack.settle(index, OutputOutcome::Delivered);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_a_chunk_and_is_acknowledged_when_all_events_are_settled() {
    let messages = vec![message("web", &[("{}", None), ("[]", Some(EventRefusal::NotAnObject))])];
    let (progress, queue, _) = read(messages, SourceNames::default(), |chunk| {
        assert_eq!(chunk.source().name(), "web");
        assert!(chunk.source().keeps_unsettled());
        let texts: Vec<_> = chunk.lines.iter().map(|&line| chunk.line_text(line)).collect();
        assert_eq!(texts, [b"{}", b"[]"]);
        assert_eq!(chunk.errors, [(1, LineError::Refused(EventRefusal::NotAnObject))]);
        settle_all(chunk);
    })
    .await;
    assert_eq!((progress.totals().read, queue.len()), (2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_with_an_unsettled_event_returns_to_the_queue() {
    let messages = vec![message("web", &[("{}", None), ("{}", None)])];
    let (progress, queue, receiver) = read(messages, SourceNames::default(), |chunk| {
        chunk.ack.settle(0, OutputOutcome::Delivered);
    })
    .await;
    let totals = progress.totals();
    assert_eq!((totals.read, totals.settled.delivered, totals.settled.undelivered), (1, 1, 0));
    assert_eq!((queue.len(), receiver.status().acknowledged), (1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_cannot_be_decoded_is_one_event() {
    let newer = Bytes::from_static(b"\x09 from a newer version");
    let messages = vec![newer.clone()];
    let (_, queue, _) = read(messages, SourceNames::default(), |chunk| {
        let [line] = chunk.lines[..] else { panic!("{chunk:?}") };
        assert_eq!(chunk.line_text(line), newer);
        let [(0, LineError::Unreadable { detail })] = &chunk.errors[..] else {
            panic!("{chunk:?}")
        };
        assert!(detail.contains("unknown message version 9"), "{detail}");
        settle_all(chunk);
    })
    .await;
    assert!(queue.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_unknown_sources_say_so_and_former_names_are_known() {
    let sources = SourceNames::new([("web", ["site"])]);
    let messages = vec![message("site", &[("{}", None)]), message("shop", &[("{}", None)])];
    read(messages, sources, |chunk| {
        match chunk.source().name() {
            "web" => assert_eq!(chunk.errors, []),
            "shop" => assert_eq!(chunk.errors, [(0, LineError::UnknownSource)]),
            other => panic!("{other}"),
        }
        settle_all(chunk);
    })
    .await;
}

fn deduplicator() -> Arc<EventDeduplicator> {
    Arc::new(EventDeduplicator::new(Duration::from_secs(600)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_with_a_processed_id_is_left_out_and_counted() {
    let event = |text| (text, None);
    let messages = vec![
        message("web", &[event(r#"{"messageId":"a"}"#), event(r#"{"messageId":"b","n":1}"#)]),
        message(
            "web",
            &[
                event(r#"{"n":2,"message\u0049d":"b"}"#),
                event(r#"{"messageId":"c"}"#),
                event(r#"{"messageId":""}"#),
                event(r#"{"properties":{"messageId":"a"}}"#),
                event(r#"{"messageId":1}"#),
                (r#"{"messageId":"a"}"#, Some(EventRefusal::NoIdentity)),
                event(r#"{"messageId":"a""#),
            ],
        ),
        message("app", &[event(r#"{"messageId":"a"}"#)]),
        message("web", &[event(r#"{"messageId":"c"}"#), event(r#"{"messageId":"a"}"#)]),
        message("web", &[event(r#"{"messageId":""}"#)]),
    ];
    let (deduplicator, mut read) = (deduplicator(), Vec::new());
    let (progress, queue, receiver) =
        read_with(Some(Arc::clone(&deduplicator)), messages, SourceNames::default(), |chunk| {
            let lines = chunk.lines.iter();
            let texts = lines.map(|&line| {
                let text = String::from_utf8(chunk.line_text(line).to_vec()).unwrap();
                (chunk.line_number(line), text)
            });
            read.push(texts.collect::<Vec<_>>());
            settle_all(chunk);
        })
        .await;
    let texts: Vec<_> = read
        .iter()
        .map(|texts| texts.iter().map(|(_, text)| &**text).collect::<Vec<_>>())
        .collect();
    assert_eq!(
        texts,
        [
            vec![r#"{"messageId":"a"}"#, r#"{"messageId":"b","n":1}"#],
            vec![
                r#"{"messageId":"c"}"#,
                r#"{"messageId":""}"#,
                r#"{"properties":{"messageId":"a"}}"#,
                r#"{"messageId":1}"#,
                r#"{"messageId":"a"}"#,
                r#"{"messageId":"a""#,
            ],
            vec![r#"{"messageId":"a"}"#],
            vec![],
            vec![r#"{"messageId":""}"#],
        ]
    );
    let numbers = |at: usize| read[at].iter().map(|(number, _)| *number).collect::<Vec<_>>();
    assert_eq!((numbers(1), numbers(4)), (vec![4, 5, 6, 7, 8, 9], vec![13]));
    assert_eq!((deduplicator.duplicates(), progress.totals().read), (3, 10));
    assert_eq!((queue.len(), receiver.status().acknowledged), (0, 5));
}

/// Each event of the second message is there: the first ones were not settled, or can be replayed.
#[tokio::test(flavor = "multi_thread")]
async fn only_events_that_ended_well_are_left_out() {
    let deduplicator = deduplicator();
    let events = [(r#"{"messageId":"a"}"#, None), (r#"{"messageId":"b"}"#, None)];
    let is_known = |id| deduplicator.is_processed(deduplicator.hash_id("web", id));
    let read_once = |settle: fn(&Chunk)| {
        let messages = vec![message("web", &events)];
        read_with(Some(Arc::clone(&deduplicator)), messages, SourceNames::default(), settle)
    };
    read_once(|chunk| chunk.ack.settle(0, OutputOutcome::Delivered)).await;
    assert_eq!((is_known("a"), is_known("b")), (false, false));
    let (_, queue, _) = read_once(|chunk| {
        chunk.ack.settle(0, OutputOutcome::Dead(Reason::RecordRefused));
        chunk.ack.filter_event(1);
    })
    .await;
    assert_eq!((is_known("a"), is_known("b"), queue.len()), (false, true, 0));
}

/// Returning a message does not count its duplicates, because the message comes again.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_of_a_message_that_returns_are_not_counted() {
    let deduplicator = deduplicator();
    let id = deduplicator.hash_id("web", "a");
    deduplicator.remember([id].into_iter());
    let messages = vec![message("web", &[(r#"{"messageId":"a"}"#, None), ("{}", None)])];
    let (progress, queue, _) =
        read_with(Some(Arc::clone(&deduplicator)), messages, SourceNames::default(), |chunk| {
            assert_eq!(chunk.lines.len(), 1);
        })
        .await;
    assert_eq!((deduplicator.duplicates(), progress.totals().read, queue.len()), (0, 0, 1));
}
