//! Measures the cost of a decision: the mapping alone, as native code, and through the boundary of
//! the component.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use mapping::Mapping;
use serde_json::json;
use standpipe_core::event::{Envelope, Event};
use standpipe_plugin::{Plugin as _, Setup};
use standpipe_plugin_host::{DEFAULT_PLUGIN, Engine, LoadError, Mapper, Plugin};

const NAMES: &[&str] = &["Order Completed", "Product Viewed", "Größe gewählt", "Signed In"];

fn main() {
    divan::main();
}

/// Settings with this number of mappings: one for all events, and others by name.
fn mapping_settings(rows: usize) -> String {
    let named = (1..rows).map(|row| {
        let name =
            NAMES.get(row - 1).map_or_else(|| format!("Name {row}"), |name| (*name).to_owned());
        json!({"event": name, "stream": format!("s{}", row % 100)})
    });
    let rows: Vec<_> = named.chain([json!({"event": "*", "stream": "rest"})]).collect();
    json!({ "mappings": rows }).to_string()
}

/// A batch in which this number of event kinds alternate.
fn make_events((batch, kinds): (u32, u32)) -> Vec<Event<'static>> {
    let event = |index: u32| Event {
        index,
        line: u64::from(index) + 1,
        text: "{}",
        envelope: Envelope {
            message_type: Some("track".into()),
            name: Some(format!("Name {}", index % kinds).into()),
        },
    };
    (0..batch).map(event).collect()
}

#[divan::bench(args = [1, 100, 10_000])]
fn lookup(bencher: Bencher<'_, '_>, rows: usize) {
    let mut mapping =
        Mapping::configure(&mapping_settings(rows), &mut Setup::default()).expect("good settings");
    bencher.counter(ItemsCount::new(NAMES.len())).bench_local(|| {
        for name in NAMES {
            let routed = mapping.route(black_box(Some(name)), Some("track"), |stream| {
                black_box(stream);
            });
            routed.expect("there is a row for everything");
        }
    });
}

/// Numbers of events, and of kinds among them: the plugin is called once for each kind.
const BATCHES: [(u32, u32); 5] = [(1, 1), (50, 20), (500, 20), (50, 50), (500, 500)];

#[divan::bench(args = BATCHES)]
fn native(bencher: Bencher<'_, '_>, batch: (u32, u32)) {
    bench_batches(bencher, batch, Plugin::native(&mapping_settings(3)));
}

#[divan::bench(args = BATCHES)]
fn component(bencher: Bencher<'_, '_>, batch: (u32, u32)) {
    let engine = Engine::new(None).expect("WebAssembly runs here");
    bench_batches(bencher, batch, Plugin::load(&engine, DEFAULT_PLUGIN, mapping_settings(3)));
}

fn bench_batches(bencher: Bencher<'_, '_>, batch: (u32, u32), plugin: Result<Plugin, LoadError>) {
    let mut mapper = Mapper::new(plugin.expect("good settings"));
    let events = make_events(batch);
    bencher
        .counter(ItemsCount::new(batch.0))
        .bench_local(|| mapper.map("bench", black_box(&events)));
}
