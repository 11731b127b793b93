//! Tests that hosts in one process share nothing: each has its own plugin, and is swapped and
//! stopped separately.

use std::collections::BTreeMap;
use std::ops::RangeFrom;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use standpipe::{EventOutcome, Host, Plugin, Swapped};
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};

use super::{Embedded, mapping_settings};

/// Settings for a plugin that sends every event of this name to one stream.
fn routing_settings(event: &str, stream: &str) -> String {
    format!(r#"{{"mappings":[{{"event":"{event}","stream":"{stream}"}}]}}"#)
}

/// The streams of a client, and the number of records of each.
fn record_counts(port: &FaultyClient) -> BTreeMap<String, u64> {
    let accepted = port.accepted().into_iter();
    accepted.map(|(name, records)| (name.to_string(), records.len() as u64)).collect()
}

/// Starts a host that sends events `one` to a stream of this name, and another host for `two`, each
/// with its own client.
async fn start_two_hosts() -> ([Embedded; 2], [Arc<FaultyClient>; 2]) {
    let ports = [0; 2].map(|_| Arc::new(FaultyClient::new(|_, _, _| InjectedFault::None)));
    let [of_first, of_second] = ports.clone();
    let first = Embedded::start_host(&mapping_settings(&["one"]), |builder| {
        builder.firehose_client(of_first)
    })
    .await;
    let second = Embedded::start_host(&mapping_settings(&["two"]), |builder| {
        builder.firehose_client(of_second)
    })
    .await;
    ([first, second], ports)
}

/// Submits events of this name until the test is over, and returns their number.
async fn submit_until(host: Host, name: &'static str, is_over: Arc<AtomicBool>) -> u64 {
    let text = format!("{{\"event\":\"{name}\"}}");
    let mut sent = 0;
    while !is_over.load(Ordering::Relaxed) {
        let ended = host.submit_batch((0..50).map(|_| text.clone())).await;
        assert!(ended.iter().all(|ended| ended == &Ok(EventOutcome::Delivered)), "{ended:?}");
        sent += ended.len() as u64;
    }
    sent
}

/// Swaps plugins, some of which are rejected, while [`submit_until`] continues. An event that
/// arrives after a swap goes to the stream of the new plugin.
async fn swap_under_load(
    host: &Host,
    port: &FaultyClient,
    name: &str,
    generations: RangeFrom<u64>,
    plugins: &[(Plugin, &str)],
) {
    let text = format!("{{\"event\":\"{name}\"}}");
    for (generation, (plugin, stream)) in generations.zip(plugins) {
        assert_eq!(host.swap(plugin.clone()).await, Ok(Swapped::Taken(generation)));
        let refused = host.swap(Plugin::new(vec![0; 100])).await.unwrap_err();
        assert_eq!(refused.step, "compile");
        let before = record_counts(port).get(*stream).copied();
        assert_eq!(host.submit(text.clone()).await, Ok(EventOutcome::Delivered));
        assert!(record_counts(port).get(*stream).copied() > before, "{stream}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_in_one_process_swap_plugins_independently() {
    const SWAPS: usize = 20;
    let other = std::fs::read(standpipe_tests::misbehaving_plugin()).unwrap();
    let ([first, second], ports) = start_two_hosts().await;
    let second_plugin = Plugin::new(other.clone()).with_settings(r#"{"stream":"two"}"#);
    // From now on, the plugins also differ in their components, and not only in their settings.
    assert_eq!(second.host.swap(second_plugin).await, Ok(Swapped::Taken(2)));
    let is_over = Arc::<AtomicBool>::default();
    let loads = [(&first, "one"), (&second, "two")].map(|(host, name)| {
        tokio::spawn(submit_until(host.host.clone(), name, Arc::clone(&is_over)))
    });
    let rows = ["one-even", "one-odd"];
    let built_in = |swap: usize| {
        let stream = rows[swap % 2];
        (Plugin::built_in().with_settings(routing_settings("*", stream)), stream)
    };
    while ports.iter().any(|port| record_counts(port).is_empty()) {
        tokio::task::yield_now().await;
    }
    // The second host does not change while the first one is swapped.
    let plugins: Vec<_> = (0..SWAPS).map(built_in).collect();
    swap_under_load(&first.host, &ports[0], "one", 2.., &plugins).await;
    assert_eq!(record_counts(&ports[1]).keys().collect::<Vec<_>>(), ["two"]);
    let names = record_counts(&ports[0]).into_keys().collect::<Vec<_>>();
    assert_eq!(names, ["one", "one-even", "one-odd"]);
    let back = first.host.roll_back().await;
    assert_eq!(back, Ok(Swapped::Taken(SWAPS as u64 + 2)));
    // Now both are swapped at once.
    let others = (0..SWAPS).map(|swap| {
        let (stream, stamp) = [("two-even", b"0"), ("two-odd", b"1")][swap % 2];
        let plugin = Plugin::new(standpipe_tests::stamp_component(&other, stamp));
        (plugin.with_settings(format!(r#"{{"stream":"{stream}"}}"#)), stream)
    });
    let others: Vec<_> = others.collect();
    let again = tokio::spawn({
        let host = first.host.clone();
        async move {
            for stream in rows.into_iter().cycle().take(SWAPS) {
                let plugin = Plugin::built_in().with_settings(routing_settings("*", stream));
                host.swap(plugin).await.unwrap();
            }
        }
    });
    swap_under_load(&second.host, &ports[1], "two", 3.., &others).await;
    again.await.unwrap();
    is_over.store(true, Ordering::Relaxed);
    let mut sent = Vec::new();
    for load in loads {
        sent.push(load.await.unwrap());
    }
    for (host, (port, sent)) in [&first, &second].into_iter().zip(ports.iter().zip(sent)) {
        let summary = host.host.stop().await;
        let own = SWAPS as u64;
        assert_eq!((summary.delivered, summary.dead), (sent + own, 0));
        assert_eq!(record_counts(port).into_values().sum::<u64>(), sent + own);
    }
    let names = record_counts(&ports[1]).into_keys().collect::<Vec<_>>();
    assert_eq!(names, ["two", "two-even", "two-odd"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_keeps_running_when_another_one_stops() {
    let ([first, second], ports) = start_two_hosts().await;
    first.host.stop().await;
    assert_eq!(second.host.submit("{\"event\":\"two\"}").await, Ok(EventOutcome::Delivered));
    // The host has no earlier plugin to roll back to.
    assert!(second.host.roll_back().await.is_err());
    assert_eq!(record_counts(&ports[0]), BTreeMap::new());
}
