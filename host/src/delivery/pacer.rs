//! How fast a stream is written to.
//!
//! Two things bound a writer. A *rate*: the quota of the stream in records,
//! requests and bytes a second, of which nobody tells how large it is or who
//! else uses it. And a *window*: the number of requests under way, beyond which
//! an endpoint only answers later. Both are learnt from the answers.
//!
//! The rate starts at the region's documented quota, or without a bound where
//! there is none. Throttled records cut it to what was just accepted; after a
//! while it probes upwards again, more boldly the longer nothing happens. A cut
//! that does not make throttling rarer is undone: then it was not the rate, and
//! going slower would only be slow.
//!
//! Nothing here waits or looks at a clock: time comes in, decisions go out, so
//! that tests run years in milliseconds.

use std::collections::VecDeque;
use std::time::Duration;

/// What a stream takes in a second, as far as is documented.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Records a second.
    pub records: f64,
    /// Requests a second.
    pub requests: f64,
    /// Bytes a second, before base64.
    pub bytes: f64,
}

/// Where the rate starts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StartRate {
    /// At a quota; beyond it is found out by probing.
    Quota(Quota),
    /// Without a bound, until something is throttled.
    Unbounded,
}

impl StartRate {
    /// The documented quota of a region. Source: Amazon Data Firehose, quota
    /// page, "Direct PUT".
    pub fn of_region(region: &str) -> Self {
        let bytes_of_mib = |mib: f64| mib * 1024.0 * 1024.0;
        let quota = match region {
            "us-east-1" | "us-west-2" | "eu-west-1" => LARGE_QUOTA,
            _ => Quota { records: 100_000.0, requests: 1000.0, bytes: bytes_of_mib(1.0) },
        };
        StartRate::Quota(quota)
    }
}

const LARGE_QUOTA: Quota =
    Quota { records: 500_000.0, requests: 2000.0, bytes: 5.0 * 1024.0 * 1024.0 };

/// Time within which a burst may go out at once.
const BURST: Duration = Duration::from_millis(250);
/// What is sent this long after a cut meets what was sent before it, and says
/// nothing about the new rate.
const CUT_SETTLES: Duration = Duration::from_millis(250);
/// The time and the answers from which the effect of a cut is told.
const CUT_INTERVAL: Duration = Duration::from_secs(1);
const CUT_ANSWERS: u32 = 3;
/// The time's worth of bytes, at the rate, from which throttling is believed.
const CUT_EVIDENCE: Duration = Duration::from_millis(200);
/// Bytes after which what was seen before is forgotten.
const MEMORY_BYTES: f64 = 2.5 * 1024.0 * 1024.0;
/// Throttling that comes back after this long is another matter than the cut.
const CUT_REMEMBERED: Duration = Duration::from_secs(4);
/// The share of throttled records, beyond what no cut could mend, that counts.
const THROTTLED_TOLERATED: f64 = 0.02;
/// Cuts in a row that do not help before they are undone.
const FUTILE_CUTS_MAX: u32 = 3;
/// What a cut leaves of the rate that was just accepted, by the number of futile
/// cuts before it: the deeper one goes, the surer it is what the cut shows.
const CUT_LEAVES: [f64; FUTILE_CUTS_MAX as usize] = [CLOSE_TO_CEILING, 0.9, 0.8];
/// More throttling than this is never taken for granted, whatever cuts do.
const BACKGROUND_MAX: f64 = 0.6;
/// The smallest rate, as a share of the quota.
const SHARE_MIN: f64 = 0.05;
/// How close to what was last found to be too much it goes without probing.
const CLOSE_TO_CEILING: f64 = 0.97;
/// Growth in a second, up to the ceiling.
const GROWTH_TO_CEILING: f64 = 4.0;
/// Growth in a second when probing begins, and what is added to it for each
/// second without throttling.
const GROWTH_PROBING: f64 = 1.03;
const GROWTH_ADDED: f64 = 0.02;
const GROWTH_MAX: f64 = 2.0;
/// The pause before probing; it doubles each time that the same ceiling is hit.
const PROBE_PAUSE_FIRST: Duration = Duration::from_secs(2);
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ceilings this close to each other are the same.
const SAME_CEILING: f64 = 0.1;
/// Latency beyond so many times the lowest, and so much more than it, is taken
/// for a queue at the other side.
const LATENCY_FACTOR: f64 = 3.0;
const LATENCY_SLACK: Duration = Duration::from_millis(100);

/// Decides when a stream's next request may go out.
#[derive(Debug)]
pub(super) struct Pacer {
    quota: Quota,
    /// The rate as a share of the quota; none where it is without a bound.
    share: Option<f64>,
    /// When each of records, requests and bytes will have been paid for.
    paid_until: [Duration; 3],
    grown_at: Duration,
    ceiling: Ceiling,
    throttling: Throttling,
    accepted: Meter,
    window: Window,
}

/// A request's answer, as far as pacing goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Answered {
    /// When the request went out.
    pub(super) sent: Duration,
    /// The bytes of its records.
    pub(super) bytes: usize,
    /// The bytes of the records that were throttled.
    pub(super) throttled_bytes: usize,
    /// The bytes of the records that were accepted.
    pub(super) accepted_bytes: usize,
}

/// The rate that was last found to be too much.
#[derive(Debug)]
struct Ceiling {
    share: Option<f64>,
    probe_pause: Duration,
    probe_at: Duration,
}

/// What is known of throttling.
#[derive(Debug, Default)]
struct Throttling {
    /// Bytes that were sent since the last cut, and those of them that were
    /// throttled; older ones weigh less.
    bytes: f64,
    throttled_bytes: f64,
    answers: u32,
    /// The share of throttled bytes that no cut could mend.
    background: f64,
    /// The share before the last cut.
    before_cut: f64,
    futile_cuts: u32,
    /// The rate before the first cut that may be futile.
    share_before: Option<f64>,
    last_cut: Option<Duration>,
}

impl Pacer {
    pub(super) fn new(start: StartRate, window_max: usize, now: Duration) -> Self {
        let (quota, share) = match start {
            StartRate::Quota(quota) => (quota, Some(1.0)),
            StartRate::Unbounded => (LARGE_QUOTA, None),
        };
        Pacer {
            quota,
            share,
            paid_until: [Duration::ZERO; 3],
            grown_at: now,
            ceiling: Ceiling::new(share, now),
            throttling: Throttling::default(),
            accepted: Meter::new(now),
            window: Window::new(window_max),
        }
    }

    /// When the next request may go out: now, later, or (none) not before
    /// another one has been answered.
    pub(super) fn next_send(&mut self, now: Duration) -> Option<Duration> {
        if self.window.is_full() {
            return None;
        }
        self.grow(now);
        let paid = self.paid_until.into_iter().max().unwrap_or_default();
        Some(now.max(paid.saturating_sub(BURST)))
    }

    /// A request has gone out.
    pub(super) fn sent(&mut self, now: Duration, records: usize, bytes: usize) {
        self.window.under_way += 1;
        let Some(share) = self.share else { return };
        let Quota { records: records_max, requests: requests_max, bytes: bytes_max } = self.quota;
        let costs = [(records, records_max), (1, requests_max), (bytes, bytes_max)];
        for (paid, (cost, quota)) in self.paid_until.iter_mut().zip(costs) {
            *paid = (*paid).max(now) + Duration::from_secs_f64(cost as f64 / (quota * share));
        }
    }

    /// A request has been answered.
    pub(super) fn answered(&mut self, now: Duration, answer: Answered) {
        self.accepted.add(now, answer.accepted_bytes);
        self.window.answered(now, answer.sent);
        let last_cut = self.throttling.last_cut;
        if last_cut.is_none_or(|cut| answer.sent >= cut + CUT_SETTLES) {
            self.throttling.add(answer.bytes, answer.throttled_bytes);
        }
        let is_told = last_cut.is_none_or(|cut| now >= cut + CUT_INTERVAL);
        if is_told && self.throttling.is_too_much(self.evidence_bytes()) {
            self.cut(now);
        }
    }

    /// A request has failed as a whole, for a reason other than throttling.
    pub(super) fn failed(&mut self, now: Duration, sent: Duration) {
        self.window.failed(now, sent);
    }

    /// How much must have been sent before throttling says something about the
    /// rate: what is left of a batch to be sent again is next to nothing.
    fn evidence_bytes(&self) -> f64 {
        self.quota.bytes * self.share.unwrap_or(1.0) * CUT_EVIDENCE.as_secs_f64()
    }

    fn cut(&mut self, now: Duration) {
        let accepted = self.accepted.per_second(now) / self.quota.bytes;
        let share_before = self.share;
        if share_before.is_none() && accepted < 2.0 * SHARE_MIN {
            // Too little to be the reason.
            return;
        }
        if self.throttling.is_futile(now) {
            self.throttling.futile_cuts += 1;
        } else {
            self.throttling.futile_cuts = 0;
            self.throttling.share_before = share_before;
        }
        if self.throttling.futile_cuts >= FUTILE_CUTS_MAX {
            // Not the rate: what is seen now is there at any rate.
            self.throttling.background = self.throttling.seen();
            self.throttling.futile_cuts = 0;
            self.share = self.throttling.share_before;
            self.ceiling = Ceiling::new(self.share, now);
        } else {
            // What is accepted says little where little was sent.
            let share = share_before.map_or(accepted, |share| accepted.clamp(share / 2.0, share));
            // Where far less is accepted than was asked for, this is a step on
            // the way down and no rate to remember.
            if accepted >= share {
                self.ceiling.hit(now, share);
            }
            let leaves = CUT_LEAVES[self.throttling.futile_cuts as usize];
            self.share = Some((share * leaves).max(SHARE_MIN));
            self.throttling.before_cut = self.throttling.seen();
        }
        self.throttling.cut(now);
        // The other side has nothing saved up either: no burst.
        self.paid_until = [now + BURST; 3];
        self.grown_at = now;
    }

    fn grow(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.grown_at).as_secs_f64();
        self.grown_at = now;
        let Some(share) = self.share else { return };
        // A rate that nobody has used up says nothing about a higher one.
        let limits = self.paid_until.iter().any(|&paid| paid > now);
        if !limits || self.throttling.last_cut.is_some_and(|cut| now < cut + CUT_INTERVAL) {
            return;
        }
        let below = self.ceiling.share.map(|ceiling| ceiling * CLOSE_TO_CEILING);
        self.share = match below {
            Some(below) if share < below => {
                Some((share * GROWTH_TO_CEILING.powf(seconds)).min(below))
            }
            _ if now < self.ceiling.probe_at => Some(share),
            _ => {
                let calm = (now - self.ceiling.probe_at).as_secs_f64();
                let growth = (GROWTH_PROBING + GROWTH_ADDED * calm).min(GROWTH_MAX);
                let probed = share * growth.powf(seconds);
                self.ceiling.raise(probed);
                Some(probed)
            }
        };
    }
}

impl Ceiling {
    fn new(share: Option<f64>, now: Duration) -> Self {
        Ceiling { share, probe_pause: PROBE_PAUSE_FIRST, probe_at: now + PROBE_PAUSE_FIRST }
    }

    /// This share was too much.
    fn hit(&mut self, now: Duration, share: f64) {
        let is_same = self.share.is_some_and(|known| (known / share - 1.0).abs() <= SAME_CEILING);
        self.probe_pause =
            if is_same { (self.probe_pause * 2).min(PROBE_PAUSE_MAX) } else { PROBE_PAUSE_FIRST };
        self.share = Some(share);
        self.probe_at = now + self.probe_pause;
    }

    /// This share was not too much.
    fn raise(&mut self, share: f64) {
        self.share = self.share.map(|known| known.max(share));
    }
}

impl Throttling {
    fn add(&mut self, bytes: usize, throttled_bytes: usize) {
        self.answers += 1;
        let keeps = 1.0 - (bytes as f64 / MEMORY_BYTES).min(1.0);
        self.bytes = self.bytes * keeps + bytes as f64;
        self.throttled_bytes = self.throttled_bytes * keeps + throttled_bytes as f64;
        let seen = self.seen();
        if seen < self.background {
            self.background += 0.1 * (seen - self.background);
        }
    }

    /// The share of what was sent that was throttled.
    fn seen(&self) -> f64 {
        self.throttled_bytes / self.bytes.max(1.0)
    }

    fn is_too_much(&self, evidence_bytes: f64) -> bool {
        self.answers >= CUT_ANSWERS
            && self.bytes >= evidence_bytes.min(MEMORY_BYTES / 2.0)
            && self.seen() > self.background + THROTTLED_TOLERATED
    }

    /// Whether the last cut has not made throttling rarer.
    fn is_futile(&self, now: Duration) -> bool {
        self.last_cut.is_some_and(|cut| now < cut + CUT_REMEMBERED)
            && self.seen() > 0.6 * self.before_cut
            && self.seen() <= BACKGROUND_MAX
    }

    fn cut(&mut self, now: Duration) {
        (self.bytes, self.throttled_bytes, self.answers) = (0.0, 0.0, 0);
        self.last_cut = Some(now);
    }
}

/// How many requests may be under way.
#[derive(Debug)]
struct Window {
    size: f64,
    size_max: f64,
    under_way: usize,
    latency_min: Option<Duration>,
    /// When it was last made smaller.
    shrunk_at: Option<Duration>,
}

/// What is left of the window when a queue has formed.
const WINDOW_SHRINKS: f64 = 0.8;

impl Window {
    fn new(size_max: usize) -> Self {
        let size_max = size_max as f64;
        Window {
            size: size_max.min(4.0),
            size_max,
            under_way: 0,
            latency_min: None,
            shrunk_at: None,
        }
    }

    fn is_full(&self) -> bool {
        self.under_way as f64 + 1.0 > self.size
    }

    /// One more for each round without a queue; fewer, once a round, where one
    /// has formed.
    fn answered(&mut self, now: Duration, sent: Duration) {
        let latency = now.saturating_sub(sent);
        let was_used = self.is_full();
        self.under_way = self.under_way.saturating_sub(1);
        // The lowest is forgotten slowly, since endpoints change.
        let lowest = self.latency_min.map_or(latency, |lowest| latency.min(lowest.mul_f64(1.001)));
        self.latency_min = Some(lowest);
        if latency > lowest.mul_f64(LATENCY_FACTOR) + LATENCY_SLACK {
            self.shrink(now, sent);
        } else if was_used {
            self.size = (self.size + 1.0 / self.size).min(self.size_max);
        }
    }

    fn failed(&mut self, now: Duration, sent: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.shrink(now, sent);
    }

    /// What was sent before the window shrank says nothing about the new one.
    fn shrink(&mut self, now: Duration, sent: Duration) {
        if self.shrunk_at.is_none_or(|shrunk| sent >= shrunk) {
            self.size = (self.size * WINDOW_SHRINKS).max(1.0);
            self.shrunk_at = Some(now);
        }
    }
}

/// The bytes accepted in the last second.
#[derive(Debug)]
struct Meter {
    started: Duration,
    recent: VecDeque<(Duration, usize)>,
    bytes: usize,
}

const METER_SPAN: Duration = Duration::from_secs(1);
const METER_SPAN_MIN: Duration = Duration::from_millis(100);

impl Meter {
    fn new(now: Duration) -> Self {
        Meter { started: now, recent: VecDeque::new(), bytes: 0 }
    }

    fn add(&mut self, now: Duration, bytes: usize) {
        self.recent.push_back((now, bytes));
        self.bytes += bytes;
        self.forget(now);
    }

    fn forget(&mut self, now: Duration) {
        while let Some(&(at, bytes)) = self.recent.front()
            && at + METER_SPAN < now
        {
            self.recent.pop_front();
            self.bytes -= bytes;
        }
    }

    fn per_second(&mut self, now: Duration) -> f64 {
        self.forget(now);
        let span = (now - self.started).clamp(METER_SPAN_MIN, METER_SPAN);
        self.bytes as f64 / span.as_secs_f64()
    }
}

#[cfg(test)]
mod tests;
