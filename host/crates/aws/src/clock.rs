//! The clock that requests are signed by: this machine's, corrected by the `Date` of a refusal once
//! that is minutes off. Shared by all clients of one access to AWS.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use aws_smithy_async::time::TimeSource;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

/// From how far on this machine's clock counts as wrong, by AWS's: AWS refuses signatures
/// that are more than 5 minutes from its time, and the response has been on its way.
const CLOCK_SKEW_MIN: Duration = Duration::from_secs(4 * 60);

/// What responses may differ by in what they say of the time before that is news.
const CLOCK_JITTER: Duration = Duration::from_secs(60);

/// The time as AWS has it.
///
/// AWS refuses a signature that is more than five minutes from its own time. So requests
/// are signed with this clock: this machine's, corrected by the `Date` of a response that
/// refused a request, once that is minutes away. All clients of one way to AWS share it.
#[derive(Debug, Clone, Default)]
pub struct AwsClock(Arc<AtomicI64>);

impl AwsClock {
    /// The time by which requests are signed, and credentials expire.
    pub fn now(&self) -> SystemTime {
        shift_time(SystemTime::now(), self.correction_seconds())
    }

    /// How many seconds AWS is ahead of this machine; negative where it is behind, and 0
    /// as long as no request was refused for that.
    pub fn correction_seconds(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Corrects the clock by the `Date` of a refusal. Successful responses are not read: their
    /// server accepts the signature, and this way they cost nothing.
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

/// Whether who gave this response has a time that is minutes from this machine's.
pub fn is_skewed(response: &HttpResponse) -> bool {
    skew_seconds(response).is_some_and(is_skew)
}

fn is_skew(seconds: i64) -> bool {
    seconds.unsigned_abs() >= CLOCK_SKEW_MIN.as_secs()
}

/// How many seconds the response's `Date` is ahead of this machine.
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
