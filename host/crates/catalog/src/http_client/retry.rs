//! When to retry a request, and how long to wait before.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use super::{HttpError, HttpResponse};
use standpipe_core::backoff::{Backoff, Jitter};
use standpipe_core::clock;

/// Attempts of a request to a server outside of AWS.
const HTTP_ATTEMPTS: u32 = 4;

/// The longest pause before an attempt, even if the server requires a longer one, because a run
/// must end.
const HTTP_PAUSE_MAX: Duration = Duration::from_secs(60);

/// Whether another attempt may succeed after this one.
pub(super) fn may_help(outcome: &Result<HttpResponse, HttpError>, method: &Method) -> bool {
    match outcome {
        Ok(response) => is_retryable(response.status, method),
        Err(HttpError::Unreached { cause, .. }) => cause.is_connect() || method.is_idempotent(),
        Err(_) => false,
    }
}

/// Whether another attempt may succeed after this status.
fn is_retryable(status: u16, method: &Method) -> bool {
    match status {
        429 => true,
        502..=504 => method.is_idempotent(),
        _ => false,
    }
}

/// The pause after this number of failed attempts, at least as long as `Retry-After`. `None` if no
/// more attempts are allowed.
pub(super) fn retry_delay(
    first: Duration,
    failures: u32,
    retry_after: Duration,
) -> Option<Duration> {
    let backoff = Backoff::new(first, HTTP_PAUSE_MAX, Jitter::Half);
    let is_last = failures >= HTTP_ATTEMPTS;
    (!is_last).then(|| backoff.pause_after(failures).max(retry_after.min(HTTP_PAUSE_MAX)))
}

/// The value of `Retry-After`: seconds, or a date.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_from(headers.get(RETRY_AFTER)?.to_str().ok()?.trim(), clock::now())
}

fn retry_after_from(text: &str, now: OffsetDateTime) -> Option<Duration> {
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = OffsetDateTime::parse(text, &Rfc2822).ok()?;
    Some(Duration::try_from(date - now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::datetime;

    use super::*;

    const NOW: OffsetDateTime = datetime!(2026-01-02 03:04:05 UTC);

    #[test]
    fn seconds_and_dates_are_read() {
        for (text, expected) in [
            ("7", Some(7)),
            ("0", Some(0)),
            ("Fri, 02 Jan 2026 03:04:15 GMT", Some(10)),
            ("Fri, 02 Jan 2026 03:04:00 GMT", Some(0)),
            ("soon", None),
            ("-1", None),
            ("", None),
        ] {
            assert_eq!(retry_after_from(text, NOW), expected.map(Duration::from_secs), "{text}");
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let first = Duration::from_secs(1);
        for (failures, most) in [(1, 1.0), (2, 2.0), (3, 4.0)] {
            let pause = retry_delay(first, failures, Duration::ZERO).unwrap().as_secs_f64();
            assert!(pause >= most / 2.0 && pause <= most, "{pause}");
        }
        assert_eq!(retry_delay(first, HTTP_ATTEMPTS, Duration::ZERO), None);
        let retry_after = Duration::from_secs(100_000);
        assert_eq!(retry_delay(Duration::from_millis(1), 1, retry_after), Some(HTTP_PAUSE_MAX));
    }

    #[test]
    fn what_must_not_be_done_twice_is_not() {
        for (status, get, post) in
            [(200, false, false), (429, true, true), (500, false, false), (503, true, false)]
        {
            assert_eq!(is_retryable(status, &Method::GET), get, "{status}");
            assert_eq!(is_retryable(status, &Method::POST), post, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC{0,40}") {
            let _ = retry_after_from(&text, NOW);
        }
    }
}
