//! When to ask again, and how long to wait before.

use std::time::Duration;

use reqwest::Method;
use reqwest::header::HeaderValue;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::limits;
use standpipe_core::clock;

/// Whether another attempt may help after this status.
pub(super) fn may_help(status: u16, method: &Method) -> bool {
    match status {
        429 => true,
        502..=504 => method.is_idempotent(),
        _ => false,
    }
}

/// The pauses before further attempts.
pub(super) struct Pauses {
    next: Duration,
    left: u32,
}

impl Pauses {
    /// So many attempts, the first of which needs no pause.
    pub(super) fn new(first: Duration, attempts: u32) -> Self {
        Pauses { next: first, left: attempts.saturating_sub(1) }
    }

    /// The next one, not shorter than what the server told; none once it is enough.
    ///
    /// Half of it is left to chance, so that clients that failed together do not
    /// come back together.
    pub(super) fn next(&mut self, told: Duration) -> Option<Duration> {
        self.left = self.left.checked_sub(1)?;
        let pause = self.next.min(limits::WEB_PAUSE_MAX);
        self.next = pause * 2;
        let jittered = pause.mul_f64(0.5 + fastrand::f64() / 2.0);
        Some(jittered.max(told.min(limits::WEB_PAUSE_MAX)))
    }
}

/// What `Retry-After` says: seconds, or a date.
pub(super) fn retry_after(value: Option<&HeaderValue>) -> Option<Duration> {
    retry_after_from(value?.to_str().ok()?.trim(), clock::now())
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
        let mut pauses = Pauses::new(Duration::from_secs(1), 4);
        for most in [1, 2, 4] {
            let pause = pauses.next(Duration::ZERO).unwrap().as_secs_f64();
            assert!(pause >= f64::from(most) / 2.0 && pause <= f64::from(most), "{pause}");
        }
        assert_eq!(pauses.next(Duration::ZERO), None);
        let mut pauses = Pauses::new(Duration::from_millis(1), 2);
        assert_eq!(pauses.next(Duration::from_secs(100_000)), Some(limits::WEB_PAUSE_MAX));
    }

    #[test]
    fn what_must_not_be_done_twice_is_not() {
        for (status, get, post) in
            [(200, false, false), (429, true, true), (500, false, false), (503, true, false)]
        {
            assert_eq!(may_help(status, &Method::GET), get, "{status}");
            assert_eq!(may_help(status, &Method::POST), post, "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(text in "\\PC{0,40}") {
            let _ = retry_after_from(&text, NOW);
        }
    }
}
