//! The pacer against models of links: what the link can do goes in, bounds on
//! how well it is used come out.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::*;

const MIB: f64 = 1024.0 * 1024.0;
const RECORDS: usize = 500;
const RECORD_BYTES: usize = 820;

/// The seconds for which a link saves up what it was not used for.
const LINK_BURST: f64 = 0.5;

/// A link, at a time in seconds.
struct Link {
    /// Bytes a second beyond which records are throttled.
    capacity: fn(f64) -> f64,
    /// The share of records that are throttled whatever the rate.
    throttled: fn(f64) -> f64,
    /// Bytes a second that are worked on; more of them wait their turn.
    bandwidth: f64,
    latency: f64,
}

const LINK: Link =
    Link { capacity: |_| f64::MAX, throttled: |_| 0.0, bandwidth: f64::MAX, latency: 0.02 };

/// One request of a simulated run.
#[derive(Debug, Clone, Copy)]
struct Request {
    sent: f64,
    latency: f64,
    throttled: usize,
    accepted_bytes: usize,
}

/// Write to a link for so many seconds, with always something to send.
fn simulate(link: &Link, start: StartRate, seconds: f64) -> Vec<Request> {
    let mut pacer = Pacer::new(start, 16, Duration::ZERO);
    let mut requests = Vec::new();
    let mut under_way = BinaryHeap::new();
    let mut tokens = (link.capacity)(0.0) * LINK_BURST;
    let (mut now, mut filled, mut busy_until) = (0.0_f64, 0.0_f64, 0.0_f64);
    while now < seconds {
        let time = Duration::from_secs_f64(now);
        let next = pacer.next_send(time);
        if next == Some(time) {
            let capacity = (link.capacity)(now);
            tokens = (tokens + capacity * (now - filled)).min(capacity * LINK_BURST);
            filled = now;
            let admitted = ((tokens / RECORD_BYTES as f64) as usize).min(RECORDS);
            // The same records of every request, so that runs repeat.
            let unlucky = (admitted as f64 * (link.throttled)(now)) as usize;
            let accepted_bytes = (admitted - unlucky) * RECORD_BYTES;
            tokens -= accepted_bytes as f64;
            busy_until = busy_until.max(now) + (RECORDS * RECORD_BYTES) as f64 / link.bandwidth;
            let latency = link.latency + (busy_until - now);
            let throttled = RECORDS - admitted + unlucky;
            pacer.sent(time, RECORDS, RECORDS * RECORD_BYTES);
            under_way.push(Reverse((Duration::from_secs_f64(now + latency), requests.len())));
            requests.push(Request { sent: now, latency, throttled, accepted_bytes });
            continue;
        }
        let answer = under_way.peek().map(|Reverse((at, _))| *at);
        let Some(at) = [next, answer].into_iter().flatten().min() else { panic!("it is stuck") };
        now = at.as_secs_f64();
        if answer == Some(at) {
            let Some(Reverse((_, index))) = under_way.pop() else { unreachable!() };
            let Request { sent, throttled, accepted_bytes, .. } = requests[index];
            let sent = Duration::from_secs_f64(sent);
            let (bytes, throttled_bytes) = (RECORDS * RECORD_BYTES, throttled * RECORD_BYTES);
            pacer.answered(at, Answered { sent, bytes, throttled_bytes, accepted_bytes });
        }
    }
    requests
}

fn between(requests: &[Request], from: f64, to: f64) -> impl Iterator<Item = &Request> {
    requests.iter().filter(move |request| (from..to).contains(&request.sent))
}

fn accepted_per_second(requests: &[Request], from: f64, to: f64) -> f64 {
    between(requests, from, to).map(|request| request.accepted_bytes as f64).sum::<f64>()
        / (to - from)
}

fn throttled_share(requests: &[Request], from: f64, to: f64) -> f64 {
    let throttled: usize = between(requests, from, to).map(|request| request.throttled).sum();
    throttled as f64 / (between(requests, from, to).count() * RECORDS) as f64
}

struct Case {
    name: &'static str,
    link: Link,
    start: StartRate,
    /// The seconds that are judged.
    span: (f64, f64),
    /// What could be accepted in a second.
    possible: f64,
    used_min: f64,
    throttled_max: f64,
}

#[test]
fn links_are_used_and_little_is_throttled() {
    let documented = StartRate::of_region("us-east-1");
    let unbounded = StartRate::Unbounded;
    // 16 requests under way, answered after 20 ms each.
    let window_bound = 16.0 * (RECORDS * RECORD_BYTES) as f64 / 0.02;
    let cases = [
        Case {
            name: "the documented quota",
            link: Link { capacity: |_| 5.0 * MIB, ..LINK },
            start: documented,
            span: (5.0, 120.0),
            possible: 5.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.02,
        },
        Case {
            name: "a fifth of the documented quota",
            link: Link { capacity: |_| MIB, ..LINK },
            start: documented,
            span: (5.0, 120.0),
            possible: MIB,
            used_min: 0.95,
            throttled_max: 0.04,
        },
        Case {
            name: "a raised quota",
            link: Link { capacity: |_| 50.0 * MIB, ..LINK },
            start: documented,
            span: (40.0, 160.0),
            possible: 50.0 * MIB,
            used_min: 0.9,
            throttled_max: 0.02,
        },
        Case {
            name: "an unknown quota",
            link: Link { capacity: |_| 100.0 * MIB, ..LINK },
            start: unbounded,
            span: (5.0, 120.0),
            possible: 100.0 * MIB,
            used_min: 0.9,
            throttled_max: 0.02,
        },
        Case {
            name: "another writer takes four fifths after a while",
            link: Link { capacity: |at| if at < 30.0 { 5.0 * MIB } else { MIB }, ..LINK },
            start: documented,
            span: (35.0, 120.0),
            possible: MIB,
            used_min: 0.95,
            throttled_max: 0.05,
        },
        Case {
            name: "another writer ends",
            link: Link { capacity: |at| if at < 30.0 { MIB } else { 5.0 * MIB }, ..LINK },
            start: documented,
            span: (80.0, 160.0),
            possible: 5.0 * MIB,
            used_min: 0.9,
            throttled_max: 0.03,
        },
        Case {
            name: "a tenth of all records fails whatever the rate",
            link: Link { throttled: |_| 0.1, ..LINK },
            start: unbounded,
            span: (5.0, 60.0),
            possible: 0.9 * window_bound,
            used_min: 0.9,
            throttled_max: 0.11,
        },
        Case {
            name: "an endpoint that works slowly",
            link: Link { bandwidth: 20.0 * MIB, ..LINK },
            start: unbounded,
            span: (5.0, 60.0),
            possible: 20.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.0,
        },
    ];
    let mut wrong = Vec::new();
    for case in cases {
        let (from, to) = case.span;
        let requests = simulate(&case.link, case.start, to);
        let used = accepted_per_second(&requests, from, to) / case.possible;
        let throttled = throttled_share(&requests, from, to);
        let outcome =
            format!("{}: {used:.3} of what is possible, {throttled:.4} throttled", case.name);
        if used < case.used_min || throttled > case.throttled_max {
            wrong.push(outcome);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn half_of_all_records_throttled_for_half_a_minute_is_soon_over() {
    let link = Link { throttled: |at| if (10.0..40.0).contains(&at) { 0.5 } else { 0.0 }, ..LINK };
    let requests = simulate(&link, StartRate::Unbounded, 60.0);
    let before = accepted_per_second(&requests, 5.0, 10.0);
    let recovered = (0..40)
        .map(|tenths| 40.0 + f64::from(tenths) / 2.0)
        .find(|&from| accepted_per_second(&requests, from, from + 1.0) >= 0.95 * before);
    assert!(recovered.is_some_and(|at| at <= 50.0), "recovered at {recovered:?}");
}

#[test]
fn an_outage_of_throttling_is_soon_over() {
    for start in [StartRate::Unbounded, StartRate::of_region("us-east-1")] {
        let capacity = |at: f64| if (20.0..50.0).contains(&at) { 1.0 } else { 5.0 * MIB };
        let requests = simulate(&Link { capacity, ..LINK }, start, 80.0);
        let at = (0..30)
            .map(|at| 50.0 + f64::from(at))
            .find(|&from| accepted_per_second(&requests, from, from + 1.0) >= 0.9 * 5.0 * MIB);
        assert!(at.is_some_and(|at| at <= 60.0), "recovered at {at:?}");
        let sent = between(&requests, 30.0, 50.0).count();
        assert!(sent < 20 * 50, "{sent} requests while nothing is taken");
    }
}

#[test]
fn a_slow_endpoint_is_not_buried_in_requests() {
    let link = Link { bandwidth: 2.0 * MIB, ..LINK };
    let requests = simulate(&link, StartRate::Unbounded, 60.0);
    let slowest = between(&requests, 20.0, 60.0).map(|request| request.latency).fold(0.0, f64::max);
    assert!(slowest < 1.5, "{slowest} s");
}
