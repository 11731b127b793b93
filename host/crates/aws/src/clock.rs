//! The clock for signing requests: the clock of this machine, corrected by the `Date` of an error
//! response that differs by minutes. All clients of one access to AWS share it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// The difference from AWS's clock at which this machine's clock counts as wrong. AWS rejects
/// signatures that differ by more than 5 minutes from its time. This value is lower because the
/// response took time to arrive.
const CLOCK_SKEW_MIN: Duration = Duration::from_secs(4 * 60);

/// The maximum difference between the times in responses that does not count as a change.
const CLOCK_JITTER: Duration = Duration::from_secs(60);

/// AWS's time.
///
/// AWS rejects a signature that differs by more than five minutes from its own time. So requests
/// are signed with this clock: that of this machine, corrected by the `Date` of an error response,
/// if the difference is minutes. All clients of one access to AWS share it.
#[derive(Debug, Clone, Default)]
pub struct AwsClock(Arc<AtomicI64>);

impl AwsClock {
    /// The time for signing requests, and for the expiry of credentials.
    pub fn now(&self) -> SystemTime {
        shift_time(SystemTime::now(), self.correction_seconds())
    }

    /// The number of seconds by which AWS is ahead of this machine. Negative if it is behind, and 0
    /// as long as no request was rejected because of its time.
    pub fn correction_seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Corrects the clock by the `Date` of an error response. Successful responses are ignored:
    /// their server accepts the signature, and so they cost nothing.
    pub(super) fn observe_response(&self, response: &HttpResponse) {
        if !matches!(response.status().as_u16(), 400 | 401 | 403) {
            return;
        }
        let Some(skew) = skew_seconds(response) else { return };
        let correction = if is_skew(skew) { skew } else { 0 };
        let before = self.0.swap(correction, Ordering::Relaxed);
        if before.abs_diff(correction) <= CLOCK_JITTER.as_secs() {
            return;
        }
        match correction {
            0 => tracing::info!("this machine's clock agrees with the one of AWS again"),
            seconds => tracing::warn!(
                "this machine's clock is {} {} the one of AWS: requests are signed with the time of AWS until it is set \
                 right: check its time synchronisation, such as chrony or systemd-timesyncd",
                humantime::format_duration(Duration::from_secs(seconds.unsigned_abs())),
                if seconds > 0 { "behind" } else { "ahead of" }
            ),
        }
    }
}

impl TimeSource for AwsClock {
    fn now(&self) -> SystemTime {
        AwsClock::now(self)
    }
}

/// Whether the time of the response's sender differs by minutes from that of this machine.
pub fn is_skewed(response: &HttpResponse) -> bool {
    skew_seconds(response).is_some_and(is_skew)
}

fn is_skew(seconds: i64) -> bool {
    seconds.unsigned_abs() >= CLOCK_SKEW_MIN.as_secs()
}

/// The number of seconds by which the response's `Date` is ahead of this machine.
fn skew_seconds(response: &HttpResponse) -> Option<i64> {
    let date = DateTime::from_str(response.headers().get("date")?, Format::HttpDate).ok()?;
    Some(date.secs() - DateTime::from(SystemTime::now()).secs())
}

fn shift_time(time: SystemTime, seconds: i64) -> SystemTime {
    let by = Duration::from_secs(seconds.unsigned_abs());
    let shifted = if seconds < 0 { time.checked_sub(by) } else { time.checked_add(by) };
    shifted.unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::body::SdkBody;

    use super::*;

    fn response(status: u16, ahead_seconds: i64) -> HttpResponse {
        let date = DateTime::from(shift_time(SystemTime::now(), ahead_seconds));
        let mut response =
            HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::empty());
        response.headers_mut().insert("date", date.fmt(Format::HttpDate).unwrap());
        response
    }

    #[test]
    fn a_refusal_that_is_minutes_away_sets_the_clock_and_one_that_is_near_sets_it_back() {
        let clock = AwsClock::default();
        for (status, ahead, correction) in [
            (400, 200, 0),
            (200, 3600, 0),
            (503, 3600, 0),
            (403, 3600, 3600),
            (400, -7200, -7200),
            (401, 86_400, 86_400),
            (403, 3, 0),
        ] {
            clock.observe_response(&response(status, ahead));
            let found = clock.correction_seconds();
            assert!(found.abs_diff(correction) <= 2, "{status}, {ahead}: {found}");
            let now = DateTime::from(clock.now()).secs();
            let expected = DateTime::from(SystemTime::now()).secs() + correction;
            assert!(now.abs_diff(expected) <= 3, "{status}, {ahead}");
        }
    }

    #[test]
    fn an_answer_without_a_date_says_nothing() {
        let clock = AwsClock::default();
        for date in [None, Some(""), Some("now"), Some("Thu, 99 Foo 2026 00:00:00 GMT")] {
            let mut response =
                HttpResponse::new(StatusCode::try_from(403).unwrap(), SdkBody::empty());
            if let Some(date) = date {
                response.headers_mut().insert("date", date);
            }
            clock.observe_response(&response);
            assert_eq!((clock.correction_seconds(), is_skewed(&response)), (0, false), "{date:?}");
        }
    }
}
