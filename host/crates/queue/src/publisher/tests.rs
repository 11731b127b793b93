//! Messages reach the queue once, or again if the queue loses them, and memory is limited.

use super::*;
use crate::faulty::{FaultyQueue, QueueFault};
use crate::{Gate, MessageReceiver, NextMessage};

const ACK_WAIT: Duration = Duration::from_millis(200);

async fn start(queue: &Arc<FaultyQueue>) -> (MessagePublisher, CancellationToken) {
    let abort = CancellationToken::new();
    let queue: Arc<dyn Queue> = Arc::clone(queue) as _;
    let runtime = Handle::current();
    let publisher =
        MessagePublisher::start(queue, "test".to_owned(), abort.clone(), &runtime).await;
    (publisher, abort)
}

/// Receives and acknowledges messages until the queue is empty. Returns their contents.
async fn receive_all(queue: &Arc<FaultyQueue>) -> Vec<Bytes> {
    let stop = CancellationToken::new();
    let runtime = Handle::current();
    let (_, messages, tasks) =
        MessageReceiver::start(Arc::clone(queue) as _, 4, Gate::open(), stop.clone(), &runtime);
    let mut received = Vec::new();
    while !queue.is_empty() {
        match tokio::task::block_in_place(|| messages.next(Duration::from_millis(10))) {
            NextMessage::Message(pending) => {
                received.push(pending.message.clone());
                pending.completion.complete();
            }
            NextMessage::Nothing => {}
            NextMessage::End => break,
        }
    }
    stop.cancel();
    drop(messages);
    tasks.finish().await;
    received
}

fn message(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_published_when_a_receiver_has_confirmed_it() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, 100));
    let (publisher, _abort) = start(&queue).await;
    let other = publisher.clone();
    let publishing = tokio::spawn(async move { other.publish(message("one")).await });
    while queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!publishing.is_finished());
    assert_eq!(publisher.status().unconfirmed, 1);
    assert_eq!(receive_all(&queue).await, ["one"]);
    assert_eq!(publishing.await.unwrap(), PublishOutcome::Published);
    publisher.drain().await;
    let status = publisher.status();
    assert_eq!((status.published, status.republished, status.unconfirmed), (1, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_response_does_not_store_a_message_twice() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, 100));
    let (publisher, _abort) = start(&queue).await;
    queue.inject([Some(QueueFault::ResponseLost), Some(QueueFault::Refused)]);
    let publishing = tokio::spawn(async move { publisher.publish(message("one")).await });
    while queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(receive_all(&queue).await, ["one"]);
    assert_eq!(publishing.await.unwrap(), PublishOutcome::Published);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_the_queue_has_lost_is_published_again() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, 100));
    let (publisher, _abort) = start(&queue).await;
    let other = publisher.clone();
    let publishing = tokio::spawn(async move { other.publish(message("one")).await });
    while publisher.status().published == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    queue.lose_messages();
    while publisher.status().published == 1 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(receive_all(&queue).await, ["one"]);
    assert_eq!(publishing.await.unwrap(), PublishOutcome::Published);
    assert_eq!(publisher.status().republished, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_too_large_comes_back() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, 3));
    let (publisher, _abort) = start(&queue).await;
    let outcome = publisher.publish(message("four")).await;
    assert_eq!(outcome, PublishOutcome::TooLarge(message("four")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_publisher_gives_its_messages_back() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, 100));
    let (publisher, abort) = start(&queue).await;
    queue.inject(std::iter::repeat_n(Some(QueueFault::Refused), 1000));
    let other = publisher.clone();
    let publishing = tokio::spawn(async move { other.publish(message("one")).await });
    while publisher.0.link.errors.get() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    abort.cancel();
    assert_eq!(publishing.await.unwrap(), PublishOutcome::Aborted(message("one")));
    assert_eq!(publisher.publish(message("two")).await, PublishOutcome::Aborted(message("two")));
}

#[tokio::test(flavor = "multi_thread")]
async fn unconfirmed_messages_take_a_limited_amount_of_memory() {
    let queue = Arc::new(FaultyQueue::new(ACK_WAIT, usize::MAX));
    let (publisher, abort) = start(&queue).await;
    let half = Bytes::from(vec![0; limits::UNCONFIRMED_BYTES_MAX / 2 + 1]);
    let mut publishing = Vec::new();
    for _ in 0..3 {
        let (publisher, half) = (publisher.clone(), half.clone());
        publishing.push(tokio::spawn(async move { publisher.publish(half).await }));
    }
    while queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!((queue.len(), publisher.status().unconfirmed), (1, 1));
    abort.cancel();
    for publishing in publishing {
        assert!(matches!(publishing.await.unwrap(), PublishOutcome::Aborted(_)));
    }
}
