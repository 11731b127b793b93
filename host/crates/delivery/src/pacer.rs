//! Controls the rate at which records are sent to a stream.
//!
//! Two things limit a writer. The first is a *rate*: the quota of the stream in records, requests
//! and bytes per second. Its size and its other users are unknown. The second is a *window*: the
//! number of requests in flight above which an endpoint only responds later. The pacer learns both
//! from the responses.
//!
//! The rate starts at the region's documented quota, or without a limit if the region has none. The
//! pacer judges the sent records in samples of half a second. Throttling reduces the rate to the
//! accepted part, and the next sample shows whether the rate was the reason.
//!
//! - If it was, the pacer has found a ceiling. The first hit may be chance, so the rate returns at
//!   once to the rate that worked before. If it hits the same ceiling again, it stays below, and
//!   probes upwards after some time, in larger steps the longer no throttling occurs.
//! - If throttling does not decrease at the lower rate, it occurs at any rate. The pacer then
//!   tolerates it, and the rate returns to its former value. When this background throttling ends,
//!   everything learned during it is discarded.
//!
//! The pacer neither waits nor reads a clock. Callers pass the time and receive decisions, so tests
//! run years in milliseconds.

use std::time::Duration;

/// The documented capacity of a stream per second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quota {
    /// Records per second.
    pub records: f64,
    /// Requests per second.
    pub requests: f64,
    /// Bytes per second, before base64.
    pub bytes: f64,
}

/// The initial rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum StartRate {
    /// The rate starts at a quota. Probing finds out whether more is possible.
    Quota(Quota),
    /// The rate has no limit until something is throttled.
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

/// The maximum burst, as a time at the current rate.
const BURST: Duration = Duration::from_millis(250);
/// For this time after a change, requests still meet the load from before, and say nothing about
/// the new rate.
const RATE_SETTLES: Duration = Duration::from_millis(250);
/// A sample covers at least this time, this number of responses, and this time's worth of bytes at
/// the rate. Without the last condition, the small rest of a batch that is sent again could be a
/// sample.
const SAMPLE_SPAN: Duration = Duration::from_millis(500);
const SAMPLE_ANSWERS: u32 = 2;
const SAMPLE_EVIDENCE: Duration = Duration::from_millis(200);
/// The share of throttled records that is tolerated because it costs less than a cut.
const THROTTLED_TOLERATED: f64 = 0.02;
/// The relative increase of background throttling that still counts as chance.
const BACKGROUND_VARIES: f64 = 0.1;
/// The weight of a new sample when background throttling decreases.
const BACKGROUND_FOLLOWS: f64 = 0.1;
/// Consecutive cuts without effect before throttling is tolerated. One of them may coincide with a
/// change at the other side.
const FUTILE_CUTS_MAX: u32 = 2;
/// Throttling above this share is never tolerated, even if cuts have no effect.
const BACKGROUND_MAX: f64 = 0.6;
/// If background throttling is above this share, the rate is not increased above its former value:
/// the new rate could be too high by this share when the throttling ends.
const BACKGROUND_PROBED_MAX: f64 = 0.2;
/// The minimum factor of a cut, because a sample may be wrong.
const CUT_LEAVES_MIN: f64 = 0.5;
/// The smallest rate, as a share of the quota.
const SHARE_MIN: f64 = 0.05;
/// How close to the last known ceiling the rate may get without probing.
const CLOSE_TO_CEILING: f64 = 0.97;
/// Growth factor per second, up to the ceiling.
const GROWTH_TO_CEILING: f64 = 4.0;
/// Growth factor per second at the start of probing, and its increase for each second without
/// throttling.
const GROWTH_PROBING: f64 = 1.03;
const GROWTH_ADDED: f64 = 0.01;
const GROWTH_MAX: f64 = 2.0;
/// The pause before the rate that worked before is tried again: one sample without throttling.
const DOUBT_PAUSE: Duration = Duration::from_millis(500);
/// The pause before probing. It doubles each time that the rate hits the same ceiling.
const PROBE_PAUSE_FIRST: Duration = Duration::from_secs(2);
const PROBE_PAUSE_MAX: Duration = Duration::from_secs(30);
/// Ceilings within this relative distance count as the same: at low rates a sample consists of only
/// a few requests, and a token bucket admits what it has saved up.
const SAME_CEILING: f64 = 0.25;
/// If the latency exceeds the lowest one by this factor and this amount, the requests probably wait
/// in a queue at the other side.
const LATENCY_FACTOR: f64 = 3.0;
const LATENCY_SLACK: Duration = Duration::from_millis(100);

/// The rate at which records may be sent.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
enum Rate {
    /// A share of the quota.
    Share(f64),
    /// Limited by the window only.
    Unbounded,
}

/// Decides when a stream's next request may go out.
#[derive(Debug)]
pub(super) struct Pacer {
    quota: Quota,
    rate: Rate,
    /// For records, requests and bytes: when the sent ones will have used up their quota.
    paid_until: [Duration; 3],
    grown_at: Duration,
    ceiling: Ceiling,
    sample: RateSample,
    throttling: Throttling,
    window: RequestWindow,
}

/// The outcome of a request, as far as it affects the pace of later requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feedback {
    /// The request succeeded. Some of its records may have been throttled.
    Answered {
        /// The bytes of its records.
        bytes: usize,
        /// The bytes of the records that were throttled.
        throttled_bytes: usize,
        /// The bytes of the records that were accepted.
        accepted_bytes: usize,
    },
    /// The request was rejected because of its contents or its size, which says nothing about the
    /// rate of the stream.
    Refused {
        /// The bytes of its records.
        bytes: usize,
    },
    /// The request failed as a whole, for a reason other than throttling.
    Failed,
    /// A stream that accepts no records rejected this record by name. The stream examined the
    /// record, so the next one may be sent soon.
    HeldBriefly,
    /// The request failed in a way that will also affect the next one.
    Held,
}

/// The last rate that was too high.
#[derive(Debug)]
struct Ceiling {
    /// The rate up to which no probing is necessary.
    share: Option<f64>,
    /// The highest rate from which cuts led to this ceiling.
    cut_from: Option<Rate>,
    /// The ceiling when cuts last had an effect.
    found: Option<f64>,
    /// The rate that has worked. It is kept until the rate hits the same ceiling below it a second
    /// time, because the first hit may have been chance.
    proven: Rate,
    probe_pause: Duration,
    probe_at: Duration,
}

/// The records that were sent at one rate, and their outcome.
#[derive(Debug, Default)]
struct RateSample {
    /// Requests that were sent before this time do not belong to the sample.
    since: Duration,
    first_sent: Duration,
    last_sent: Duration,
    /// The bytes of the last request.
    last_bytes: usize,
    answers: u32,
    bytes: f64,
    throttled_bytes: f64,
    accepted_bytes: f64,
}

/// The state of throttling.
#[derive(Debug, Default)]
struct Throttling {
    /// The cut whose effect is being measured.
    trial: Option<Trial>,
    background: Option<Background>,
}

/// A cut whose effect the next sample shows.
#[derive(Debug, Clone, Copy)]
struct Trial {
    /// The rate before the first cut that may have no effect.
    before: Rate,
    /// The share of records that were throttled before the cut.
    throttled: f64,
    /// The expected share if the rate is the reason.
    expected: f64,
    futile_cuts: u32,
}

/// Throttling that cuts do not reduce.
#[derive(Debug, Clone, Copy)]
struct Background {
    throttled: f64,
    /// The rate before the throttling began.
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

    /// When the next request may be sent: now, later, or `None` if a response must arrive first.
    pub(super) fn next_send(&mut self, now: Duration) -> Option<Duration> {
        if self.window.is_full() {
            return None;
        }
        self.grow_rate(now);
        let paid = self.paid_until.into_iter().max().unwrap_or_default();
        Some(now.max(paid.saturating_sub(BURST)))
    }

    /// Records that a request was sent.
    pub(super) fn sent(&mut self, now: Duration, records: usize, bytes: usize) {
        self.window.under_way += 1;
        let Rate::Share(share) = self.rate else { return };
        let Quota { records: records_max, requests: requests_max, bytes: bytes_max } = self.quota;
        let costs = [(records, records_max), (1, requests_max), (bytes, bytes_max)];
        for (paid, (cost, quota)) in self.paid_until.iter_mut().zip(costs) {
            *paid = (*paid).max(now) + Duration::from_secs_f64(cost as f64 / (quota * share));
        }
    }

    /// Processes the outcome of the request that was sent at `sent`.
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

    /// Adjusts the rate according to the sample.
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
                    // No record was throttled at this rate.
                    None if self.rate > self.ceiling.proven => self.ceiling.proven = self.rate,
                    None => {}
                }
                self.throttling.follow_background(seen);
                self.sample = RateSample::new(self.sample.last_sent);
            }
        }
    }

    /// Ends background throttling and discards the ceiling that was found during it.
    fn background_is_over(&mut self, now: Duration) {
        if let Some(background) = self.throttling.background.take() {
            self.ceiling = Ceiling::new(background.before, now);
        }
        self.set_rate(now, self.rate);
    }

    /// Handles a cut that did not reduce throttling.
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

    /// Reduces the rate to what was accepted. The next sample shows the effect.
    fn cut_rate(&mut self, now: Duration, seen: f64, before: Rate, futile_cuts: u32) {
        let sent = self.sample.bytes_per_second() / self.quota.bytes;
        let from = match self.rate {
            Rate::Share(share) => share,
            Rate::Unbounded if sent < 2.0 * SHARE_MIN => {
                // The rate is too low to be the reason.
                self.sample = RateSample::new(self.sample.last_sent);
                return;
            }
            Rate::Unbounded => sent,
        };
        let accepted = sent.min(from) * self.sample.accepted_share();
        // If the stream accepts far less than was sent, this rate is only a step on the way down,
        // and not a ceiling to remember.
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
        // The other side has no saved-up tokens either, so no burst is allowed.
        self.paid_until = [now + BURST; 3];
        self.grown_at = now;
    }

    fn grow_rate(&mut self, now: Duration) {
        let seconds = now.saturating_sub(self.grown_at).as_secs_f64();
        self.grown_at = now;
        let Rate::Share(share) = self.rate else { return };
        // Only a rate that is fully used says something about a higher one.
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

    /// Records that this share of the rate was accepted.
    fn record_hit(&mut self, rate: Rate, accepted: f64) {
        self.cut_from = self.cut_from.filter(|&from| from > rate).or(Some(rate));
        self.share = Some(accepted);
    }

    /// Records that throttling has ended below the ceiling.
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

    /// The next rate above the ceiling. It rises fast up to the rate that worked before, then
    /// slowly.
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

    /// The time between the first and the last request of the sample.
    fn covered_time(&self) -> Duration {
        self.last_sent.saturating_sub(self.first_sent)
    }

    /// The rate at which requests were sent. The time after the last one is unknown, so its bytes
    /// do not count.
    fn bytes_per_second(&self) -> f64 {
        (self.bytes - self.last_bytes as f64) / self.covered_time().max(SAMPLE_SPAN).as_secs_f64()
    }

    /// The throttled share of the sent records.
    fn throttled_share(&self) -> f64 {
        self.throttled_bytes / self.bytes.max(1.0)
    }

    /// The accepted share of the sent records.
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

    /// Whether background throttling could hide that a higher rate is too high.
    fn hides_ceiling(&self, rate: Rate) -> bool {
        self.background
            .is_some_and(|known| known.throttled > BACKGROUND_PROBED_MAX && rate >= known.before)
    }

    fn is_background_over(&self, seen: f64) -> bool {
        self.background.is_some_and(|background| seen <= background.throttled / 2.0)
    }

    /// Follows background throttling that decreases. An increase is not followed because the rate
    /// may be its reason.
    fn follow_background(&mut self, seen: f64) {
        if let Some(Background { throttled, .. }) = &mut self.background
            && seen < *throttled
        {
            *throttled += BACKGROUND_FOLLOWS * (seen - *throttled);
        }
    }
}

impl Trial {
    /// Whether throttling is closer to its share before the cut than to the expected share.
    fn is_futile(&self, seen: f64) -> bool {
        seen > f64::midpoint(self.throttled, self.expected)
    }
}

/// Limits the number of requests in flight.
#[derive(Debug)]
struct RequestWindow {
    size: f64,
    size_max: f64,
    under_way: usize,
    latency_min: Option<Duration>,
    /// When the window was last reduced.
    shrunk_at: Option<Duration>,
}

/// The factor by which the window shrinks when a queue has formed.
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

    /// Grows the window by one for each round trip without a queue. Shrinks it, at most once per
    /// round trip, if a queue has formed.
    fn request_answered(&mut self, now: Duration, sent: Duration) {
        let latency = now.saturating_sub(sent);
        let was_used = self.is_full();
        self.under_way = self.under_way.saturating_sub(1);
        // The lowest latency slowly fades, because endpoints change.
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

    /// Shrinks the window. Ignores requests that were sent before the last reduction, because they
    /// say nothing about the new window.
    fn shrink_window(&mut self, now: Duration, sent: Duration) {
        if self.shrunk_at.is_none_or(|shrunk| sent >= shrunk) {
            self.size = (self.size * WINDOW_SHRINKS).max(1.0);
            self.shrunk_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests;
