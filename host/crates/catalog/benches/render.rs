//! Measures the time to render a picture of the catalog, by the number of delivery streams.

#![allow(clippy::disallowed_methods, clippy::disallowed_types)]

use divan::{Bencher, black_box};
use standpipe_catalog::render::{render_dot, render_mermaid, render_svg};
use standpipe_catalog::{Asset, Edge, EdgeRole, Graph};

const STREAMS: [usize; 3] = [100, 1000, 5000];

/// Number of delivery streams that share an endpoint.
const STREAMS_PER_ENDPOINT: usize = 4;

fn main() {
    divan::main();
}

/// A graph with events for each stream, and endpoints that some streams share.
fn graph(streams: usize) -> Graph {
    let events = (0..streams).map(|number| Asset::Events { label: format!("Event {number}") });
    let named = |number| Asset::DeliveryStream { name: format!("stream-{number}"), arn: None };
    let endpoints = (0..streams.div_ceil(STREAMS_PER_ENDPOINT)).map(|number| {
        let url = format!("https://intake.example/{number}");
        Asset::HttpEndpoint { name: None, url }
    });
    let edge = |from, to, role| Edge { from, to, role, note: None };
    let edges = (0..streams).flat_map(|number| {
        let endpoint = 2 * streams + number / STREAMS_PER_ENDPOINT;
        [
            edge(number, streams + number, EdgeRole::Routed),
            edge(streams + number, endpoint, EdgeRole::Delivered),
        ]
    });
    let edges = edges.collect();
    Graph { assets: events.chain((0..streams).map(named)).chain(endpoints).collect(), edges }
}

#[divan::bench(args = STREAMS)]
fn as_svg(bencher: Bencher<'_, '_>, streams: usize) {
    let graph = graph(streams);
    bencher.bench_local(|| render_svg(black_box(&graph)).expect("it is not too large"));
}

#[divan::bench(args = STREAMS)]
fn as_mermaid(bencher: Bencher<'_, '_>, streams: usize) {
    let graph = graph(streams);
    bencher.bench_local(|| render_mermaid(black_box(&graph)).expect("it is not too large"));
}

#[divan::bench(args = STREAMS)]
fn as_dot(bencher: Bencher<'_, '_>, streams: usize) {
    let graph = graph(streams);
    bencher.bench_local(|| render_dot(black_box(&graph)).expect("it is not too large"));
}
