//! Every received message is acknowledged or returned, and none is processed twice in one process.

use super::*;
use crate::faulty::{FaultyQueue, QueueFault};

const ACK_WAIT: Duration = Duration::from_millis(150);
const PATIENCE: Duration = Duration::from_secs(5);

struct Scene {
    queue: Arc<FaultyQueue>,
    receiver: MessageReceiver,
    messages: Messages,
    tasks: ReceiverTasks,
    stop: CancellationToken,
}

impl Scene {
    async fn with_messages(count: usize, prefetch: usize) -> Self {
        Scene::with_ack_wait(ACK_WAIT, count, prefetch).await
    }

    async fn with_ack_wait(ack_wait: Duration, count: usize, prefetch: usize) -> Self {
        let queue = Arc::new(FaultyQueue::new(ack_wait, 100));
        for number in 0..count {
            let message = Bytes::from(number.to_string());
            queue.publish(&format!("id-{number}"), 0, message).await.unwrap();
        }
        let stop = CancellationToken::new();
        let runtime = Handle::current();
        let (receiver, messages, tasks) = MessageReceiver::start(
            Arc::clone(&queue) as _,
            prefetch,
            Gate::open(),
            stop.clone(),
            &runtime,
        );
        Scene { queue, receiver, messages, tasks, stop }
    }

    fn next(&self) -> PendingMessage {
        match tokio::task::block_in_place(|| self.messages.next(PATIENCE)) {
            NextMessage::Message(message) => message,
            other => panic!("{other:?}"),
        }
    }

    async fn until(&self, is_reached: impl Fn(MessageReceiverStatus) -> bool) {
        let reached = async {
            while !is_reached(self.receiver.status()) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        let reached = timeout(PATIENCE, reached).await;
        reached.unwrap_or_else(|_| panic!("{:?}", self.receiver.status()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_complete_message_leaves_the_queue() {
    let scene = Scene::with_messages(1, 4).await;
    let pending = scene.next();
    assert_eq!(pending.message, "0");
    assert_eq!(scene.queue.len(), 1);
    pending.completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    assert!(scene.queue.is_empty());
    assert_eq!(scene.receiver.status().in_progress, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_message_is_delivered_again_at_once() {
    let scene = Scene::with_messages(1, 4).await;
    drop(scene.next());
    let again = scene.next();
    assert_eq!(again.message, "0");
    again.completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    let status = scene.receiver.status();
    assert_eq!((status.released, status.redelivered, status.duplicates), (1, 1, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_takes_long_is_not_delivered_again() {
    let scene = Scene::with_messages(1, 4).await;
    let pending = scene.next();
    tokio::time::sleep(ACK_WAIT * 4).await;
    pending.completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    assert_eq!(scene.receiver.status().redelivered, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_a_message_in_progress_is_not_processed_again() {
    let scene = Scene::with_messages(1, 4).await;
    let pending = scene.next();
    // Every extension fails.
    for _ in 0..10 {
        let handle = scene.receiver.0.state.lock().in_progress["id-0"].handle.clone();
        scene.queue.release(&[handle]).await.unwrap();
        scene.until(|status| status.duplicates > 0).await;
    }
    pending.completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    assert_eq!(scene.receiver.status().received, 1);
    assert!(scene.queue.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_acknowledgement_does_not_process_a_message_again() {
    let scene = Scene::with_messages(1, 4).await;
    let pending = scene.next();
    // It is acknowledged here, and the queue does not know.
    let handle = scene.receiver.0.state.lock().in_progress["id-0"].handle.clone();
    scene.queue.inject(std::iter::repeat_n(Some(QueueFault::Refused), 40));
    pending.completion.complete();
    scene.until(|status| status.in_progress == 0).await;
    scene.queue.clear_faults();
    scene.queue.release(&[handle]).await.unwrap();
    scene.until(|status| status.acknowledged == 1 || status.duplicates == 1).await;
    while !scene.queue.is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(scene.receiver.status().received, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_end_every_message_is_acknowledged_or_returned() {
    let scene = Scene::with_messages(6, 4).await;
    let pending = scene.next();
    scene.stop.cancel();
    let Scene { queue, receiver, messages, tasks, .. } = scene;
    drop(messages);
    pending.completion.complete();
    timeout(Duration::from_secs(1), tasks.finish()).await.unwrap();
    assert_eq!(queue.len(), 5);
    assert_eq!(queue.status().await.unwrap().waiting, 5);
    assert_eq!(receiver.status().in_progress, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_messages_than_the_limit_wait_to_be_taken() {
    let scene = Scene::with_messages(10, 3).await;
    scene.until(|status| status.received == 3).await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(scene.receiver.status().received, 3);
    let PendingMessage { completion, _slot, .. } = scene.next();
    assert_eq!(scene.receiver.status().received, 3, "a taken message keeps its place");
    drop(_slot);
    scene.until(|status| status.received == 4).await;
    completion.complete();
}

#[test]
fn only_the_last_ids_are_remembered() {
    let mut ids = RememberedIds::default();
    for number in 0..=limits::REMEMBERED_MESSAGES_MAX {
        ids.insert(number.to_string());
        ids.insert(number.to_string());
    }
    assert!(!ids.contains("0") && ids.contains("1"));
    assert_eq!(
        (ids.ids.len(), ids.order.len()),
        (limits::REMEMBERED_MESSAGES_MAX, limits::REMEMBERED_MESSAGES_MAX)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_does_not_respond_does_not_delay_the_end() {
    let scene = Scene::with_ack_wait(Duration::from_secs(3600), 1, 4).await;
    let pending = scene.next();
    scene.queue.inject(std::iter::repeat_n(Some(QueueFault::Refused), 10_000));
    scene.stop.cancel();
    let Scene { messages, tasks, .. } = scene;
    drop(messages);
    pending.completion.complete();
    let patience = limits::LAST_ACKNOWLEDGEMENTS_PATIENCE + Duration::from_secs(1);
    timeout(patience, tasks.finish()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_acknowledgement_that_fails_does_not_delay_others() {
    let scene = Scene::with_ack_wait(Duration::from_secs(3600), 2, 4).await;
    let (first, second) = (scene.next(), scene.next());
    scene.queue.refuse_acknowledgements("id-0");
    first.completion.complete();
    scene.until(|status| status.in_progress == 1).await;
    second.completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    assert_eq!(scene.queue.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_is_acknowledged_again_counts_once() {
    let scene = Scene::with_messages(1, 4).await;
    scene.next().completion.complete();
    scene.until(|status| status.acknowledged == 1).await;
    // The queue has lost the acknowledgement, and delivers the message again; then another one.
    for (id, attempt) in [("id-0", 1), ("id-1", 0)] {
        scene.queue.publish(id, attempt, Bytes::from_static(b"again")).await.unwrap();
        if attempt == 0 {
            scene.next().completion.complete();
        }
        while !scene.queue.is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // Counted after the queue has responded.
    tokio::time::sleep(Duration::from_millis(50)).await;
    let status = scene.receiver.status();
    assert_eq!((status.received, status.duplicates, status.acknowledged), (2, 1, 2));
}
