//! Tests the normal operation of a spool.

use super::*;

#[test]
fn entries_come_in_order_across_segments_and_restarts() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut consumer, recovered) = open(directory.path());
    assert_eq!(recovered, Recovered::default());
    let payloads: Vec<_> = (0..50).map(|number| payload(number, 90 * number as usize)).collect();
    for bytes in &payloads {
        append(&spool, 3, bytes).unwrap();
    }
    let first = drain(&mut consumer);
    assert_eq!(
        first.iter().map(|entry| &entry.bytes).collect::<Vec<_>>(),
        payloads.iter().collect::<Vec<_>>()
    );
    spool.acknowledge(first[0].place, 0..3);
    spool.acknowledge(first[2].place, [0, 2].into_iter().chain(64..128));
    spool.close();
    assert_eq!(append(&spool, 1, b"late"), Err(AppendError::Closed));
    assert_eq!(consumer.next(Duration::from_secs(9)), NextEntry::End);
    spool.acknowledge(first[3].place, 1..2);
    drop((spool, consumer));

    let (spool, mut consumer, recovered) = open(directory.path());
    assert_eq!(
        (recovered.items_waiting, recovered.torn_bytes, recovered.acks_corrupt),
        (144, 0, 0)
    );
    let again = drain(&mut consumer);
    assert_eq!(
        again.iter().map(|entry| &entry.bytes).collect::<Vec<_>>(),
        payloads[1..].iter().collect::<Vec<_>>()
    );
    assert_eq!((&again[1].acked, &again[2].acked), (&vec![0, 2], &vec![1]));
    assert!(again[3..].iter().all(|entry| entry.acked.is_empty()));
    again.iter().for_each(|entry| acknowledge_all(&spool, entry));
    assert_eq!(spool.status().items_waiting, 0);
    eventually("all files are removed", || files(directory.path(), "log").is_empty());
    assert_eq!(spool.status().bytes, 0);
}

#[test]
fn what_many_append_is_synced_in_groups() {
    let directory = tempfile::tempdir().unwrap();
    let settings =
        SpoolSettings { durability: Durability::Fsync, ..settings(directory.path(), 1 << 30) };
    let (spool, mut consumer, _) = Spool::open(settings).unwrap();
    block_on(async {
        let local = tokio::task::LocalSet::new();
        for number in 0..200 {
            let spool = spool.clone();
            local.spawn_local(async move { spool.append(2, payload(number, 50)).await.unwrap() });
        }
        local.await;
    });
    let mut numbers: Vec<_> = drain(&mut consumer).iter().map(number_of).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..200).collect::<Vec<_>>());
    let status = spool.status();
    assert!(status.groups < 100 && status.group_entries_max > 10, "{status:?}");
    assert_eq!((status.syncs, status.entries_appended), (status.groups, 200));
}

#[test]
fn an_entry_comes_to_who_waits_for_it() {
    for durability in [Durability::Os, Durability::Memory] {
        let directory = tempfile::tempdir().unwrap();
        let settings = SpoolSettings { durability, ..settings(directory.path(), 1 << 20) };
        let (spool, mut consumer, _) = Spool::open(settings).unwrap();
        assert_eq!(consumer.next(Duration::from_millis(1)), NextEntry::Nothing);
        let wait = std::thread::spawn(move || {
            let first = consumer.next(Duration::MAX);
            (first, consumer.next(Duration::MAX))
        });
        append(&spool, 1, b"hello").unwrap();
        drop(spool);
        let (first, second) = wait.join().unwrap();
        assert!(
            matches!(first, NextEntry::Entry(entry) if entry.bytes == b"hello"),
            "{durability:?}"
        );
        assert_eq!(second, NextEntry::End);
    }
}

#[test]
fn one_process_has_a_spool_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, consumer, _) = open(directory.path());
    let other = Spool::open(settings(directory.path(), 1 << 20));
    assert!(matches!(other, Err(SpoolOpenError::InUse { .. })), "{other:?}");
    drop(spool);
    let other = Spool::open(settings(directory.path(), 1 << 20));
    assert!(matches!(other, Err(SpoolOpenError::InUse { .. })), "{other:?}");
    drop(consumer);
    open(directory.path());
}

#[test]
fn a_future_that_is_dropped_harms_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let (spool, mut consumer, _) = open(directory.path());
    for number in 0..100 {
        block_on(async {
            let append = spool.append(1, payload(number, 10));
            tokio::select! { biased; () = std::future::ready(()) => (), _ = append => () }
            let mut append = std::pin::pin!(spool.append(1, payload(number, 10)));
            let polled = std::future::poll_fn(|context| {
                std::task::Poll::Ready(append.as_mut().poll(context).is_ready())
            });
            polled.await;
        });
    }
    append(&spool, 1, &payload(100, 0)).unwrap();
    let numbers: Vec<_> = drain(&mut consumer).iter().map(number_of).collect();
    assert_eq!(numbers, (0..=100).collect::<Vec<_>>());
}
