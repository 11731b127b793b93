//! Tests the pacer against models of links: the inputs are the capacities of a link, the expected
//! results are bounds of its utilization.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use super::*;
use standpipe_aws::limits::RETRY_PAUSE_FIRST;
use standpipe_aws::limits::RETRY_PAUSE_MAX;

const MIB: f64 = 1024.0 * 1024.0;
const RECORDS: usize = 500;
const RECORD_BYTES: usize = 820;

/// The seconds of unused capacity that a link saves up.
const LINK_BURST: f64 = 0.5;

/// At least this number of throttled records form a request. Fewer of them wait this long for more.
const LEFTOVERS_MIN: usize = RECORDS / 2;
const LEFTOVERS_WAIT: Duration = Duration::from_millis(250);

/// A link, at a time in seconds.
struct Link {
    /// Bytes per second above which records are throttled.
    capacity: fn(f64) -> f64,
    /// The share of records that is throttled at any rate.
    throttled: fn(f64) -> f64,
    /// Bytes per second that the endpoint processes. More requests wait in a queue.
    bandwidth: f64,
    latency: f64,
}

const LINK: Link =
    Link { capacity: |_| f64::MAX, throttled: |_| 0.0, bandwidth: f64::MAX, latency: 0.02 };

/// An endpoint on the same machine, limited by its processor.
const BUSY_LINK: Link = Link { bandwidth: 400.0 * MIB, latency: 0.002, ..LINK };

/// One request of a simulated run.
#[derive(Debug, Clone, Copy)]
struct Request {
    sent: f64,
    latency: f64,
    records: usize,
    throttled: usize,
    accepted_bytes: usize,
    /// Number of consecutive attempts without an accepted record.
    consecutive_failures: u32,
}

/// Throttled records, by the time from which they may be sent again.
#[derive(Default)]
struct Leftovers {
    due: BTreeMap<(Duration, usize), (usize, u32)>,
    added: usize,
}

impl Leftovers {
    fn add(&mut self, due: Duration, records: usize, consecutive_failures: u32) {
        self.added += 1;
        self.due.insert((due, self.added), (records, consecutive_failures));
    }

    /// Takes a request of due records, if there are enough.
    fn take(&mut self, now: Duration) -> Option<(usize, u32)> {
        let (&(oldest, _), _) = self.due.first_key_value()?;
        let due = || self.due.range(..=(now, usize::MAX)).map(|(_, (records, _))| records);
        let mut sum = 0;
        let is_enough = due().any(|records| {
            sum += records;
            sum >= LEFTOVERS_MIN
        });
        if !is_enough && now < oldest + LEFTOVERS_WAIT {
            return None;
        }
        let (mut taken, mut fruitless_max) = (0, 0);
        while taken < RECORDS
            && let Some(entry) = self.due.first_entry()
            && entry.key().0 <= now
        {
            let ((due, _), (records, consecutive_failures)) = entry.remove_entry();
            let fits = records.min(RECORDS - taken);
            taken += fits;
            fruitless_max = consecutive_failures.max(fruitless_max);
            if fits < records {
                self.add(due, records - fits, consecutive_failures);
            }
        }
        Some((taken, fruitless_max))
    }
}

/// The number of hits among these records with this probability.
fn drawn(random: &mut fastrand::Rng, records: usize, probability: f64) -> usize {
    // The sum of twelve uniform numbers is nearly normal with variance 1.
    let deviation = (0..12).map(|_| random.f64()).sum::<f64>() - 6.0;
    let mean = records as f64 * probability;
    let drawn = mean + deviation * (mean * (1.0 - probability)).sqrt();
    (drawn.round().max(0.0) as usize).min(records)
}

/// Writes to a link for this number of seconds, and always has something to send.
fn simulate(link: &Link, start: StartRate, seconds: f64) -> Vec<Request> {
    let mut random = fastrand::Rng::with_seed(7);
    let mut pacer = Pacer::new(start, 16, Duration::ZERO);
    let mut requests: Vec<Request> = Vec::new();
    let mut under_way = BinaryHeap::new();
    let mut leftovers = Leftovers::default();
    let mut tokens = (link.capacity)(0.0) * LINK_BURST;
    let (mut now, mut filled, mut busy_until) = (0.0_f64, 0.0_f64, 0.0_f64);
    while now < seconds {
        let time = Duration::from_secs_f64(now);
        let next = pacer.next_send(time);
        if next == Some(time) {
            let (records, consecutive_failures) = leftovers.take(time).unwrap_or((RECORDS, 0));
            let capacity = (link.capacity)(now);
            tokens = (tokens + capacity * (now - filled)).min(capacity * LINK_BURST);
            filled = now;
            let admitted = ((tokens / RECORD_BYTES as f64) as usize).min(records);
            let unlucky = drawn(&mut random, admitted, (link.throttled)(now));
            let accepted_bytes = (admitted - unlucky) * RECORD_BYTES;
            tokens -= accepted_bytes as f64;
            busy_until = busy_until.max(now) + (records * RECORD_BYTES) as f64 / link.bandwidth;
            let latency = link.latency + (busy_until - now);
            let throttled = records - admitted + unlucky;
            pacer.sent(time, records, records * RECORD_BYTES);
            under_way.push(Reverse((Duration::from_secs_f64(now + latency), requests.len())));
            let consecutive_failures =
                if throttled == records { consecutive_failures + 1 } else { 0 };
            requests.push(Request {
                sent: now,
                latency,
                records,
                throttled,
                accepted_bytes,
                consecutive_failures,
            });
            continue;
        }
        let answer = under_way.peek().map(|Reverse((at, _))| *at);
        let Some(at) = [next, answer].into_iter().flatten().min() else { panic!("it is stuck") };
        now = at.as_secs_f64();
        if answer == Some(at) {
            let Some(Reverse((_, index))) = under_way.pop() else { unreachable!() };
            let Request { sent, records, throttled, accepted_bytes, consecutive_failures, .. } =
                requests[index];
            if throttled > 0 {
                let doubled =
                    RETRY_PAUSE_FIRST * 2_u32.pow(consecutive_failures.saturating_sub(1).min(10));
                let pause = doubled.min(RETRY_PAUSE_MAX).mul_f64(random.f64());
                leftovers.add(at + pause, throttled, consecutive_failures);
            }
            let sent = Duration::from_secs_f64(sent);
            let (bytes, throttled_bytes) = (records * RECORD_BYTES, throttled * RECORD_BYTES);
            let feedback = Feedback::Answered { bytes, throttled_bytes, accepted_bytes };
            pacer.learn(at, sent, feedback);
        }
    }
    requests
}

fn between(requests: &[Request], from: f64, to: f64) -> &[Request] {
    let index_of = |at: f64| requests.partition_point(|request| request.sent < at);
    &requests[index_of(from)..index_of(to)]
}

fn accepted_per_second(requests: &[Request], from: f64, to: f64) -> f64 {
    between(requests, from, to).iter().map(|request| request.accepted_bytes as f64).sum::<f64>()
        / (to - from)
}

fn throttled_share(requests: &[Request], from: f64, to: f64) -> f64 {
    let requests = between(requests, from, to);
    let throttled: usize = requests.iter().map(|request| request.throttled).sum();
    throttled as f64 / requests.iter().map(|request| request.records).sum::<usize>() as f64
}

struct Case {
    name: &'static str,
    link: Link,
    start: StartRate,
    /// The judged time span in seconds.
    span: (f64, f64),
    /// The possible accepted rate per second.
    possible: f64,
    used_min: f64,
    throttled_max: f64,
}

#[test]
fn links_are_used_and_little_is_throttled() {
    let documented = StartRate::of_region("us-east-1");
    let unbounded = StartRate::Unbounded;
    // 16 requests in flight, each with a response after 20 ms.
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
            name: "a tenth fails on a busy endpoint",
            link: Link { throttled: |_| 0.1, ..BUSY_LINK },
            start: unbounded,
            span: (5.0, 60.0),
            possible: 0.9 * 400.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.11,
        },
        Case {
            name: "a tenth fails within the documented quota",
            link: Link { capacity: |_| 5.0 * MIB, throttled: |_| 0.1, ..LINK },
            start: documented,
            span: (5.0, 120.0),
            possible: 0.9 * 5.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.12,
        },
        Case {
            name: "a tenth fails with an unknown quota",
            link: Link { capacity: |_| 100.0 * MIB, throttled: |_| 0.1, ..LINK },
            start: unbounded,
            span: (5.0, 120.0),
            possible: 0.9 * 100.0 * MIB,
            used_min: 0.9,
            throttled_max: 0.12,
        },
        Case {
            name: "one in forty fails on a busy endpoint",
            link: Link { throttled: |_| 0.025, ..BUSY_LINK },
            start: unbounded,
            span: (5.0, 60.0),
            possible: 0.975 * 400.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.03,
        },
        Case {
            name: "one in fifty fails within the documented quota",
            link: Link { capacity: |_| 5.0 * MIB, throttled: |_| 0.02, ..LINK },
            start: documented,
            span: (5.0, 120.0),
            possible: 0.98 * 5.0 * MIB,
            used_min: 0.95,
            throttled_max: 0.04,
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

/// When half of all records begin to be throttled at any rate, and when that ends.
const HALF_THROTTLED: (f64, f64) = (20.0, 50.0);

fn half(at: f64) -> f64 {
    if (HALF_THROTTLED.0..HALF_THROTTLED.1).contains(&at) { 0.5 } else { 0.0 }
}

/// The same, alternating three seconds on and three seconds off.
fn half_now_and_then(at: f64) -> f64 {
    if (at - HALF_THROTTLED.0) % 6.0 < 3.0 { half(at) } else { 0.0 }
}

#[test]
fn half_of_all_records_throttled_for_half_a_minute_is_soon_over() {
    let documented = StartRate::of_region("us-east-1");
    let unbounded = StartRate::Unbounded;
    let small = |capacity| Link { capacity, throttled: half, ..LINK };
    let cases = [
        ("the window bounds it", Link { throttled: half, ..LINK }, unbounded),
        ("the processor bounds it", Link { throttled: half, ..BUSY_LINK }, unbounded),
        ("it comes and goes", Link { throttled: half_now_and_then, ..BUSY_LINK }, unbounded),
        ("the documented quota", small(|_| 5.0 * MIB), documented),
        ("an unknown quota", small(|_| 100.0 * MIB), unbounded),
        (
            "an unknown quota close by",
            Link { capacity: |_| 100.0 * MIB, throttled: half, ..BUSY_LINK },
            unbounded,
        ),
    ];
    let (began, ended) = HALF_THROTTLED;
    let mut wrong = Vec::new();
    for (name, link, start) in cases {
        let requests = simulate(&link, start, ended + 40.0);
        let before = accepted_per_second(&requests, began - 10.0, began);
        let recovered = (0..200)
            .map(|tenths| f64::from(tenths) / 10.0)
            .find(|&at| {
                accepted_per_second(&requests, ended + at, ended + at + 1.0) >= 0.95 * before
            })
            .unwrap_or(f64::MAX);
        let during = accepted_per_second(&requests, began + 5.0, ended) / before;
        let after = accepted_per_second(&requests, ended + 10.0, ended + 40.0) / before;
        let throttled_soon = throttled_share(&requests, ended, ended + 10.0);
        let throttled = throttled_share(&requests, ended + 10.0, ended + 40.0);
        let outcome = format!(
            "{name}: {during:.3} of before during it, recovered in {recovered} s ({throttled_soon:.3} \
             throttled in ten), then {after:.3} of before, {throttled:.4} throttled"
        );
        let is_good = recovered <= 3.0 && during >= 0.45 && after >= 0.95 && throttled <= 0.03;
        if !is_good {
            wrong.push(outcome);
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
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
        let sent = between(&requests, 30.0, 50.0).len();
        assert!(sent < 20 * 50, "{sent} requests while nothing is taken");
    }
}

#[test]
fn a_slow_endpoint_is_not_buried_in_requests() {
    let link = Link { bandwidth: 2.0 * MIB, ..LINK };
    let requests = simulate(&link, StartRate::Unbounded, 60.0);
    let slowest =
        between(&requests, 20.0, 60.0).iter().map(|request| request.latency).fold(0.0, f64::max);
    assert!(slowest < 1.5, "{slowest} s");
}
