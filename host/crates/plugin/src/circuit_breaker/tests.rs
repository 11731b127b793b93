//! Tests the circuit breaker: sources are judged separately, only the source that wastes time
//! waits, and no wait is endless.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const MILLI: Duration = Duration::from_millis(1);

fn breaker(settings: CircuitBreakerSettings, now: Instant) -> CircuitBreaker {
    CircuitBreaker::new(settings, NonZero::<usize>::MIN, now)
}

fn attempt(events: u64, failed: u64, wasted: Duration) -> CallOutcome {
    CallOutcome { events, failed, wasted }
}

fn asks(breaker: &CircuitBreaker, source: &str, now: Instant) -> bool {
    matches!(breaker.admit(source, now), Admission::Ask(_))
}

#[test]
fn a_source_without_failures_costs_and_changes_nothing() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    for second in 0..100 {
        let now = start + SECOND * second;
        let Admission::Ask(patience) = breaker.admit("web", now) else { panic!("it may ask") };
        assert_eq!(patience.grouping, Grouping::Together);
        assert_eq!(patience.events_max, usize::MAX);
        breaker.count_calls("web", &attempt(1000, 0, Duration::ZERO), now);
        assert!(breaker.is_idle());
    }
    assert_eq!((breaker.health(start), breaker.changes.get()), (Health::Healthy, 0));
}

#[test]
fn one_in_a_thousand_is_healthy() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    for second in 0..100 {
        let now = start + SECOND * second;
        breaker.count_calls("web", &attempt(1000, 1, MILLI), now);
        assert_eq!(breaker.health(now), Health::Healthy);
        assert!(asks(&breaker, "web", now));
    }
    assert_eq!(breaker.changes.get(), 0);
}

#[test]
fn health_is_judged_by_source() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    for second in 0..=10 {
        let now = start + SECOND * second;
        breaker.count_calls("bad", &attempt(1000, 1000, Duration::ZERO), now);
        breaker.count_calls("good", &attempt(1000, 0, Duration::ZERO), now);
        let expected = if second < 10 { Health::Degraded } else { Health::Open };
        assert_eq!(breaker.health(now), expected);
        assert_eq!(breaker.failing_sources(now), [("bad".to_owned(), expected)]);
    }
    assert_eq!(breaker.changes.get(), 2);
    // A source without calls for a long time is no longer reported.
    let later = start + SECOND * 60;
    assert_eq!(breaker.health(later), Health::Healthy);
    breaker.count_calls("good", &attempt(1, 0, Duration::ZERO), later);
    assert!(breaker.is_idle());
    assert_eq!(breaker.changes.get(), 3);
}

#[test]
fn a_source_that_does_well_again_is_healthy_again() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    let off = start + BREAKER_WINDOW;
    breaker.count_calls("web", &attempt(1000, 1000, Duration::ZERO), start);
    breaker.count_calls("web", &attempt(1000, 1000, Duration::ZERO), off);
    assert_eq!(breaker.health(off), Health::Open);
    breaker.count_calls("web", &attempt(7, 2, Duration::ZERO), off + SECOND);
    assert_eq!(breaker.health(off + SECOND), Health::Degraded);
    let later = off + SECOND + BREAKER_WINDOW;
    breaker.count_calls("web", &attempt(500, 0, Duration::ZERO), later);
    assert_eq!(breaker.health(later), Health::Healthy);
    breaker.count_calls("web", &attempt(500, 0, Duration::ZERO), later + BREAKER_WINDOW);
    assert!(breaker.is_idle());
}

#[test]
fn few_events_say_little() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    breaker.count_calls("web", &attempt(1, 1, MILLI), start);
    assert_eq!(breaker.health(start), Health::Healthy);
    let later = start + BREAKER_WINDOW;
    breaker.count_calls("web", &attempt(1, 1, MILLI), later);
    assert_eq!(breaker.health(later), Health::Degraded);
}

/// Looping events take so long that their number stays small.
#[test]
fn a_source_whose_few_events_all_loop_is_off() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    let mut now = start;
    while now < start + BREAKER_WINDOW * 2 {
        if asks(&breaker, "web", now) {
            breaker.count_calls("web", &attempt(1, 1, MILLI * 52), now);
        }
        now += MILLI * 52;
    }
    assert_eq!(breaker.health(now), Health::Open);
    assert!(breaker.accounts.lock().of["web"].events < BREAKER_EVENTS_MIN);
}

/// In a flood of one source, this source must wait, and no other source.
#[test]
fn who_wastes_time_waits_and_nobody_else_does() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    let (burst, event) = (BREAKER_BURST_CPU, MILLI * 52);
    let mut wasted = Duration::ZERO;
    while asks(&breaker, "bad", start) {
        breaker.count_calls("bad", &attempt(1, 1, event), start);
        wasted += event;
    }
    assert!(wasted >= burst && wasted < burst + event);
    let Admission::Wait(pause) = breaker.admit("bad", start) else { panic!("it waits") };
    assert!(pause > Duration::ZERO && pause < SECOND, "{pause:?}");
    assert!(asks(&breaker, "bad", start + pause), "it waits no longer than the pause");
    let Admission::Ask(patience) = breaker.admit("bad", start + pause) else { unreachable!() };
    assert_eq!(patience.grouping, Grouping::Alone);
    let Admission::Ask(patience) = breaker.admit("good", start) else { panic!("it may ask") };
    assert_eq!((patience.grouping, patience.wasted_max), (Grouping::Together, burst));
}

#[test]
fn failures_take_their_share_of_time_and_no_more_whoever_fails() {
    for (workers, sources) in [(1, 1), (4, 1), (1, 3), (2, 40)] {
        let start = Instant::now();
        let workers = NonZero::new(workers).unwrap();
        let breaker = CircuitBreaker::new(CircuitBreakerSettings::default(), workers, start);
        let (event, end) = (MILLI * 52, SECOND * 200);
        let mut wasted = vec![Duration::ZERO; sources];
        let mut now = start;
        while now < start + end {
            for (source, wasted) in wasted.iter_mut().enumerate() {
                if asks(&breaker, &source.to_string(), now) {
                    breaker.count_calls(&source.to_string(), &attempt(1, 1, event), now);
                    *wasted += event;
                }
            }
            now += MILLI * 10;
        }
        let share = end.mul_f64(BREAKER_FAILING_CPU * workers.get() as f64);
        let all = wasted.iter().sum::<Duration>();
        // The burst at the start is only available once.
        let bursts = (BREAKER_BURST_CPU + event) * u32::try_from(sources).unwrap();
        assert!(all <= share + bursts, "{workers} workers, {sources} sources: {all:?}");
        assert!(all >= share.mul_f64(0.9), "{workers} workers, {sources} sources: {all:?}");
        let (least, most) = (wasted.iter().min().unwrap(), wasted.iter().max().unwrap());
        assert!(most.as_secs_f64() < least.as_secs_f64() * 1.5, "{least:?} to {most:?}");
    }
}

#[test]
fn where_the_settings_say_so_a_source_that_is_off_fails_but_for_trials() {
    let start = Instant::now();
    let settings =
        CircuitBreakerSettings { when_off: WhenOff::Fail, ..CircuitBreakerSettings::default() };
    let breaker = breaker(settings, start);
    let off = start + BREAKER_WINDOW;
    breaker.count_calls("web", &attempt(1000, 1000, Duration::ZERO), start);
    assert!(asks(&breaker, "web", start));
    breaker.count_calls("web", &attempt(1000, 1000, Duration::ZERO), off);
    assert_eq!(breaker.admit("web", off + SECOND), Admission::Refuse);
    assert!(asks(&breaker, "other", off + SECOND));
    let trial = off + BREAKER_RETRY;
    let Admission::Ask(patience) = breaker.admit("web", trial) else { panic!("a trial") };
    assert_eq!(patience.events_max, BREAKER_PROBE_EVENTS);
    assert_eq!(breaker.admit("web", trial), Admission::Refuse, "another worker tries it already");
    breaker.count_calls("web", &attempt(20, 20, Duration::ZERO), trial);
    assert_eq!(breaker.health(trial), Health::Open);
    let trial = trial + BREAKER_RETRY;
    assert!(asks(&breaker, "web", trial));
    breaker.count_calls("web", &attempt(7, 2, Duration::ZERO), trial);
    assert!(asks(&breaker, "web", trial));
}

#[test]
fn sources_are_bounded() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    for source in 0..BREAKER_SOURCES_MAX + 10 {
        let now = start + MILLI * u32::try_from(source).unwrap();
        breaker.count_calls(&source.to_string(), &attempt(1, 1, SECOND * 3600), now);
    }
    assert_eq!(breaker.accounts.lock().of.len(), BREAKER_SOURCES_MAX);
    assert!(asks(&breaker, "9", start + SECOND * 2), "the oldest are forgotten");
    assert!(!asks(&breaker, "10", start + SECOND * 2));
}

#[test]
fn the_longest_allowance_makes_no_endless_wait() {
    let start = Instant::now();
    let breaker = breaker(CircuitBreakerSettings::default(), start);
    breaker.count_calls("web", &attempt(1, 1, Duration::MAX), start);
    breaker.count_calls("web", &attempt(1, 1, Duration::MAX), start);
    assert!(matches!(breaker.admit("web", start), Admission::Wait(_)));
    // A clock that seems to go back does no harm.
    let earlier = start.checked_sub(SECOND).unwrap();
    assert!(matches!(breaker.admit("web", earlier), Admission::Wait(_)));
}

proptest! {
    /// For any actions of other sources, a source that wastes nothing may always call the plugin.
    /// If all sources are quiet, a waiting source may call it after the time that the circuit breaker returned.
    #[test]
    fn nobody_pays_for_others(
        steps in prop::collection::vec((0..5_usize, 0..3000_u64, 0..500_u64, 0..2000_u64), 1..200)
    ) {
        let start = Instant::now();
        let breaker = CircuitBreaker::new(CircuitBreakerSettings::default(), NonZero::new(2).unwrap(), start);
        let mut now = start;
        for (source, wasted, failed, pause) in steps {
            now += MILLI * u32::try_from(pause).unwrap();
            let name = source.to_string();
            breaker.count_calls(&name, &attempt(500, failed, Duration::from_millis(wasted)), now);
            prop_assert!(asks(&breaker, "honest", now));
            breaker.count_calls("honest", &attempt(98, 0, Duration::ZERO), now);
            if let Admission::Wait(pause) = breaker.admit(&name, now) {
                prop_assert!(asks(&breaker, &name, now + pause + MILLI));
                now += pause + MILLI;
            }
        }
    }
}
