//! A deterministic simulation of all parts between the spool and the streams.
//!
//! One seed determines a world: events that arrive; streams that are slow, denied, throttled,
//! missing or flapping; lost responses; disks that fill up and fail; a plugin that traps and loops;
//! and processes that stop, are killed, and start again. The world runs the real spool, pipeline,
//! delivery and dead letters on one thread under paused time, so a seed always gives the same
//! story.
//!
//! These invariants hold in every world:
//!
//! - every accepted event has the correct outcome: delivered to each of its streams, filtered or
//!   dead-lettered, exactly once, unless a kill or a lost response permits a duplicate;
//! - after the last fault, everything drains within [`DRAINED_WITHIN`];
//! - a stop returns within its timeout, in any state;
//! - disk use stays within the limits of the settings.
//!
//! ```text
//! SIMULATION_SEEDS=0..1000000 cargo test --release --lib simulation -- --nocapture
//! ```
//!
//! runs other seeds than those of every test run; `SIMULATION_SEEDS=4711` prints the
//! story of one. A seed that has failed once stays in [`KEPT`].

mod account;
mod disk;
mod firehose;
mod plugin;
mod process;
mod world;

use std::io::{self, Write};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use world::World;

/// Maximum time from the end of the last fault until nothing waits. It allows several of the
/// longest pauses between attempts, and the timeout of a request.
const DRAINED_WITHIN: Duration = Duration::from_secs(600);

/// The CPU time of an event whose call never ends.
const ENDLESS: Duration = Duration::from_secs(3600);

/// Seeds that found a defect in the past: a full overflow that stopped delivery, and the end of the
/// process with it (44, 58, 92, 155, 333, 475); dead letters that were never retried (13, 154, 158,
/// 205); a flood of one source that turned off the plugin for other sources (49, 51, 116, 119,
/// 141); a held stream that was tested for too long with records that were the only faulty ones
/// (558); a record that was dead-lettered because of earlier successes, although its stream had
/// begun to reject everything (1892).
const KEPT: &[u64] =
    &[13, 44, 49, 51, 58, 92, 116, 119, 141, 154, 155, 158, 205, 333, 475, 558, 1892];

/// Seeds that every test run uses.
const SEEDS: Range<u64> = 0..10_000;

/// Runs a world. Returns its story, and the violated invariant.
fn run(seed: u64, is_told: bool) -> (String, Result<(), String>) {
    let mut world = World::new(seed, is_told);
    let ran = catch_unwind(AssertUnwindSafe(|| process::run(&mut world)));
    let result = ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panicked: {}", text.unwrap_or_default()))
    });
    (world.story(), result)
}

/// Runs seeds on all processors. Returns the seeds that failed.
fn run_all(seeds: Range<u64>) -> Vec<(u64, String)> {
    let next = AtomicU64::new(seeds.start);
    let work = || {
        let mut failed = Vec::new();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end || failed.len() >= 500 {
                return failed;
            }
            if let (_, Err(error)) = run(seed, false) {
                failed.push((seed, error));
            }
        }
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("seeds are caught")).collect()
    })
}

/// The seeds in `SIMULATION_SEEDS`: `N` or `A..B`.
fn asked_seeds() -> Option<Range<u64>> {
    let text = std::env::var("SIMULATION_SEEDS").ok()?;
    let number = |text: &str| text.trim().parse().expect("SIMULATION_SEEDS is N or A..B");
    Some(match text.split_once("..") {
        Some((start, end)) => number(start)..number(end),
        None => number(&text)..number(&text) + 1,
    })
}

#[test]
fn every_event_is_accounted_for_in_every_world() {
    let seeds = asked_seeds().unwrap_or(SEEDS);
    let start = Instant::now();
    let mut failed = run_all(seeds.clone());
    failed.sort();
    let count = seeds.end - seeds.start;
    let summary: Vec<_> = failed.iter().map(|(seed, error)| format!("{seed}: {error}")).collect();
    if let Some((seed, _)) = failed.first() {
        let (story, result) = run(*seed, true);
        panic!(
            "{story}\nseed {seed}: {result:?}\n{} of {count} seeds failed:\n{}",
            failed.len(),
            summary.join("\n")
        );
    }
    if count == 1 {
        let (story, _) = run(seeds.start, true);
        report(&story);
    }
    report(&format!("{count} seeds in {:.1} s", start.elapsed().as_secs_f64()));
}

#[test]
fn seeds_that_found_a_defect_stay_found() {
    for seed in KEPT {
        let (story, result) = run(*seed, true);
        assert!(result.is_ok(), "{story}\nseed {seed}: {result:?}");
    }
}

#[test]
fn a_seed_always_tells_the_same_story() {
    for seed in (0..200).step_by(7) {
        let [one, other] = [(); 2].map(|()| run(seed, true));
        assert_eq!(one, other, "seed {seed}");
    }
}

/// Prints a line of the test's report.
fn report(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
