//! Measures the cost of a thousand swaps in a run of five million events: five rounds without
//! swaps, with swaps between two plugins, with every tenth candidate broken, and with new plugins
//! only.
//!
//! Each run is timed as a whole, and workers report their pauses, so a bench harness has nothing to
//! repeat. The results are not reliable under other load on the machine.

#![expect(clippy::print_stdout, reason = "the figures are what it is for")]

use standpipe_tests::swap_trial::{BrokenShare, CandidateNovelty, SwapTrial};

const ROUNDS: u32 = 5;
const EVENTS: u32 = 5_000_000;
const SWAPS: u32 = 1000;

fn main() {
    let swaps = |broken, novelty| SwapTrial { events: EVENTS, swaps: SWAPS, broken, novelty };
    let between_two = swaps(BrokenShare::None, CandidateNovelty::FirstTwo);
    let trials = [
        ("no swaps", SwapTrial { swaps: 0, ..between_two }),
        ("between two plugins", between_two),
        ("every tenth broken", swaps(BrokenShare::EveryTenth, CandidateNovelty::FirstTwo)),
        ("each one new", swaps(BrokenShare::None, CandidateNovelty::All)),
    ];
    println!("round  swaps                 seconds  processor s  pauses    p50 us  p99 us  max us");
    for round in 1..=ROUNDS {
        for (name, trial) in trials {
            let outcome = trial.run();
            outcome.assert_accounted();
            let (wall, cpu) = (outcome.wall.as_secs_f64(), outcome.cpu.as_secs_f64());
            let pauses = &outcome.report.pauses;
            println!(
                "{round:>5}  {name:<20}  {wall:>7.2}  {cpu:>11.2}  {:>6}  {:>8}  {:>6}  {:>6}",
                pauses.count, pauses.p50_micros, pauses.p99_micros, pauses.max_micros
            );
        }
    }
}
