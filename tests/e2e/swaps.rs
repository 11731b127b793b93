//! Many plugins take over from each other while events flow: every event is decided
//! about once, by one of them, and its record or dead letter tells by which.

use std::collections::BTreeMap;

use standpipe_tests::swap_trial::{Broken, Novelty, SwapTrial};

#[test]
fn every_event_is_decided_about_once_by_the_generation_that_it_tells() {
    let (broken, novelty) = (Broken::None, Novelty::All);
    SwapTrial { events: 300_000, swaps: 100, broken, novelty }.run().check();
}

#[test]
fn broken_candidates_change_nothing() {
    let (broken, novelty) = (Broken::EveryTenth, Novelty::FirstTwo);
    let ran = SwapTrial { events: 200_000, swaps: 100, broken, novelty }.run();
    ran.check();
    let refused: BTreeMap<_, _> =
        ran.report.refused.iter().filter(|(_, count)| **count > 0).collect();
    assert_eq!(
        refused.keys().map(|step| **step).collect::<Vec<_>>(),
        ["compile", "configure", "fit", "samples", "trust"]
    );
    assert_eq!(refused.values().copied().sum::<u64>(), 10);
}
