//! One life of the process: it connects the parts as a real run does, on one thread.

use std::num::NonZero;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use time::OffsetDateTime;
use tokio::runtime::{Builder, Handle};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::DRAINED_WITHIN;
use super::account::Acceptance;
use super::disk::Disk;
use super::firehose;
use super::plugin::Plugin;
use super::world::{Arrival, Life, LifeEnd, World};
use crate::pipeline::{OnFailure, SourceIdentities, Worker, WorkerContext};
use crate::stop::StopTokens;
use standpipe_collector::{SpoolReader, entry_of};
use standpipe_core::blocking;
use standpipe_core::clock;
use standpipe_core::event::{EventTotals, NextChunk, TotalsSnapshot};
use standpipe_delivery::dead_letters::{DeadLetterDurability, DeadLetterSteps, DeadLetterWriter};
use standpipe_delivery::{Delivery, FirehoseClients, RecordAccumulator};
use standpipe_plugin_host::{
    AdmittedPlugin, CircuitBreakerSettings, Generation, PluginRoles, PublishedRoles,
};
use standpipe_spool::{Durability, Spool, SpoolSteps};

/// The time that a stop may take beyond its timeout: the pause between the final steps.
const STOP_MARGIN: Duration = Duration::from_secs(5);

/// The parts of the process.
struct Process<'a> {
    world: &'a World,
    /// The world's time at the start of the process, and the same moment as an instant.
    born: (Duration, Instant),
    disk: Disk,
    spool: Spool,
    steps: Arc<Mutex<SpoolSteps>>,
    delivery: Delivery,
    dead_letters: Arc<DeadLetterWriter>,
    letter_steps: Arc<DeadLetterSteps>,
    plugin: Arc<Plugin>,
    roles: Arc<PublishedRoles>,
    reader: Arc<Mutex<SpoolReader>>,
    stop: StopTokens,
    totals: Arc<EventTotals>,
    /// Notifies the consumer of new spool entries.
    news: Arc<Notify>,
}

/// Runs all lives of a world, and checks the outcome of each event.
pub(super) fn run(world: &mut World) -> Result<(), String> {
    world.account.narrate(Duration::ZERO, || world.describe());
    let mut at = Duration::ZERO;
    for life in world.lives.clone() {
        at = live(world, at, Some(&life))?.max(life.until) + Duration::from_millis(10);
    }
    live(world, at, None)?;
    world.take_dead_letters()?;
    world.check()
}

/// Runs one life from this time of the world on: until the life ends or, in the last life, until
/// every event has an outcome. Returns the world's time at the end.
fn live(world: &mut World, from: Duration, life: Option<&Life>) -> Result<Duration, String> {
    let seed = world.seed ^ from.as_millis() as u64;
    fastrand::seed(seed);
    blocking::simulated::set(true);
    // The wall clock jumps between lives, forwards or backwards.
    let day = OffsetDateTime::from_unix_timestamp(1_700_000_000 + (seed % 100_000) as i64);
    clock::simulated::set(Some(day.expect("a day of our time")));
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let (lived, disk, dropped) = runtime.block_on(async {
        let process = Process::start(world, from)?;
        let (disk, dead_letters) = (process.disk.clone(), Arc::clone(&process.dead_letters));
        let lived = process.live(life).await;
        Ok::<_, String>((lived, disk, dead_letters.report().dropped.dead_letters))
    })?;
    // Nothing may be written when the parts are dropped: they belong to a dead process.
    disk.die();
    drop(runtime);
    world.dropped += dropped;
    if life.is_some_and(|life| life.end == LifeEnd::PowerLoss) {
        let mut rng = Rng::with_seed(seed);
        let lost = disk.lose_power(&world.spool_directory(), &mut rng);
        lost.map_err(|error| error.to_string())?;
    }
    clock::simulated::set(None);
    blocking::simulated::set(false);
    lived
}

impl<'a> Process<'a> {
    fn start(world: &'a World, from: Duration) -> Result<Self, String> {
        let born = (from, Instant::now());
        let disk = Disk::new(world.disk.clone(), born);
        let opened = Spool::open_stepped(
            world.spool_settings(),
            world.segment_bytes,
            Box::new(disk.clone()),
        );
        let (spool, consumer, recovered, steps) = opened.map_err(|error| error.to_string())?;
        world.account.narrate(from, || format!("a process starts: {recovered:?}"));
        let durability = match world.durability {
            Durability::Fsync => DeadLetterDurability::Synced,
            Durability::Os | Durability::Memory | Durability::Acknowledged => {
                DeadLetterDurability::Written
            }
        };
        let (dead_letters, letter_steps) =
            DeadLetterWriter::stepped(world.dead_directory(), world.dead, durability);
        let dead_letters = Arc::new(dead_letters);
        let seed = world.seed ^ 0x5eed ^ from.as_millis() as u64;
        let firehose = firehose::World {
            account: world.account.clone(),
            streams: Arc::clone(&world.streams),
            born,
            rng: Mutex::new(Rng::with_seed(seed)),
        };
        let stop = StopTokens::default();
        let delivery = Delivery::new(
            FirehoseClients::new(Arc::new(firehose)),
            world.delivery.clone(),
            Arc::clone(&dead_letters),
            Handle::current(),
            stop.delivery_abort.child_token(),
        );
        let plugin = Arc::new(Plugin::new(world.account.clone()));
        let scripted = AdmittedPlugin::without_component(standpipe_plugin_host::Plugin::scripted(
            plugin.clone(),
        ))
        .unwrap();
        let threads = NonZero::new(world.workers).expect("there is a worker");
        let active = Generation::new(1, scripted, CircuitBreakerSettings::default(), threads);
        let active = Arc::new(active);
        let roles = PublishedRoles::new(PluginRoles { active, canary: None, shadow: None });
        let totals = Arc::<EventTotals>::default();
        let reader = SpoolReader::new(
            consumer,
            spool.clone(),
            Arc::clone(&totals),
            Arc::default(),
            Arc::default(),
        );
        Ok(Process {
            world,
            born,
            disk,
            spool,
            steps: Arc::new(Mutex::new(steps)),
            delivery,
            dead_letters,
            letter_steps: Arc::new(letter_steps),
            plugin,
            roles: Arc::new(roles),
            reader: Arc::new(Mutex::new(reader)),
            stop,
            totals,
            news: Arc::default(),
        })
    }

    fn now(&self) -> Duration {
        self.born.0 + self.born.1.elapsed()
    }

    fn narrate(&self, line: impl FnOnce() -> String) {
        self.world.account.narrate(self.now(), line);
    }

    async fn live(self, life: Option<&Life>) -> Result<Duration, String> {
        let workers: Vec<_> = (0..self.world.workers).map(|_| self.spawn_worker()).collect();
        let appends = self.spawn_arrivals(life.map(|life| life.until));
        tokio::spawn(tend(Arc::clone(&self.steps)));
        tokio::spawn(write_dead_letters(Arc::clone(&self.letter_steps)));
        tokio::spawn(fill_dead_letters(
            self.world.dead_directory(),
            self.world.dead_full.clone(),
            self.world.dead.bytes_max,
            self.born,
        ));
        let lived = match life {
            None => {
                self.drained(&appends).await?;
                self.stop(workers, Duration::from_secs(60)).await
            }
            Some(Life { until, end }) => {
                sleep_until(self.at(*until)).await;
                match end {
                    LifeEnd::Kill | LifeEnd::PowerLoss => {
                        self.narrate(|| format!("{end:?}"));
                        self.let_repeat();
                        Ok(())
                    }
                    LifeEnd::Stop { drain_timeout } => self.stop(workers, *drain_timeout).await,
                }
            }
        };
        self.check_bounds()?;
        let TotalsSnapshot { read, settled } = self.totals.snapshot();
        let ended = settled.delivered + settled.filtered + settled.dead;
        if read != ended || settled.undelivered > 0 {
            return Err(format!("{read} events count as read, and {settled:?}"));
        }
        lived.map(|()| self.now())
    }

    fn at(&self, world: Duration) -> Instant {
        self.born.1 + world.saturating_sub(self.born.0)
    }

    /// Waits until nothing waits any more, after the faults.
    async fn drained(&self, appends: &JoinHandle<()>) -> Result<(), String> {
        let until = self.world.calm.max(self.born.0) + DRAINED_WITHIN;
        loop {
            sleep(Duration::from_secs(2)).await;
            self.check_bounds()?;
            let (now, waiting) = (self.now(), self.spool.status().items_waiting);
            if now > self.world.calm && waiting == 0 && appends.is_finished() {
                return Ok(());
            }
            if now > until {
                let report = self.delivery.report();
                self.narrate(|| format!("{report:#?}"));
                let dead = if self.dead_letters.report().failure.is_some() {
                    "dead letters could not be written"
                } else {
                    "dead letters are fine"
                };
                return Err(format!("no progress: {waiting} events still wait; {dead}"));
            }
        }
    }

    /// Stops as a real run does: accepts nothing more, and gives up after the timeout.
    async fn stop(
        &self,
        workers: Vec<JoinHandle<()>>,
        drain_timeout: Duration,
    ) -> Result<(), String> {
        self.narrate(|| format!("stop, for {drain_timeout:?}"));
        self.spool.close();
        self.steps.lock().write();
        self.news.notify_waiters();
        let drained = async {
            for worker in workers {
                worker.await.map_err(|error| format!("a worker failed: {error}"))?;
            }
            self.delivery.drain().await;
            while self.dead_letters.report().waiting > 0 {
                sleep(DEAD_LETTERS_PAUSE).await;
            }
            Ok::<_, String>(())
        };
        let overdue = async {
            sleep(drain_timeout).await;
            self.narrate(|| "gives up".to_owned());
            self.let_repeat();
            self.stop.delivery_abort.cancel();
            self.dead_letters.stop_waiting();
            self.news.notify_waiters();
            std::future::pending().await
        };
        let stopped = timeout(drain_timeout + STOP_MARGIN, async {
            tokio::select! {
                biased;
                drained = drained => drained,
                never = overdue => never,
            }
        });
        let stopped = stopped.await;
        self.steps.lock().write();
        stopped.unwrap_or_else(|_| Err(format!("stop did not return within {drain_timeout:?}")))
    }

    /// Permits duplicates of all events without an outcome.
    fn let_repeat(&self) {
        for event in &mut self.world.account.state().events {
            event.may_repeat = true;
        }
    }

    fn check_bounds(&self) -> Result<(), String> {
        let status = self.spool.status();
        if status.corrupt_regions > 0 {
            return Err(format!("the spool is corrupt: {status:?}"));
        }
        let is_filled = self.world.dead_full.is_some();
        let dead = bytes_in(&self.world.dead_directory(), "ndjson");
        if !is_filled && dead > self.world.dead.bytes_max {
            return Err(format!("dead letters take {dead} bytes"));
        }
        // The limit counts segments only, not the files of acknowledgements.
        let spool = bytes_in(&self.world.spool_directory(), "log");
        // A partial write stays in the file until it is cut off, and segments begin with headers
        // that no entry is charged for.
        let most = self.world.spool_bytes + SPOOL_SLACK_BYTES;
        if spool > most {
            return Err(format!("the spool takes {spool} bytes, and {most} at most"));
        }
        Ok(())
    }

    fn spawn_worker(&self) -> JoinHandle<()> {
        let shared = WorkerContext {
            chunks: crossbeam_channel::bounded(0).1,
            buffers: crossbeam_channel::bounded(0).0,
            roles: Arc::clone(&self.roles),
            dead_letters: Arc::clone(&self.dead_letters),
            identities: Arc::new(SourceIdentities::default()),
            on_failure: OnFailure::DeadLetter,
            renew_plugin: Arc::new(|| ()),
            stop: self.stop.clone(),
        };
        let worker =
            Worker::new(shared, RecordAccumulator::new(&self.delivery).with_deferred_flush());
        tokio::spawn(work(
            worker,
            Arc::clone(&self.reader),
            Arc::clone(&self.plugin),
            self.stop.mapping_abort.clone(),
            Arc::clone(&self.news),
        ))
    }

    /// Sends the requests that arrive in this life.
    fn spawn_arrivals(&self, until: Option<Duration>) -> JoinHandle<()> {
        let (from, account) = (self.born.0, self.world.account.clone());
        let is_new = |arrival: &&Arrival| {
            let first = &account.state().events[arrival.events.start];
            first.acceptance == Acceptance::NotOffered
                && until.is_none_or(|until| arrival.at < until)
        };
        let arrivals: Vec<_> = self.world.arrivals.iter().filter(is_new).cloned().collect();
        let (spool, steps) = (self.spool.clone(), Arc::clone(&self.steps));
        let (news, born) = (Arc::clone(&self.news), self.born);
        let account = self.world.account.clone();
        tokio::spawn(async move {
            let mut appends = tokio::task::JoinSet::new();
            for arrival in arrivals {
                sleep_until(born.1 + arrival.at.saturating_sub(from)).await;
                let (spool, steps) = (spool.clone(), Arc::clone(&steps));
                let (news, account) = (Arc::clone(&news), account.clone());
                appends.spawn(async move {
                    let set = |acceptance| {
                        for event in &mut account.state().events[arrival.events.clone()] {
                            event.acceptance = acceptance;
                        }
                    };
                    set(Acceptance::Unknown);
                    let texts: Vec<_> = {
                        let state = account.state();
                        let ids = arrival.events.clone();
                        ids.map(|id| state.events[id].text(id)).collect()
                    };
                    let entry = entry_of(&arrival.source, texts.iter().map(String::as_str));
                    let items = u32::try_from(texts.len()).expect("few");
                    let appended = append(&spool, &steps, items, entry).await;
                    let at = born.0 + born.1.elapsed();
                    account.narrate(at, || {
                        format!("{:?} of {}: {appended:?}", arrival.events, arrival.source)
                    });
                    set(if appended.is_ok() { Acceptance::Accepted } else { Acceptance::Refused });
                    news.notify_waiters();
                });
            }
            while let Some(appended) = appends.join_next().await {
                appended.expect("appending does not panic");
            }
        })
    }
}

/// Appends an entry. The spool writer runs a little later.
async fn append(
    spool: &Spool,
    steps: &Mutex<SpoolSteps>,
    items: u32,
    entry: Vec<u8>,
) -> Result<(), standpipe_spool::AppendError> {
    let mut append = std::pin::pin!(spool.append(items, entry));
    loop {
        let pause = Duration::from_micros(fastrand::u64(..3000));
        tokio::select! {
            biased;
            appended = &mut append => return appended,
            () = sleep(pause) => {
                steps.lock().write();
            }
        }
    }
}

/// Does the work of a worker thread.
async fn work(
    mut worker: Worker,
    reader: Arc<Mutex<SpoolReader>>,
    plugin: Arc<Plugin>,
    abort: CancellationToken,
    news: Arc<Notify>,
) {
    let mut is_open = true;
    while is_open || worker.is_holding() {
        let notified = news.notified();
        is_open &= !abort.is_cancelled();
        let next = match is_open && worker.takes_more() {
            true => {
                let mut reader = reader.lock();
                reader.read_chunk(Duration::ZERO, Vec::new)
            }
            false => NextChunk::Nothing,
        };
        let is_idle = matches!(next, NextChunk::Nothing);
        match next {
            NextChunk::Chunk(chunk) => worker.process_chunk(chunk),
            NextChunk::Nothing => {}
            NextChunk::End => is_open = false,
        }
        worker.do_due_work();
        worker.accumulator().flush().await;
        let spent = plugin.take_spent();
        sleep(spent).await;
        if is_idle && spent.is_zero() {
            let latest = Instant::now() + Duration::from_secs(1);
            let due = worker.next_due().unwrap_or(latest).min(latest);
            tokio::select! {
                biased;
                () = notified => {}
                () = sleep_until(due.max(Instant::now() + Duration::from_millis(1))) => {}
            }
        }
    }
    worker.accumulator().close_all();
    worker.accumulator().flush().await;
}

/// Bytes that a spool may use on disk above its limit.
const SPOOL_SLACK_BYTES: u64 = 16 * 1024;

/// How often waiting dead letters are retried.
const DEAD_LETTERS_PAUSE: Duration = Duration::from_millis(100);

/// Does the work of the dead letter thread.
async fn write_dead_letters(steps: Arc<DeadLetterSteps>) {
    loop {
        sleep(DEAD_LETTERS_PAUSE).await;
        steps.write();
    }
}

/// Does the work of the spool's janitor at intervals.
async fn tend(steps: Arc<Mutex<SpoolSteps>>) {
    loop {
        sleep(standpipe_spool::limits::SPOOL_TEND_INTERVAL).await;
        let mut steps = steps.lock();
        steps.write();
        steps.tend();
    }
}

/// Fills the directory of dead letters for some time with a foreign file.
async fn fill_dead_letters(
    directory: std::path::PathBuf,
    when: Option<std::ops::Range<Duration>>,
    bytes: u64,
    born: (Duration, Instant),
) {
    let Some(when) = when else { return };
    let file = directory.join("0.ndjson");
    if born.0 < when.end {
        sleep_until(born.1 + when.start.saturating_sub(born.0)).await;
        let _ = std::fs::create_dir_all(&directory);
        let filler = std::fs::File::create(&file).and_then(|file| file.set_len(bytes));
        filler.expect("a sparse file");
        sleep_until(born.1 + when.end.saturating_sub(born.0)).await;
    }
    let _ = std::fs::remove_file(&file);
}

/// The disk space of a directory's files with this extension. Released parts of a file do not
/// count.
fn bytes_in(directory: &Path, extension: &str) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| path.extension().is_some_and(|own| own == extension));
    let files = paths.filter_map(|path| path.metadata().ok());
    files.map(|file| file.len().min(file.blocks() * 512)).sum()
}
