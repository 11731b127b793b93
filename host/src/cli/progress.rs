//! The progress bar of a run: delivered events, their rate and the time left. It is shown if standard
//! error is a terminal.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::ProgressStyle;
use tokio::time::Instant;

use super::stderr;
use super::terminal::Terminal;
use crate::run::Progress;

const REFRESH: Duration = Duration::from_millis(200);

/// The time constant of the rate: long enough for a steady figure, and short enough to show a
/// stall.
const RATE_WINDOW: Duration = Duration::from_secs(5);

/// A bar on standard error, if that is a terminal and the log format is for people.
pub(super) struct ProgressBar(Option<(indicatif::ProgressBar, tokio::task::JoinHandle<()>)>);

impl ProgressBar {
    /// Shows the bar. `size_bytes` is the size of all inputs, if they are files. Compressed
    /// files have more bytes than that, and the bar stays full.
    pub(super) fn start(progress: Progress, size_bytes: Option<u64>) -> Self {
        if !std::io::stderr().is_terminal() || stderr::is_json() {
            return ProgressBar(None);
        }
        let (bar, template) = match size_bytes {
            Some(size) => {
                (indicatif::ProgressBar::new(size), "{elapsed} {wide_bar} {percent} % {msg}")
            }
            None => {
                (indicatif::ProgressBar::new_spinner(), "{elapsed} {spinner} {binary_bytes} {msg}")
            }
        };
        bar.set_draw_target(Terminal::target());
        bar.set_style(ProgressStyle::with_template(template).expect("a constant template"));
        let drawn = bar.clone();
        let task = tokio::spawn(async move {
            let mut rate = RateEstimate::new(Instant::now());
            loop {
                let totals = progress.totals();
                let settled = totals.settled;
                let ended = settled.delivered + settled.filtered + settled.dead;
                let bytes = bytes_ended(progress.bytes_read(), totals.read, ended);
                rate.update(Instant::now(), settled.delivered, bytes);
                drawn.set_position(bytes);
                let left = size_bytes.and_then(|size| rate.time_left(size.saturating_sub(bytes)));
                drawn.set_message(progress_text(
                    settled.delivered,
                    settled.dead,
                    rate.events,
                    left,
                ));
                tokio::time::sleep(REFRESH).await;
            }
        });
        ProgressBar(Some((bar, task)))
    }

    pub(super) fn finish(self) {
        if let Some((bar, task)) = self.0 {
            task.abort();
            bar.finish_and_clear();
        }
    }
}

/// Estimates the bytes of the input whose events are settled. Events that were read may still
/// wait for their stream.
fn bytes_ended(bytes_read: u64, events_read: u64, events_ended: u64) -> u64 {
    let (read, ended) = (u128::from(events_read.max(1)), u128::from(events_ended));
    let bytes = u128::from(bytes_read) * ended.min(read) / read;
    u64::try_from(bytes).unwrap_or(bytes_read)
}

fn progress_text(
    delivered: u64,
    dead: u64,
    events_per_second: f64,
    left: Option<Duration>,
) -> String {
    let mut words = format!("{delivered} delivered, {events_per_second:.0}/s");
    if dead > 0 {
        words += &format!(", {dead} dead");
    }
    if let Some(left) = left {
        words += &format!(", {} left", humantime::format_duration(left));
    }
    words
}

/// Estimates the current rate of settled events and bytes.
#[derive(Debug)]
struct RateEstimate {
    at: Instant,
    delivered: u64,
    bytes: u64,
    /// The rate per second.
    events: f64,
    bytes_per_second: f64,
    is_first: bool,
}

impl RateEstimate {
    fn new(at: Instant) -> Self {
        RateEstimate {
            at,
            delivered: 0,
            bytes: 0,
            events: 0.0,
            bytes_per_second: 0.0,
            is_first: true,
        }
    }

    /// Adds the counts at a time. Older ones lose weight.
    fn update(&mut self, now: Instant, delivered: u64, bytes: u64) {
        let passed = (now - self.at).as_secs_f64();
        if passed <= 0.0 {
            return;
        }
        let weight = match self.is_first {
            true => 1.0,
            false => 1.0 - (-passed / RATE_WINDOW.as_secs_f64()).exp(),
        };
        let since = |now: u64, before: u64| now.saturating_sub(before) as f64 / passed;
        self.events += weight * (since(delivered, self.delivered) - self.events);
        self.bytes_per_second += weight * (since(bytes, self.bytes) - self.bytes_per_second);
        *self = RateEstimate { at: now, delivered, bytes, is_first: false, ..*self };
    }

    /// Estimates the time for this number of bytes in whole seconds. `None` if there is no
    /// progress.
    fn time_left(&self, bytes: u64) -> Option<Duration> {
        let seconds = bytes as f64 / self.bytes_per_second;
        let is_known = self.bytes_per_second >= 1.0 && seconds < 100.0 * 24.0 * 3600.0;
        is_known.then(|| Duration::from_secs(seconds.round() as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_waiting_events_are_not_counted() {
        assert_eq!(bytes_ended(1000, 10, 0), 0);
        assert_eq!(bytes_ended(1000, 10, 5), 500);
        assert_eq!(bytes_ended(1000, 10, 10), 1000);
        assert_eq!(bytes_ended(1000, 10, 11), 1000);
        assert_eq!(bytes_ended(0, 0, 0), 0);
        assert_eq!(bytes_ended(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }

    #[test]
    fn the_rate_follows_and_the_time_left_with_it() {
        let start = Instant::now();
        let mut rate = RateEstimate::new(start);
        assert_eq!(rate.time_left(1), None, "nothing has moved yet");
        let at = |tick: u32| start + tick * REFRESH;
        for tick in 1..=100 {
            // 1,000 events and 100,000 bytes in a second.
            rate.update(at(tick), u64::from(tick) * 200, u64::from(tick) * 20_000);
        }
        assert!((rate.events - 1000.0).abs() < 1.0, "{rate:?}");
        assert_eq!(rate.time_left(1_000_000), Some(Duration::from_secs(10)));
        for tick in 101..=250 {
            rate.update(at(tick), 20_000, 2_000_000);
        }
        assert!(rate.events < 10.0, "a stall is seen: {rate:?}");
        rate.update(at(10_000), 20_000, 2_000_000);
        assert_eq!(rate.time_left(1_000_000), None);
    }

    #[test]
    fn the_text_has_counts_rate_and_time_left() {
        let left = Some(Duration::from_secs(3_725));
        assert_eq!(progress_text(1200, 0, 99.6, left), "1200 delivered, 100/s, 1h 2m 5s left");
        assert_eq!(progress_text(7, 2, 0.0, None), "7 delivered, 0/s, 2 dead");
    }
}
