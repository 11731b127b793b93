//! Tests sessions under paused time and load: only one task loads credentials, they are renewed
//! before expiry, and expired ones are never used.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use super::*;

const LIFE: Duration = Duration::from_secs(3600);

/// Returns numbered credentials, until a test makes it fail.
#[derive(Debug, Default)]
struct Source {
    asked: AtomicU32,
    fails_from: AtomicU32,
    life: Option<Duration>,
}

impl ProvideCredentials for &'static Source {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async {
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if number >= self.fails_from.load(Ordering::Relaxed) {
                return Err(CredentialsError::not_loaded("on purpose"));
            }
            let expiry = self.life.map(|life| SystemTime::now() + life);
            Ok(Credentials::new(number.to_string(), "secret", None, expiry, "test"))
        })
    }
}

fn source(fails_from: u32, life: Option<Duration>) -> (&'static Source, AwsSession) {
    let source = Source { fails_from: fails_from.into(), life, ..Source::default() };
    let source: &'static Source = Box::leak(Box::new(source));
    (source, AwsSession::new(source, LIFE, &AwsClock::default()))
}

async fn id(session: &AwsSession) -> Result<String, CredentialsError> {
    session.provide_credentials().await.map(|found| found.access_key_id().to_owned())
}

fn expire(session: &AwsSession, by: impl Fn(&mut Held)) {
    by(session.inner.held.lock().as_mut().unwrap());
}

#[tokio::test]
async fn credentials_are_found_once_for_all() {
    let (source, session) = source(9, Some(LIFE));
    let all = (0..20).map(|_| {
        let session = session.clone();
        tokio::spawn(async move { id(&session).await.unwrap() })
    });
    for one in all.collect::<Vec<_>>() {
        assert_eq!(one.await.unwrap(), "0");
    }
    assert_eq!(source.asked.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn they_are_renewed_before_they_expire() {
    for (life, renewed_after) in [(None, 3600), (Some(3600), 3300), (Some(900), 720), (Some(10), 8)]
    {
        let (_, session) = source(9, life.map(Duration::from_secs));
        id(&session).await.unwrap();
        let held = session.inner.held.lock().clone().unwrap();
        let after = held.renew_at.duration_since(held.found).as_secs_f64();
        assert!((after - f64::from(renewed_after)).abs() < 1.0, "{life:?}: {after}");
    }
}

#[tokio::test]
async fn a_failed_renewal_costs_nothing_while_the_old_ones_are_good() {
    let (source, session) = source(1, Some(LIFE));
    assert_eq!(id(&session).await.unwrap(), "0");
    expire(&session, |held| held.renew_at = Instant::now());
    assert_eq!(id(&session).await.unwrap(), "0");
    assert_eq!(id(&session).await.unwrap(), "0");
    assert_eq!(source.asked.load(Ordering::Relaxed), 2, "asked again without a pause");
    source.fails_from.store(9, Ordering::Relaxed);
    expire(&session, |held| held.renew_at = Instant::now());
    assert_eq!(id(&session).await.unwrap(), "2");
}

#[tokio::test]
async fn expired_ones_are_not_used() {
    let (_, session) = source(1, Some(Duration::ZERO));
    assert_eq!(id(&session).await.unwrap(), "0");
    assert!(id(&session).await.is_err());
}

#[tokio::test]
async fn distrusted_ones_are_looked_for_again_after_a_pause() {
    let (_, session) = source(9, None);
    assert_eq!(id(&session).await.unwrap(), "0");
    session.renew_early();
    assert_eq!(id(&session).await.unwrap(), "0", "a storm of requests");
    expire(&session, |held| held.found -= limits::CREDENTIALS_AGAIN);
    session.renew_early();
    assert_eq!(id(&session).await.unwrap(), "1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_renewals_under_load_hand_out_nothing_that_has_expired() {
    let (source, session) = source(u32::MAX, Some(Duration::from_millis(10)));
    let users = (0..8).map(|_| {
        let session = session.clone();
        tokio::spawn(async move {
            while source.asked.load(Ordering::Relaxed) < 1000 {
                // Credentials may expire between the check and the response.
                let asked_at = SystemTime::now();
                let found = session.provide_credentials().await.expect("the source never fails");
                assert!(found.expiry().unwrap() > asked_at, "expired before it was asked for");
                tokio::task::yield_now().await;
            }
        })
    });
    for user in users.collect::<Vec<_>>() {
        user.await.unwrap();
    }
}
