//! Swaps many plugins while events flow. Exactly one of them decides each event, once, and the
//! record or dead letter shows which one.

use std::collections::BTreeMap;

use standpipe_tests::swap_trial::{BrokenShare, CandidateNovelty, SwapTrial};

#[test]
fn every_event_is_decided_once_by_the_reported_generation() {
    let (broken, novelty) = (BrokenShare::None, CandidateNovelty::All);
    SwapTrial { events: 300_000, swaps: 100, broken, novelty }.run().assert_accounted();
}

#[test]
fn broken_candidates_do_not_change_the_active_plugin() {
    let (broken, novelty) = (BrokenShare::EveryTenth, CandidateNovelty::FirstTwo);
    let ran = SwapTrial { events: 200_000, swaps: 100, broken, novelty }.run();
    ran.assert_accounted();
    let refused: BTreeMap<_, _> =
        ran.report.refused.iter().filter(|(_, count)| **count > 0).collect();
    assert_eq!(
        refused.keys().map(|step| **step).collect::<Vec<_>>(),
        ["compile", "configure", "fit", "samples", "trust"]
    );
    assert_eq!(refused.values().copied().sum::<u64>(), 10);
}
