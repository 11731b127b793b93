//! How fast a stream is written to.
//!
//! Two things bound a writer. A *rate*: the quota of the stream in records,
//! requests and bytes a second, of which nobody knows how large it is or who
//! else uses it. And a *window*: the number of requests under way, beyond which
//! an endpoint only answers later. Both are learnt from the answers.
//!
//! The rate starts at the region's documented quota, or without a bound where
//! there is none. What was sent is judged in samples of half a second. Throttling
//! cuts the rate to what was accepted, and the next sample shows whether that was
//! the reason.
//!
//! - If it was, a ceiling is found. The first time that may be chance, so the rate
//!   goes straight back to what used to work; where it meets the same ceiling
//!   again it stays below, and after a while probes upwards, more boldly the
//!   longer nothing happens.
//! - If throttling is not rarer for going slower, it is there at any rate: it is
//!   put up with, and the rate is what it was before. Once it ends, whatever was
//!   found out during it is forgotten.
//!
//! Nothing here waits or looks at a clock: time comes in, decisions go out, so
//! that tests run years in milliseconds.

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
        StartRate::Quota(match region {
            "us-east-1" | "us-west-2" | "eu-west-1" => LARGE_QUOTA,
            _ => SMALL_QUOTA,
        })
    }
}

const LARGE_QUOTA: Quota =
    Quota { records: 500_000.0, requests: 2000.0, bytes: 5.0 * 1024.0 * 1024.0 };
const SMALL_QUOTA: Quota = Quota { records: 100_000.0, requests: 1000.0, bytes: 1024.0 * 1024.0 };

/// Time within which a burst may go out at once.
const BURST: Duration = Duration::from_millis(250);
/// What is sent this long after the rate changed meets what was sent before it,
/// and says nothing about the new rate.
const RATE_SETTLES: Duration = Duration::from_millis(250);
/// A sample covers at least this time, this many answers, and this time's worth
/// of bytes at the rate: what is left of a batch to be sent again is next to
/// nothing.
const SAMPLE_SPAN: Duration = Duration::from_millis(500);
const SAMPLE_ANSWERS: u32 = 2;
const SAMPLE_EVIDENCE: Duration = Duration::from_millis(200);
/// The share of throttled records that is none of our business: it costs less
/// than a cut.
const THROTTLED_TOLERATED: f64 = 0.02;
/// How far background throttling may rise above its share, as a part of it: more
/// than by chance.
const BACKGROUND_VARIES: f64 = 0.1;
/// The weight of a new sample where background throttling becomes rarer.
const BACKGROUND_FOLLOWS: f64 = 0.1;
/// Cuts in a row that do not help before throttling is put up with. One may
/// coincide with a change at the other side.
const FUTILE_CUTS_MAX: u32 = 2;
/// More throttling than this is never put up with, whatever cuts do.
const BACKGROUND_MAX: f64 = 0.6;
/// With more background throttling than this, no rate is probed beyond the one
/// from before: it could be too much by as much, once the throttling has ended.
const BACKGROUND_PROBED_MAX: f64 = 0.2;
/// What a cut leaves at least: a sample may be wrong.
const CUT_LEAVES_MIN: f64 = 0.5;
/// The smallest rate, as a share of the quota.
const SHARE_MIN: f64 = 0.05;
/// How close to what was last found to be too much it goes without probing.
const CLOSE_TO_CEILING: f64 = 0.97;
/// Growth in a second, up to the ceiling.
const GROWTH_TO_CEILING: f64 = 4.0;
/// Growth in a second when probing begins, and what is added to it for each
/// second without throttling.
const GROWTH_PROBING: f64 = 1.03;
const GROWTH_ADDED: f64 = 0.01;
const GROWTH_MAX: f64 = 2.0;
/// The pause before a rate that used to work is tried again: one calm sample.
const DOUBT_PAUSE: Duration = Duration::from_millis(500);
/// The pause before probing; it doubles each time that the same ceiling is hit.
const PROBE_PAUSE_FIRST: Duration = Duration::from_secs(2);
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ceilings this close to each other are the same: at low rates a sample is a
/// handful of requests, and a link lets through what it has saved up.
const SAME_CEILING: f64 = 0.25;
/// Latency beyond so many times the lowest, and so much more than it, is taken
/// for a queue at the other side.
const LATENCY_FACTOR: f64 = 3.0;
const LATENCY_SLACK: Duration = Duration::from_millis(100);

/// How fast records may go out.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Rate {
    /// A share of the quota.
    Share(f64),
    /// As fast as the window lets them.
    Unbounded,
}

/// Decides when a stream's next request may go out.
#[derive(Debug)]
pub(super) struct Pacer {
    quota: Quota,
    rate: Rate,
    /// When each of records, requests and bytes will have been paid for.
    paid_until: [Duration; 3],
    grown_at: Duration,
    ceiling: Ceiling,
    sample: RateSample,
    throttling: Throttling,
    window: RequestWindow,
}

/// What came of a request, as far as the pace of the ones to come depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feedback {
    /// It was answered, perhaps with some of its records throttled.
    Answered {
        /// The bytes of its records.
        bytes: usize,
        /// The bytes of the records that were throttled.
        throttled_bytes: usize,
        /// The bytes of the records that were accepted.
        accepted_bytes: usize,
    },
    /// It was refused for what it holds, or for its size, which says nothing about how fast
    /// the stream is.
    Refused {
        /// The bytes of its records.
        bytes: usize,
    },
    /// It failed as a whole, for a reason other than throttling.
    Failed,
    /// Its record was refused by name, on a stream that accepts none: it was looked at, so
    /// the next one may be sent soon.
    HeldBriefly,
    /// It failed in a way that the next one will too.
    Held,
}

/// The rate that was last found to be too much.
#[derive(Debug)]
struct Ceiling {
    /// The rate up to which it goes without probing.
    share: Option<f64>,
    /// The fastest rate that was cut on the way down to it.
    cut_from: Option<Rate>,
    /// What it was when cuts last helped.
    found: Option<f64>,
    /// The rate that has been seen to work, until the same ceiling is found below
    /// it a second time: the first may have been chance.
    proven: Rate,
    probe_pause: Duration,
    probe_at: Duration,
}

/// What was sent at one rate, and what became of it.
#[derive(Debug, Default)]
struct RateSample {
    /// What was sent before does not belong to it.
    since: Duration,
    first_sent: Duration,
    last_sent: Duration,
    /// The bytes of the request that was sent last.
    last_bytes: usize,
    answers: u32,
    bytes: f64,
    throttled_bytes: f64,
    accepted_bytes: f64,
}

/// What is known of throttling.
#[derive(Debug, Default)]
struct Throttling {
    /// The cut that is on trial.
    trial: Option<Trial>,
    background: Option<Background>,
}

/// A cut of which the next sample shows whether it helps.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// The rate before the first cut that may be futile.
    before: Rate,
    /// The share of records that were throttled before the cut.
    throttled: f64,
    /// The share that will be throttled if the rate is the reason.
    expected: f64,
    futile_cuts: u32,
}

/// Throttling that no cut reduces.
#[derive(Debug, Clone, Copy)]
struct Background {
    throttled: f64,
    /// The rate before it began.
    before: Rate,
}

impl Pacer {
    pub(super) fn new(start: StartRate, window_max: usize, now: Duration) -> Self {
        let (quota, rate) = match start {
            StartRate::Quota(quota) => (quota, Rate::Share(1.0)),
            StartRate::Unbounded => (LARGE_QUOTA, Rate::Unbounded),
        };
        Pacer {
            quota,
            rate,
            paid_until: [Duration::ZERO; 3],
            grown_at: now,
            ceiling: Ceiling::new(rate, now),
            sample: RateSample::new(now),
            throttling: Throttling::default(),
            window: RequestWindow::new(window_max),
        }
    }

    /// When the next request may go out: now, later, or (none) not before
    /// another one has been answered.
    pub(super) fn next_send(&mut self, now: Duration) -> Option<Duration> {
        if self.window.is_full() {
            return None;
        }
        self.grow_rate(now);
        let paid = self.paid_until.into_iter().max().unwrap_or_default();
        Some(now.max(paid.saturating_sub(BURST)))
    }

    /// A request has gone out.
    pub(super) fn sent(&mut self, now: Duration, records: usize, bytes: usize) {
        self.window.under_way += 1;
        let Rate::Share(share) = self.rate else { return };
        let Quota { records: records_max, requests: requests_max, bytes: bytes_max } = self.quota;
        let costs = [(records, records_max), (1, requests_max), (bytes, bytes_max)];
        for (paid, (cost, quota)) in self.paid_until.iter_mut().zip(costs) {
            *paid = (*paid).max(now) + Duration::from_secs_f64(cost as f64 / (quota * share));
        }
    }

    /// Something has come of the request that went out at `sent`.
    pub(super) fn learn(&mut self, now: Duration, sent: Duration, feedback: Feedback) {
        let (bytes, throttled_bytes, accepted_bytes) = match feedback {
            Feedback::Answered { bytes, throttled_bytes, accepted_bytes } => {
                (bytes, throttled_bytes, accepted_bytes)
            }
            Feedback::Refused { bytes } => (bytes, 0, 0),
            Feedback::Failed | Feedback::HeldBriefly | Feedback::Held => {
                self.window.failed(now, sent);
                return;
            }
        };
        self.window.request_answered(now, sent);
        self.sample.add(sent, bytes, throttled_bytes, accepted_bytes);
        if self.sample.is_enough(self.evidence_bytes()) {
            self.judge_sample(now);
        }
    }

    fn evidence_bytes(&self) -> f64 {
        let share = if let Rate::Share(share) = self.rate { share } else { 1.0 };
        self.quota.bytes * share * SAMPLE_EVIDENCE.as_secs_f64()
    }

    /// What the sample says about the rate.
    fn judge_sample(&mut self, now: Duration) {
        let seen = self.sample.throttled_share();
        let trial = self.throttling.trial.take();
        match trial {
            Some(trial) if trial.is_futile(seen) => self.cut_in_vain(now, trial, seen),
            _ if self.throttling.is_background_over(seen) => self.background_is_over(now),
            _ if self.throttling.is_too_much(seen) => self.cut_rate(now, seen, self.rate, 0),
            _ => {
                match trial {
                    Some(_) => self.ceiling.settle_ceiling(now),
                    // Nothing was throttled at this rate.
                    None if self.rate > self.ceiling.proven => self.ceiling.proven = self.rate,
                    None => {}
                }
                self.throttling.follow_background(seen);
                self.sample = RateSample::new(self.sample.last_sent);
            }
        }
    }

    /// What was found out meanwhile says nothing.
    fn background_is_over(&mut self, now: Duration) {
        if let Some(background) = self.throttling.background.take() {
            self.ceiling = Ceiling::new(background.before, now);
        }
        self.set_rate(now, self.rate);
    }

    /// The last cut has not made throttling rarer.
    fn cut_in_vain(&mut self, now: Duration, trial: Trial, seen: f64) {
        let futile_cuts = trial.futile_cuts + 1;
        if futile_cuts < FUTILE_CUTS_MAX || seen > BACKGROUND_MAX {
            self.cut_rate(now, seen, trial.before, futile_cuts);
            return;
        }
        let known = self.throttling.background;
        let before = known.map_or(trial.before, |background| background.before);
        self.throttling.background = Some(Background { throttled: seen, before });
        self.set_rate(now, trial.before);
        self.ceiling = Ceiling::new(self.rate, now);
    }

    /// Go on with what was just accepted, and see whether that helps.
    fn cut_rate(&mut self, now: Duration, seen: f64, before: Rate, futile_cuts: u32) {
        let sent = self.sample.bytes_per_second() / self.quota.bytes;
        let from = match self.rate {
            Rate::Share(share) => share,
            Rate::Unbounded if sent < 2.0 * SHARE_MIN => {
                // Too little to be the reason.
                self.sample = RateSample::new(self.sample.last_sent);
                return;
            }
            Rate::Unbounded => sent,
        };
        let accepted = sent.min(from) * self.sample.accepted_share();
        // Where far less is accepted than was asked for, this is a step on the way
        // down and no rate to remember.
        let least = from * CUT_LEAVES_MIN;
        if accepted >= least {
            self.ceiling.record_hit(self.rate, accepted);
        }
        let share = (accepted.max(least) * CLOSE_TO_CEILING).max(SHARE_MIN);
        let expected = (1.0 - accepted / share).max(self.throttling.background_share());
        self.throttling.trial = Some(Trial { before, throttled: seen, expected, futile_cuts });
        self.set_rate(now, Rate::Share(share));
    }

    fn set_rate(&mut self, now: Duration, rate: Rate) {
        self.rate = rate;
        self.sample = RateSample::new(now + RATE_SETTLES);
        // The other side has nothing saved up either: no burst.
        self.paid_until = [now + BURST; 3];
        self.grown_at = now;
    }

    fn grow_rate(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.grown_at).as_secs_f64();
        self.grown_at = now;
        let Rate::Share(share) = self.rate else { return };
        // A rate that nobody has used up says nothing about a higher one.
        let limits = self.paid_until.iter().any(|&paid| paid > now);
        let is_held = self.throttling.trial.is_some()
            || self.throttling.is_too_much(self.sample.throttled_share())
            || self.throttling.hides_ceiling(self.rate);
        if !limits || is_held {
            return;
        }
        let below = self.ceiling.share.map(|ceiling| ceiling * CLOSE_TO_CEILING);
        self.rate = Rate::Share(match below {
            Some(below) if share < below => (share * GROWTH_TO_CEILING.powf(seconds)).min(below),
            _ if now < self.ceiling.probe_at => share,
            _ => {
                let probed = self.ceiling.probed_share(now, share, seconds);
                self.ceiling.share = self.ceiling.share.map(|known| known.max(probed));
                probed
            }
        });
    }
}

impl Ceiling {
    fn new(rate: Rate, now: Duration) -> Self {
        let share = if let Rate::Share(share) = rate { Some(share) } else { None };
        Ceiling {
            share,
            cut_from: None,
            found: None,
            proven: rate,
            probe_pause: PROBE_PAUSE_FIRST,
            probe_at: now + PROBE_PAUSE_FIRST,
        }
    }

    /// Of this rate, this share was accepted.
    fn record_hit(&mut self, rate: Rate, accepted: f64) {
        self.cut_from = self.cut_from.filter(|&from| from > rate).or(Some(rate));
        self.share = Some(accepted);
    }

    /// Nothing more is throttled below it.
    fn settle_ceiling(&mut self, now: Duration) {
        let (Some(share), Some(from)) = (self.share, self.cut_from.take()) else { return };
        let is_same = self.found.is_some_and(|found| {
            from > Rate::Share(found) && (share / found - 1.0).abs() <= SAME_CEILING
        });
        self.found = Some(share);
        if is_same {
            self.proven = Rate::Share(share * CLOSE_TO_CEILING);
            self.probe_pause = (self.probe_pause * 2).min(PROBE_PAUSE_MAX);
            self.probe_at = now + self.probe_pause;
        } else {
            self.probe_pause = PROBE_PAUSE_FIRST;
            self.probe_at = now + DOUBT_PAUSE;
        }
    }

    /// Beyond the ceiling: at once to what used to work, slowly from there on.
    fn probed_share(&self, now: Duration, share: f64, seconds: f64) -> f64 {
        let rate = Rate::Share(share);
        if rate < self.proven {
            let grown = share * GROWTH_TO_CEILING.powf(seconds);
            return if let Rate::Share(proven) = self.proven { grown.min(proven) } else { grown };
        }
        let calm = (now - self.probe_at).as_secs_f64();
        let growth = (GROWTH_PROBING + GROWTH_ADDED * calm).min(GROWTH_MAX);
        share * growth.powf(seconds)
    }
}

impl RateSample {
    fn new(since: Duration) -> Self {
        RateSample { since, first_sent: Duration::MAX, last_sent: since, ..RateSample::default() }
    }

    fn add(&mut self, sent: Duration, bytes: usize, throttled_bytes: usize, accepted_bytes: usize) {
        if sent < self.since {
            return;
        }
        self.first_sent = self.first_sent.min(sent);
        if sent >= self.last_sent {
            (self.last_sent, self.last_bytes) = (sent, bytes);
        }
        self.answers += 1;
        self.bytes += bytes as f64;
        self.throttled_bytes += throttled_bytes as f64;
        self.accepted_bytes += accepted_bytes as f64;
    }

    fn is_enough(&self, evidence_bytes: f64) -> bool {
        self.answers >= SAMPLE_ANSWERS
            && self.covered_time() >= SAMPLE_SPAN
            && self.bytes >= evidence_bytes
    }

    /// The time between its first request and its last.
    fn covered_time(&self) -> Duration {
        self.last_sent.saturating_sub(self.first_sent)
    }

    /// The rate at which requests went out; the time after the last is not known.
    fn bytes_per_second(&self) -> f64 {
        (self.bytes - self.last_bytes as f64) / self.covered_time().max(SAMPLE_SPAN).as_secs_f64()
    }

    /// The share of what was sent that was throttled.
    fn throttled_share(&self) -> f64 {
        self.throttled_bytes / self.bytes.max(1.0)
    }

    /// The share of what was sent that was accepted.
    fn accepted_share(&self) -> f64 {
        self.accepted_bytes / self.bytes.max(1.0)
    }
}

impl Throttling {
    fn background_share(&self) -> f64 {
        self.background.map_or(0.0, |background| background.throttled)
    }

    fn is_too_much(&self, seen: f64) -> bool {
        seen > self.background_share() * (1.0 + BACKGROUND_VARIES) + THROTTLED_TOLERATED
    }

    /// Whether a faster rate could be too much without that being seen.
    fn hides_ceiling(&self, rate: Rate) -> bool {
        self.background
            .is_some_and(|known| known.throttled > BACKGROUND_PROBED_MAX && rate >= known.before)
    }

    fn is_background_over(&self, seen: f64) -> bool {
        self.background.is_some_and(|background| seen <= background.throttled / 2.0)
    }

    /// Background throttling that becomes rarer is followed. Where it becomes more
    /// frequent, that may be the rate's doing.
    fn follow_background(&mut self, seen: f64) {
        if let Some(Background { throttled, .. }) = &mut self.background
            && seen < *throttled
        {
            *throttled += BACKGROUND_FOLLOWS * (seen - *throttled);
        }
    }
}

impl Trial {
    /// Whether throttling is closer to what it was before the cut than to what it
    /// would be if the rate were the reason.
    fn is_futile(&self, seen: f64) -> bool {
        seen > f64::midpoint(self.throttled, self.expected)
    }
}

/// How many requests may be under way.
#[derive(Debug)]
struct RequestWindow {
    size: f64,
    size_max: f64,
    under_way: usize,
    latency_min: Option<Duration>,
    /// When it was last made smaller.
    shrunk_at: Option<Duration>,
}

/// What is left of the window when a queue has formed.
const WINDOW_SHRINKS: f64 = 0.8;

impl RequestWindow {
    fn new(size_max: usize) -> Self {
        let size_max = size_max as f64;
        RequestWindow {
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
    fn request_answered(&mut self, now: Duration, sent: Duration) {
        let latency = now.saturating_sub(sent);
        let was_used = self.is_full();
        self.under_way = self.under_way.saturating_sub(1);
        // The lowest is forgotten slowly, since endpoints change.
        let lowest = self.latency_min.map_or(latency, |lowest| latency.min(lowest.mul_f64(1.001)));
        self.latency_min = Some(lowest);
        if latency > lowest.mul_f64(LATENCY_FACTOR) + LATENCY_SLACK {
            self.shrink_window(now, sent);
        } else if was_used {
            self.size = (self.size + 1.0 / self.size).min(self.size_max);
        }
    }

    fn failed(&mut self, now: Duration, sent: Duration) {
        self.under_way = self.under_way.saturating_sub(1);
        self.shrink_window(now, sent);
    }

    /// What was sent before the window shrank says nothing about the new one.
    fn shrink_window(&mut self, now: Duration, sent: Duration) {
        if self.shrunk_at.is_none_or(|shrunk| sent >= shrunk) {
            self.size = (self.size * WINDOW_SHRINKS).max(1.0);
            self.shrunk_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
