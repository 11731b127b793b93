//! Counts refused requests by source and reason, and logs them, because SDKs delete refused events.
//! There is at most one log line per minute for each source and reason. It contains nothing of the
//! request.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;

use super::refusal_reason::RefusalReason;
use standpipe_core::log_interval::LogInterval;

/// The minimum time between log lines about refused requests for each source and reason.
const COLLECT_REFUSED_LOG_INTERVAL: Duration = Duration::from_secs(60);

/// Counts the refused requests of one source, or of all unknown sources.
#[derive(Debug)]
pub(super) struct RefusalCounters(Vec<ReasonCounter>);

#[derive(Debug)]
struct ReasonCounter {
    count: Counter,
    log: LogInterval,
}

impl Default for RefusalCounters {
    fn default() -> Self {
        let of_reason = |_: &RefusalReason| ReasonCounter {
            count: Counter::default(),
            log: LogInterval::new(COLLECT_REFUSED_LOG_INTERVAL),
        };
        RefusalCounters(RefusalReason::ALL.iter().map(of_reason).collect())
    }
}

impl RefusalCounters {
    /// Counts a refused request, and logs it unless a similar one was logged just before. `is_kept`
    /// is whether its body goes to the dead letters.
    pub(super) fn record_refusal(
        &self,
        source: Option<&str>,
        reason: RefusalReason,
        text: &str,
        is_kept: bool,
    ) {
        let of_reason = &self.0[reason as usize];
        of_reason.count.inc();
        let Some(others) = of_reason.log.admit() else { return };
        let (word, status) = (reason.word(), reason.status().as_u16());
        let whose = source
            .map_or("of no known source".to_owned(), |name| format!("of the source {name:?}"));
        let fate = match reason.is_retried() {
            _ if is_kept => "its body went to the dead letters",
            true => "its sender tries again",
            false => "SDKs do not send it again",
        };
        let others = match others {
            0 => String::new(),
            others => format!(" ({others} more like it since the last such line)"),
        };
        let message =
            format!("refused a request {whose} with {status} ({word}): {text}; {fate}{others}");
        // Anyone can request anything, so only a refusal that concerns a source is a warning.
        let is_noise = matches!(reason, RefusalReason::UnknownPath | RefusalReason::WrongMethod);
        if is_noise || reason.is_retried() {
            tracing::info!("{message}");
        } else {
            tracing::warn!("{message}");
        }
    }

    /// The number of refused requests, by the label of the reason, without zeros.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(|of_reason| of_reason.count.get());
        let counts = RefusalReason::ALL.iter().map(|reason| reason.word()).zip(counts);
        counts.filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_is_counted_at_its_own_place() {
        let refusals = RefusalCounters::default();
        for (number, reason) in (1..).zip(RefusalReason::ALL) {
            for _ in 0..number {
                refusals.record_refusal(Some("web"), *reason, "no", false);
            }
        }
        let counts: Vec<_> = refusals.counts().collect();
        assert_eq!(counts.len(), RefusalReason::ALL.len());
        for (number, (count, reason)) in (1..).zip(counts.iter().zip(RefusalReason::ALL)) {
            assert_eq!(*count, (reason.word(), number));
        }
        assert_eq!(RefusalCounters::default().counts().count(), 0);
    }
}
