//! Applies every fault in turn at full speed. Nothing may be lost, and nothing may grow.
//!
//! `SOAK_SECONDS=1800 cargo test --release --test e2e -- --nocapture soak` runs for half an hour,
//! `SOAK_SEED` repeats the order of a run, and `SOAK_FAULTS` selects faults by parts of their
//! names. Without these variables, the test runs for some seconds.
//!
//! Honest senders post numbered events as fast as the collector accepts them. A run has rounds. In
//! each round, the program goes through all faults in random order, then drains, and the [`ledger`]
//! must balance at a checkpoint. In the first and the last round, the process is also stopped and
//! killed. Between them it is a single process, so that its resource usage can be compared.

mod dead_letters;
mod faults;
mod findings;
mod hostile;
mod incarnations;
mod ledger;
mod phases;
mod place;
mod process;
mod recipes;
mod samples;
mod senders;
mod world;

use std::env;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use standpipe_tests::client::Client;

use dead_letters::DeadLetterReader;
use phases::Soak;
use samples::Samples;
use senders::Sender;
use world::SoakWorld;

/// The default duration of a run, without `SOAK_SECONDS`.
const SHORT: Duration = Duration::from_secs(15);

const SAMPLE_INTERVAL: Duration = Duration::from_secs(1);
const PROGRESS_INTERVAL: Duration = Duration::from_secs(10);
const LETTER_INTERVAL: Duration = Duration::from_millis(200);
const HEALTH_INTERVAL: Duration = Duration::from_millis(500);

/// Timeout for a health check. It usually takes from some milliseconds to a second, because all
/// clients and the stub use the same processors.
const HEALTH_PATIENCE: Duration = Duration::from_secs(10);

/// The options of a run.
#[derive(Debug, Clone)]
struct Options {
    duration: Duration,
    seed: u64,
    /// Parts of fault names. Empty means all faults.
    faults: Vec<String>,
}

impl Options {
    fn from_environment() -> Self {
        let number = |name: &str| {
            let value = env::var(name).ok()?;
            Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
        };
        let faults = env::var("SOAK_FAULTS").unwrap_or_default();
        Options {
            duration: number("SOAK_SECONDS").map_or(SHORT, Duration::from_secs),
            seed: number("SOAK_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32)),
            faults: faults.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect(),
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the report is what such a run is for")]
fn every_fault_loses_nothing_and_resources_do_not_grow() {
    let options = Options::from_environment();
    println!("soak of {} s, SOAK_SEED={}", options.duration.as_secs(), options.seed);
    let (mut soak, world) = Soak::start(options.clone());
    let samples = thread::scope(|scope| {
        for number in 0..recipes::SENDERS {
            let sender = Sender::new(&world, number);
            scope.spawn(move || sender.run());
        }
        let samples = scope.spawn(|| watch_run(&world));
        scope.spawn(|| read_dead_letters(&world));
        scope.spawn(|| watch_health(&world));
        let closing = world.gate.close_at_end();
        soak.run();
        drop(closing);
        samples.join().expect("the samples are taken")
    });
    println!("{}\n{}", soak.report(), samples.report(&world.findings, options.duration));
    let findings = world.findings.to_text();
    println!("SOAK_SEED={}: {}", options.seed, findings.as_deref().unwrap_or("no findings"));
    assert!(findings.is_none(), "the soak has found what is printed above");
}

/// Takes samples and prints progress until the run is over.
fn watch_run(world: &SoakWorld) -> Samples {
    let (mut samples, mut printed) = (Samples::default(), Instant::now());
    while !world.gate.is_over() {
        thread::sleep(SAMPLE_INTERVAL);
        samples.take_sample(world);
        if printed.elapsed() >= PROGRESS_INTERVAL {
            printed = Instant::now();
            print_progress(world);
        }
    }
    samples
}

#[expect(clippy::print_stdout, reason = "it is progress of a run by hand")]
fn print_progress(world: &SoakWorld) {
    let load = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let (counts, traffic) = (&world.ledger.counts, &world.traffic);
    println!(
        "{:>6.0} s  accepted {}  delivered {}  dead {}  filtered {}  waiting {}  duplicates {}  429: {}  503: {}  unanswered {}",
        world.started.elapsed().as_secs_f64(),
        load(&counts.acknowledged),
        load(&counts.delivered),
        load(&counts.dead),
        load(&counts.filtered),
        counts.waiting(),
        counts.duplicates.sum(),
        load(&traffic.refused),
        load(&traffic.unavailable),
        load(&traffic.unanswered),
    );
}

fn read_dead_letters(world: &SoakWorld) {
    let mut reader = DeadLetterReader::default();
    while !world.gate.is_over() {
        reader.read_directory(world);
        thread::sleep(LETTER_INTERVAL);
    }
}

/// Checks whether the program is alive, like an orchestrator.
fn watch_health(world: &SoakWorld) {
    let url = world.place.admin_url();
    let own = std::net::Ipv4Addr::new(127, 0, 2, 1);
    while !world.gate.is_over() {
        thread::sleep(HEALTH_INTERVAL);
        let (asked, was_serving, pid) = (Instant::now(), world.is_serving(), world.pid());
        let status = Client::try_connect_from(own, &url).and_then(|mut client| {
            client.set_read_timeout(HEALTH_PATIENCE);
            client.get("/health/live").map(|reply| reply.status)
        });
        let is_same = was_serving && world.is_serving() && world.pid() == pid;
        if !is_same {
            continue;
        }
        let took = asked.elapsed();
        world.traffic.slowest_health_ms.fetch_max(took.as_millis() as u64, Ordering::Relaxed);
        if !matches!(status, Ok(200)) {
            world
                .findings
                .add("health that is not answered", || format!("{status:?} after {took:?}"));
        }
    }
}
