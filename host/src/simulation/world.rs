//! A world: everything that a seed determines, and the lives of the process in it.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;

use super::ENDLESS;
use super::account::{Acceptance, Account, Event, Rules};
use super::disk::{DiskFault, DiskPlan};
use super::firehose::{BEHAVIOURS, StreamPlan};
use super::plugin::id_of;
use standpipe_delivery::dead_letters::{DeadLetterLimit, WhenFull};
use standpipe_delivery::{Aggregation, DeliverySettings, StartRate, StreamSettings};
use standpipe_plugin_host::scripted::ScriptedEnd;
use standpipe_spool::{Durability, SpoolSettings};

/// Everything that a seed determines, and the results so far.
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) account: Account,
    directory: tempfile::TempDir,
    pub(super) spool_bytes: u64,
    pub(super) segment_bytes: u64,
    pub(super) durability: Durability,
    pub(super) delivery: DeliverySettings,
    pub(super) dead: DeadLetterLimit,
    pub(super) workers: usize,
    pub(super) streams: Arc<BTreeMap<String, StreamPlan>>,
    pub(super) arrivals: Vec<Arrival>,
    pub(super) disk: DiskPlan,
    /// When foreign files fill the directory of dead letters.
    pub(super) dead_full: Option<Range<Duration>>,
    /// How each life except the last one ends.
    pub(super) lives: Vec<Life>,
    /// The time after which nothing fails any more.
    pub(super) calm: Duration,
    /// Number of dead letters that were replaced by newer ones.
    pub(super) dropped: u64,
}

/// A request with events.
#[derive(Debug, Clone)]
pub(super) struct Arrival {
    pub(super) at: Duration,
    pub(super) source: String,
    pub(super) events: Range<usize>,
}

/// A life of the process that ends before the end of the world.
#[derive(Debug, Clone)]
pub(super) struct Life {
    pub(super) until: Duration,
    pub(super) end: LifeEnd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LifeEnd {
    Kill,
    /// Unsynced data is lost.
    PowerLoss,
    Stop {
        drain_timeout: Duration,
    },
}

/// How the events of a world are generated.
#[derive(Debug, Clone, Copy)]
struct Mix {
    events: usize,
    padding_max: usize,
    /// Percentages of events with each of these outcomes.
    filtered: usize,
    rejected: usize,
    trapped: usize,
    endless: usize,
    poison: usize,
    /// Whether all events of these kinds come from one source.
    has_flooder: bool,
    /// Maximum CPU time of a usual event, in microseconds.
    cpu_us_max: u64,
}

/// The first seed whose streams may reject everything for some time. Older seeds that found a
/// defect keep their worlds.
const FIRST_SEED_WITH_REFUSALS: u64 = 500;

/// XORed with the seed, for the random numbers of these rejections.
const REFUSALS: u64 = 0x0ef0_5a15;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Picks one of the values.
fn pick<T: Copy>(rng: &mut Rng, from: &[T]) -> T {
    from[rng.usize(..from.len())]
}

/// A time range of at most this number of milliseconds that begins before this time.
fn window(rng: &mut Rng, begins_before: Duration, ms_max: u64) -> Range<Duration> {
    let start = ms(rng.u64(..=begins_before.as_millis() as u64));
    start..start + ms(rng.u64(1..=ms_max))
}

impl World {
    pub(super) fn new(seed: u64, is_told: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let rng = &mut rng;
        let account = Account::new(is_told);
        let span = ms(pick(rng, &[100, 2_000, 20_000, 60_000]));
        let mix = mix(rng);
        let mut streams = streams(rng);
        if seed >= FIRST_SEED_WITH_REFUSALS {
            plan_refusals(&mut streams, &mut Rng::with_seed(seed ^ REFUSALS), span);
        }
        let names: Vec<String> = streams.keys().cloned().collect();
        let arrivals = arrivals(rng, &account, &mix, &names, span);
        let disk = if rng.u8(..3) == 0 { disk(rng, span) } else { Vec::new() };
        let dead_full = (rng.u8(..6) == 0).then(|| window(rng, span, 90_000));
        let durability = pick(rng, &[Durability::Fsync, Durability::Fsync, Durability::Os]);
        let lives = lives(rng, span, durability);
        let ends = streams.values().flat_map(|plan| plan.phases.iter().map(|(until, _)| *until));
        let refusals = streams.values().flat_map(|plan| plan.refuses.as_ref());
        let ends = ends.chain(refusals.map(|when| when.end));
        let ends = ends.chain(disk.iter().map(|(when, _)| when.end));
        let ends = ends.chain(lives.iter().map(|life| life.until)).chain([span]);
        let calm = ends.chain(dead_full.iter().map(|when| when.end)).max().unwrap_or_default();
        let shared = Path::new("/dev/shm");
        let directory =
            if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() };
        let directory = directory.expect("a temporary directory");
        let enough = pick(rng, &[1024, 4096, 16_384]);
        // The largest batch must fit, including the data besides its payload.
        let batch_max = 2 * (enough + 2 * (mix.padding_max + 200)) + 4096;
        let in_flight = batch_max * pick(rng, &[2, 3, 6, 20]);
        let overflow_bytes_max = pick(rng, &[0, 2000, 20_000, 200_000, 10_000_000]);
        let delivery = DeliverySettings {
            stream: StreamSettings {
                newline: true,
                concurrency: rng.usize(1..=4),
                aggregation: pick(
                    rng,
                    &[Aggregation::Off, Aggregation::Off, Aggregation::UpTo { bytes_max: 5120 }],
                ),
            },
            streams: std::collections::HashMap::new(),
            missing_stream_grace: ms(60_000),
            start_rate: StartRate::Unbounded,
            max_delay: ms(pick(rng, &[10, 200, 1000])),
            in_flight_bytes_max: in_flight,
            request_bytes_enough: enough,
            overflow_directory: directory.path().join("overflow"),
            overflow_bytes_max,
            dynamic_streams_max: 1000,
            // This value has its own random numbers, so that older seeds keep their worlds.
            stream_idle_timeout: ms(pick(&mut Rng::with_seed(!seed), &[1_000, 30_000, 600_000])),
        };
        let when_full = pick(rng, &[WhenFull::Stop, WhenFull::Stop, WhenFull::DropOldest]);
        let dead =
            DeadLetterLimit { bytes_max: pick(rng, &[50_000, 1_000_000, 100_000_000]), when_full };
        World {
            seed,
            account,
            directory,
            spool_bytes: pick(rng, &[40_000, 400_000, 100_000_000]),
            segment_bytes: pick(rng, &[4_000, 40_000, 1_000_000]),
            durability,
            delivery,
            // All dead letters must fit, unless the oldest may be deleted.
            dead: if when_full == WhenFull::Stop {
                DeadLetterLimit { bytes_max: 100_000_000, ..dead }
            } else {
                dead
            },
            workers: rng.usize(1..=3),
            streams: Arc::new(streams),
            arrivals,
            disk,
            dead_full,
            lives,
            calm,
            dropped: 0,
        }
    }

    pub(super) fn dead_directory(&self) -> PathBuf {
        self.directory.path().join("dead")
    }

    pub(super) fn spool_directory(&self) -> PathBuf {
        self.directory.path().join("spool")
    }

    pub(super) fn spool_settings(&self) -> SpoolSettings {
        SpoolSettings {
            directory: self.spool_directory(),
            bytes_max: self.spool_bytes,
            durability: self.durability,
        }
    }

    pub(super) fn story(&self) -> String {
        self.account.story()
    }

    pub(super) fn describe(&self) -> String {
        let events = self.account.state().events.len();
        let DeliverySettings {
            stream,
            max_delay,
            in_flight_bytes_max,
            request_bytes_enough,
            overflow_bytes_max,
            ..
        } = &self.delivery;
        format!(
            "{events} events in {} requests; spool {} bytes in segments of {}, {:?}; {} workers; \
             batches of {request_bytes_enough} bytes after {max_delay:?}, {in_flight_bytes_max} in memory, \
             {overflow_bytes_max} on disk; {stream:?}; {:?}, full {:?}; disk {:?}; calm from {:?}\n\
             streams {:?}\nlives {:?}",
            self.arrivals.len(),
            self.spool_bytes,
            self.segment_bytes,
            self.durability,
            self.workers,
            self.dead,
            self.dead_full,
            self.disk,
            self.calm,
            self.streams,
            self.lives,
        )
    }

    /// Reads all remaining dead letters.
    pub(super) fn take_dead_letters(&self) -> Result<(), String> {
        let Ok(entries) = std::fs::read_dir(self.dead_directory()) else { return Ok(()) };
        let mut state = self.account.state();
        for entry in entries {
            let path = entry.map_err(|error| error.to_string())?.path();
            let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
            for line in text.lines() {
                let letter: serde_json::Value = serde_json::from_str(line)
                    .map_err(|error| format!("a dead letter is not JSON: {error}"))?;
                let id = letter["event"].as_str().and_then(id_of);
                let id = id.ok_or("a dead letter holds no event")?;
                let reason = letter["reason"].as_str().unwrap_or_default().to_owned();
                let stream = letter["stream"].as_str().map(ToOwned::to_owned);
                state.events[id].dead.push((reason, stream));
            }
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let rules = Rules {
            is_dropping_dead: self.dropped > 0,
            is_aggregated: self.delivery.stream.aggregation != Aggregation::Off,
            may_be_missing: &|stream| self.streams[stream].may_be_missing(),
        };
        let state = self.account.state();
        let mut wrong = Vec::new();
        for (id, event) in state.events.iter().enumerate() {
            if let Err(error) = event.check(&rules) {
                wrong.push(format!("event {id} of {}: {error}", event.source));
            }
        }
        match wrong.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} events ended wrong; {first}", wrong.len())),
        }
    }
}

fn mix(rng: &mut Rng) -> Mix {
    let plain = Mix {
        events: pick(rng, &[5, 30, 120, 300]),
        padding_max: pick(rng, &[10, 200, 200, 3000]),
        filtered: pick(rng, &[0, 5]),
        rejected: 0,
        trapped: 0,
        endless: 0,
        poison: 0,
        has_flooder: false,
        cpu_us_max: pick(rng, &[10, 100, 1500]),
    };
    match rng.u8(..6) {
        0 | 1 => plain,
        2 => Mix { poison: pick(rng, &[1, 10, 60]), ..plain },
        3 => Mix { rejected: 10, trapped: 10, endless: 3, poison: 5, ..plain },
        4 => Mix { trapped: pick(rng, &[50, 100]), has_flooder: true, events: 600, ..plain },
        _ => Mix { endless: pick(rng, &[50, 100]), has_flooder: true, events: 600, ..plain },
    }
}

fn streams(rng: &mut Rng) -> BTreeMap<String, StreamPlan> {
    let plan = |rng: &mut Rng| {
        let mut until = Duration::ZERO;
        let count = pick(rng, &[0, 0, 1, 2, 4]);
        let phases = (0..count).map(|_| {
            until += ms(pick(rng, &[500, 5_000, 30_000, 90_000]));
            (until, BEHAVIOURS[rng.usize(..BEHAVIOURS.len())])
        });
        StreamPlan { phases: phases.collect(), refuses: None }
    };
    let count = pick(rng, &[1, 2, 2, 5]);
    (0..count).map(|number| (format!("s{number}"), plan(rng))).collect()
}

/// Lets a third of the streams reject everything for some time.
fn plan_refusals(streams: &mut BTreeMap<String, StreamPlan>, rng: &mut Rng, span: Duration) {
    for plan in streams.values_mut() {
        plan.refuses = (rng.u8(..3) == 0).then(|| window(rng, span, 90_000));
    }
}

fn arrivals(
    rng: &mut Rng,
    account: &Account,
    mix: &Mix,
    streams: &[String],
    span: Duration,
) -> Vec<Arrival> {
    let sources = ["web", "app", "flood"];
    let mut arrivals = Vec::new();
    let mut state = account.state();
    while state.events.len() < mix.events {
        let is_flood = mix.has_flooder && rng.u8(..100) < 97;
        let source = if is_flood { "flood" } else { pick(rng, &sources) };
        let count = pick(rng, &[1, 1, 3, 20]).min(mix.events - state.events.len());
        let first = state.events.len();
        for _ in 0..count {
            state.events.push(event(rng, mix, source, streams));
        }
        let at = ms(rng.u64(..=span.as_millis() as u64));
        arrivals.push(Arrival { at, source: source.to_owned(), events: first..first + count });
    }
    arrivals.sort_by_key(|arrival| arrival.at);
    arrivals
}

fn event(rng: &mut Rng, mix: &Mix, source: &str, streams: &[String]) -> Event {
    let is_sound = mix.has_flooder && source != "flood";
    let cpu = Duration::from_micros(rng.u64(..=mix.cpu_us_max));
    let any = rng.usize(..streams.len());
    let first = pick(rng, &[0, any]);
    let mut to = vec![streams[first].clone()];
    if rng.u8(..10) == 0 && streams.len() > 1 {
        to.push(streams[(first + 1) % streams.len()].clone());
    }
    let mut event = Event {
        source: source.to_owned(),
        end: ScriptedEnd::Deliver(to),
        cpu,
        is_poison: false,
        padding: rng.usize(..=mix.padding_max),
        acceptance: Acceptance::NotOffered,
        delivered: BTreeMap::new(),
        dead: Vec::new(),
        may_repeat: false,
    };
    if is_sound {
        return event;
    }
    let mut percent = rng.usize(..100);
    let mut falls_into = |share: usize| {
        let is_in = percent < share;
        percent = if is_in { usize::MAX } else { percent - share };
        is_in
    };
    if falls_into(mix.filtered) {
        event.end = ScriptedEnd::Deliver(Vec::new());
    } else if falls_into(mix.rejected) {
        event.end = ScriptedEnd::Reject("simulated");
    } else if falls_into(mix.trapped) {
        event.end = ScriptedEnd::Trap;
    } else if falls_into(mix.endless) {
        event.cpu = ENDLESS;
    } else if falls_into(mix.poison) {
        event.is_poison = true;
    }
    event
}

fn disk(rng: &mut Rng, span: Duration) -> DiskPlan {
    let faults =
        [DiskFault::Full, DiskFault::TornFull, DiskFault::SyncFails, DiskFault::OverwriteFails];
    let count = rng.usize(1..=3);
    (0..count).map(|_| (window(rng, span, 20_000), pick(rng, &faults))).collect()
}

fn lives(rng: &mut Rng, span: Duration, durability: Durability) -> Vec<Life> {
    let count = pick(rng, &[0, 0, 1, 1, 3]);
    let end = |rng: &mut Rng| match rng.u8(..4) {
        0 => LifeEnd::Kill,
        1 if durability == Durability::Fsync => LifeEnd::PowerLoss,
        1 => LifeEnd::Kill,
        _ => LifeEnd::Stop { drain_timeout: ms(pick(rng, &[0, 100, 5_000, 60_000])) },
    };
    let mut until = Duration::ZERO;
    let lives = (0..count).map(|_| {
        until += ms(rng.u64(..=span.as_millis() as u64 / 2 + 20_000));
        Life { until, end: end(rng) }
    });
    lives.collect()
}
