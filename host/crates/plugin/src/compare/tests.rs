//! Tests comparisons of decisions: each kind of change, limited memory, and merging.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::decision::Answers;
use crate::envelope_groups::EnvelopeGroups;
use crate::{Mapper, OutputTarget};
use standpipe_core::event::scan;

/// The default mapping with these rows.
fn plugin(rows: &[(&str, &str)]) -> Plugin {
    let rows = rows.iter().map(|(event, stream)| json!({"event": event, "stream": stream}));
    let settings = json!({"mappings": rows.collect::<Vec<_>>(), "fan_out": true});
    Plugin::native(&settings.to_string()).unwrap()
}

fn event(text: &str) -> Event<'_> {
    let (text, envelope) = scan(text.as_bytes(), 10).unwrap();
    Event { index: 0, line: 7, text, envelope }
}

fn decisions(outputs: Vec<Decision>) -> Decisions {
    let outputs = outputs.into_iter().map(|decision| Output { input: 0, decision });
    let answers = Answers { outputs: outputs.collect(), ..Answers::default() };
    Decisions { groups: EnvelopeGroups::ungrouped(1), answers }
}

fn faulty() -> Decisions {
    let faults = vec![(0, Fault::Trap("unreachable".to_owned()))];
    Decisions {
        groups: EnvelopeGroups::ungrouped(1),
        answers: Answers { faults, ..Answers::default() },
    }
}

fn deliver(stream: usize, payload: Option<&str>) -> Decision {
    Decision::Deliver(
        OutputTarget::Declared(stream),
        payload.map(|payload| payload.as_bytes().to_vec()),
    )
}

fn reject(reason: &str) -> Decisions {
    decisions(vec![Decision::Reject(reason.to_owned())])
}

/// Compares two decisions about one event. The streams are `a` and `b` for the old plugin, and `b`
/// and `a` for the new one.
fn compare(old: &Decisions, new: &Decisions) -> Comparison {
    let mut comparison = Comparison::default();
    let plugins = (plugin(&[("x", "a"), ("y", "b")]), plugin(&[("x", "b"), ("y", "a")]));
    comparison.add_batch(
        "web",
        &[event("{\"event\":\"E\"}")],
        (&plugins.0, old),
        (&plugins.1, new),
    );
    assert_eq!(comparison.compared(), 1);
    comparison
}

fn kind(old: &Decisions, new: &Decisions) -> Option<ChangeKind> {
    let comparison = compare(old, new);
    let kind = comparison.changes().first().map(|change| change.kind);
    assert_eq!(comparison.changed(), u64::from(kind.is_some()));
    kind
}

#[test]
fn every_kind_of_change_is_told_apart() {
    let (a, b) = (|| decisions(vec![deliver(0, None)]), || decisions(vec![deliver(1, None)]));
    let none = || decisions(Vec::new());
    assert_eq!(kind(&a(), &b()), None, "positions are not streams");
    assert_eq!(kind(&a(), &a()), Some(ChangeKind::Moved));
    assert_eq!(kind(&a(), &none()), Some(ChangeKind::Filtered));
    assert_eq!(kind(&none(), &a()), Some(ChangeKind::Delivered));
    assert_eq!(kind(&none(), &none()), None);
    assert_eq!(kind(&a(), &reject("no")), Some(ChangeKind::Rejected));
    assert_eq!(kind(&none(), &reject("no")), Some(ChangeKind::Rejected));
    assert_eq!(kind(&reject("one"), &reject("other")), None);
    assert_eq!(kind(&reject("no"), &none()), Some(ChangeKind::Filtered));
    assert_eq!(kind(&reject("no"), &a()), Some(ChangeKind::Delivered));
    assert_eq!(kind(&a(), &faulty()), Some(ChangeKind::Failed));
    assert_eq!(kind(&faulty(), &faulty()), None);
    assert_eq!(kind(&faulty(), &a()), Some(ChangeKind::Delivered));
    assert_eq!(kind(&faulty(), &reject("no")), Some(ChangeKind::Rejected));
}

#[test]
fn payloads_are_compared_as_what_is_sent() {
    let text = "{\"event\":\"E\"}";
    let (a, b) = (
        |payload| decisions(vec![deliver(0, payload)]),
        |payload| decisions(vec![deliver(1, payload)]),
    );
    assert_eq!(kind(&a(None), &b(Some(text))), None);
    let comparison = compare(&a(None), &b(Some("{\"event\":\"F\"}x")));
    let [change] = &comparison.changes()[..] else { panic!("one change") };
    assert_eq!((change.kind, change.old, change.new), (ChangeKind::Payload, "a", "a"));
    let [sample] = change.samples else { panic!("one sample") };
    assert_eq!((sample.source.as_str(), sample.line), ("web", 7));
    let payload = sample.payload.as_ref().unwrap();
    assert_eq!((payload.differs_at, payload.old_bytes, payload.new_bytes), (10, 13, 14));
    let report = comparison.to_string();
    assert!(report.contains("web:7  event \"E\"  payload to a differs from byte 10"), "{report}");
    assert!(!report.contains(text), "{report}");
}

#[test]
fn the_order_of_deliveries_does_not_matter() {
    let old = decisions(vec![deliver(0, None), deliver(1, None), deliver(0, Some("x"))]);
    let new = decisions(vec![deliver(1, Some("x")), deliver(1, None), deliver(0, None)]);
    assert_eq!(kind(&old, &new), None);
    let fewer = decisions(vec![deliver(1, None), deliver(0, None)]);
    let comparison = compare(&old, &fewer);
    let changes = comparison.changes();
    assert_eq!(
        (changes[0].kind, changes[0].old, changes[0].new),
        (ChangeKind::Moved, "a + a + b", "a + b")
    );
}

#[test]
fn memory_is_bounded_and_merging_adds_up() {
    let (old, new) = (plugin(&[("*", "a")]), plugin(&[("*", "b")]));
    let one = || {
        let mut comparison = Comparison::new(2);
        for number in 0..2 * COMPARISON_CHANGES_MAX {
            let to = OutputTarget::Named(
                standpipe_core::event::StreamName::parse(&format!("s{number}")).unwrap(),
            );
            let new_decisions = decisions(vec![Decision::Deliver(to, None)]);
            let old_decisions = decisions(vec![deliver(0, None)]);
            for _ in 0..3 {
                let events = [event("{}")];
                comparison.add_batch(
                    "web",
                    &events,
                    (&old, &old_decisions),
                    (&new, &new_decisions),
                );
            }
        }
        comparison
    };
    let events = 6 * COMPARISON_CHANGES_MAX as u64;
    let mut whole = one();
    assert_eq!((whole.changes().len(), whole.changed()), (COMPARISON_CHANGES_MAX, events));
    whole.merge(one());
    assert_eq!((whole.compared(), whole.changed(), whole.beyond), (2 * events, 2 * events, events));
    assert!(whole.changes().iter().all(|change| change.events == 6 && change.samples.len() == 2));
    let json = serde_json::to_value(&whole).unwrap();
    assert_eq!((&json["moved"], &json["same"]), (&json!(2 * events), &json!(0)));
}

#[test]
fn what_is_the_same_costs_next_to_nothing() {
    let (old, new) = (plugin(&[("*", "a")]), plugin(&[("x", "b"), ("*", "a")]));
    let events: Vec<_> = (0..500).map(|_| event("{\"event\":\"E\"}")).collect();
    let decided = (
        Mapper::new(old.clone()).map("web", &events),
        Mapper::new(new.clone()).map("web", &events),
    );
    let mut comparison = Comparison::default();
    let started = Instant::now();
    for _ in 0..100 {
        comparison.add_batch("web", &events, (&old, &decided.0), (&new, &decided.1));
    }
    assert_eq!((comparison.compared(), comparison.changed()), (50_000, 0));
    // The limit is far above the usual time, for busy machines.
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
}
