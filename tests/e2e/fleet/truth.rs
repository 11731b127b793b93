//! Rounds under load, each of which kills a process or two: at the end, each event that a collector has answered with
//! 200 is at the stub, and each duplicate has a cause.
//!
//! `FLEET_ROUNDS=30 cargo test --release --test e2e -- fleet::truth --nocapture` runs so many rounds, and `FLEET_SEED`
//! repeats the order of a run. Without them each test runs for less than a minute.

use std::collections::BTreeMap;
use std::env;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::thread;

use standpipe_tests::{DeadLetter, SqsFaultRates, SqsProxy, moto};
use tempfile::TempDir;

use super::ledger::Duplicate;
use super::sender::{EndLoadOnDrop, EventSender};
use super::*;

/// Processes of each role.
const MEMBERS: usize = 3;

/// Rounds unless `FLEET_ROUNDS` says otherwise.
const ROUNDS_SHORT: usize = 6;

/// The load: each collector gets so many events, and then a pause.
const BATCH_EVENTS: usize = 20;
const PAUSE: Duration = Duration::from_millis(40);

/// How long a process stays down.
const DOWN_MS: std::ops::Range<u64> = 50..1500;

/// The time from the delivery of an event until nothing can deliver it again where nothing fails: the mapper has
/// acknowledged the message, and the collector has removed the event from its spool, which it does once a second.
const SETTLED_AFTER: Duration = Duration::from_secs(3);

/// The metrics of a process that add up to the figures of a run.
const COLLECTOR_COUNTS: &[&str] = &[PUBLISHED, REPUBLISHED];
const MAPPER_COUNTS: &[&str] = &[RECEIVED, REDELIVERED, DUPLICATES];

/// What a round kills.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kill {
    Collector,
    Mapper,
    NatsServer,
    TwoNatsServers,
    /// The server comes back with an empty store.
    NatsServerWithStore,
}

/// A round that is over.
#[derive(Debug)]
struct Round {
    kill: Kill,
    /// From the kill until the processes and servers run again, and until events of all collectors arrive again.
    start: Duration,
    ready: Duration,
    end: Duration,
    /// The kill hits only events that were posted before this time.
    hits_until: Duration,
    /// Events that were answered, and had not arrived when the process was killed.
    outstanding: usize,
}

/// Collectors and mappers under load.
struct LoadedFleet {
    collectors: Vec<FleetProcess>,
    mappers: Vec<FleetProcess>,
    random: fastrand::Rng,
    /// The counts of processes that were killed, and of the others at the end.
    counts: BTreeMap<&'static str, f64>,
    rounds: Vec<Round>,
    ledger: Arc<FleetLedger>,
    firehose: Stub,
    directory: TempDir,
}

fn number_from_environment(name: &str) -> Option<u64> {
    let value = env::var(name).ok()?;
    Some(value.parse().unwrap_or_else(|_| panic!("{name}={value} is not a number")))
}

fn rounds_from_environment() -> usize {
    number_from_environment("FLEET_ROUNDS").map_or(ROUNDS_SHORT, |rounds| rounds as usize)
}

/// Each of these once, and then drawn ones: in an order that is drawn.
fn draw_kills(kinds: &[Kill], rounds: usize, random: &mut fastrand::Rng) -> Vec<Kill> {
    let mut kills: Vec<_> = kinds.to_vec();
    kills.extend((kinds.len()..rounds).map(|_| kinds[random.usize(..kinds.len())]));
    kills.truncate(rounds);
    random.shuffle(&mut kills);
    kills
}

impl LoadedFleet {
    #[expect(clippy::print_stdout, reason = "a run that fails is repeated by its seed")]
    fn start(lines: impl Fn(&str, usize) -> Vec<String>) -> Self {
        let seed =
            number_from_environment("FLEET_SEED").unwrap_or_else(|| fastrand::u64(..1 << 32));
        println!("FLEET_SEED={seed}");
        let ledger = Arc::new(FleetLedger::new());
        let firehose = start_firehose(&ledger, |_| StubResponse::Accept);
        let directory = TempDir::new().expect("a directory");
        let path = directory.path();
        let collectors = (0..MEMBERS).map(|number| {
            start_collector(path, &format!("collector-{number}"), lines("collector", number))
        });
        let collectors = collectors.collect();
        let mappers = (0..MEMBERS).map(|number| {
            start_mapper(path, &format!("mapper-{number}"), &firehose, lines("mapper", number))
        });
        let mappers = mappers.collect();
        LoadedFleet {
            collectors,
            mappers,
            random: fastrand::Rng::with_seed(seed),
            counts: BTreeMap::new(),
            rounds: Vec::new(),
            ledger,
            firehose,
            directory,
        }
    }

    /// Sends events to all collectors until `rounds` returns.
    fn run_under_load(&mut self, rounds: impl FnOnce(&mut LoadedFleet)) {
        let is_over = AtomicBool::new(false);
        let ledger = Arc::clone(&self.ledger);
        let urls: Vec<_> = self.collectors.iter().map(FleetProcess::url).collect();
        let seeds: Vec<_> = urls.iter().map(|_| self.random.u64(..)).collect();
        thread::scope(|scope| {
            for (url, seed) in urls.into_iter().zip(seeds) {
                let (ledger, events) = (&*ledger, Events::new(seed));
                let sender =
                    EventSender { ledger, url, events, batch_events: BATCH_EVENTS, pause: PAUSE };
                let is_over = &is_over;
                scope.spawn(move || sender.run_until(is_over));
            }
            // Senders end also where a round fails.
            let _ending = EndLoadOnDrop(&is_over);
            self.wait_for_flow();
            rounds(self);
        });
        wait_for_arrivals(&self.ledger);
    }

    /// Waits until events that are sent now arrive, from each collector.
    fn wait_for_flow(&mut self) {
        for collector in &self.collectors {
            let probe = EventSender {
                ledger: &self.ledger,
                url: collector.url(),
                events: Events::new(self.random.u64(..)),
                batch_events: 1,
                pause: Duration::ZERO,
            };
            let ids = probe.post_batches(1);
            wait_until("an event of each collector arrives", || self.ledger.has_arrived(&ids[0]));
        }
    }

    /// Kills, waits, restarts, and waits until events arrive again.
    fn run_round(&mut self, kill: Kill, nats: Option<&mut NatsCluster>) {
        let outstanding = self.ledger.outstanding();
        let down = Duration::from_millis(self.random.u64(DOWN_MS));
        let one = self.random.usize(..MEMBERS);
        let two = (one + self.random.usize(1..MEMBERS)) % MEMBERS;
        let (start, mut hits_until) = (self.ledger.now(), None);
        match (kill, nats) {
            (Kill::Collector | Kill::Mapper, _) => {
                let (members, counts) = match kill {
                    Kill::Collector => (&mut self.collectors, COLLECTOR_COUNTS),
                    _ => (&mut self.mappers, MAPPER_COUNTS),
                };
                add_counts(&mut self.counts, &members[one], counts);
                members[one].kill();
                hits_until = Some(self.ledger.now());
                thread::sleep(down);
                members[one].restart();
            }
            (_, Some(nats)) => {
                nats.kill(one);
                if kill == Kill::TwoNatsServers {
                    nats.kill(two);
                }
                thread::sleep(down);
                match kill {
                    Kill::NatsServerWithStore => nats.restart_empty(one),
                    _ => nats.restart(one),
                }
                if kill == Kill::TwoNatsServers {
                    nats.restart(two);
                }
                nats.wait_until_ready();
            }
            (_, None) => unreachable!("this fleet has no NATS servers"),
        }
        let ready = self.ledger.now();
        self.wait_for_flow();
        let end = self.ledger.now();
        let hits_until = hits_until.unwrap_or(end + SETTLED_AFTER);
        self.rounds.push(Round { kill, start, ready, end, hits_until, outstanding });
    }

    /// Checks the ledger, and that no event became a dead letter. Returns the duplicates.
    fn check(&mut self) -> Vec<Duplicate> {
        for collector in &self.collectors {
            add_counts(&mut self.counts, collector, COLLECTOR_COUNTS);
        }
        for mapper in &self.mappers {
            add_counts(&mut self.counts, mapper, MAPPER_COUNTS);
        }
        assert_eq!(self.firehose.violations(), [""; 0]);
        for entry in std::fs::read_dir(self.directory.path()).expect("the directories of members") {
            assert_eq!(DeadLetter::read_all(&entry.expect("an entry").path()), []);
        }
        self.ledger.check()
    }

    /// The last round that explains a duplicate: whose kill hit the event while it was in flight.
    fn round_of(&self, duplicate: &Duplicate) -> Option<usize> {
        self.rounds.iter().rposition(|round| {
            duplicate.posted <= round.hits_until
                && round.start <= duplicate.first + SETTLED_AFTER
                && round.start <= duplicate.last
        })
    }

    /// Events that the kill of a round could hit.
    fn count_in_flight(&self, round: &Round) -> usize {
        let since = round.start.saturating_sub(SETTLED_AFTER);
        self.ledger.count_in_flight(since, round.hits_until)
    }
}

impl fmt::Display for Round {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Round { kill, start, ready, end, outstanding, .. } = self;
        let (ready, end) = ((*ready - *start).as_secs_f64(), (*end - *start).as_secs_f64());
        write!(
            f,
            "{kill:?}: ready after {ready:.1} s, events arrive after {end:.1} s, {outstanding} outstanding"
        )
    }
}

fn add_counts(
    counts: &mut BTreeMap<&'static str, f64>,
    member: &FleetProcess,
    names: &[&'static str],
) {
    for name in names {
        *counts.entry(name).or_default() += member.metric(name);
    }
}

impl fmt::Display for LoadedFleet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} events answered with 200", self.ledger.answered())?;
        for (name, count) in &self.counts {
            writeln!(f, "{name}: {count}")?;
        }
        Ok(())
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a long run is for")]
fn events_survive_kills_of_any_process_with_nats() {
    let mut nats = NatsCluster::start(MEMBERS);
    create_queue(&nats);
    let urls = nats.urls();
    let mut fleet = LoadedFleet::start(|role, _| nats_lines(role, &urls));
    let kinds = [
        Kill::Collector,
        Kill::Mapper,
        Kill::NatsServer,
        Kill::TwoNatsServers,
        Kill::NatsServerWithStore,
    ];
    let kills = draw_kills(&kinds, rounds_from_environment(), &mut fleet.random);
    fleet.run_under_load(|fleet| {
        kills.into_iter().for_each(|kill| fleet.run_round(kill, Some(&mut nats)));
    });
    let duplicates = fleet.check();
    wait_until("the queue is empty", || nats.backlog().stored == 0);
    let reposted = duplicates.iter().filter(|duplicate| duplicate.is_reposted).count();
    let mut of_rounds = vec![0; fleet.rounds.len()];
    for duplicate in duplicates.iter().filter(|duplicate| !duplicate.is_reposted) {
        let round = fleet.round_of(duplicate);
        let round = round.unwrap_or_else(|| panic!("no kill explains {duplicate:?}:\n{fleet}"));
        of_rounds[round] += duplicate.count;
    }
    println!("{fleet}{reposted} events posted twice by their senders and arrived twice");
    for (round, found) in fleet.rounds.iter().zip(&of_rounds) {
        let in_flight = fleet.count_in_flight(round);
        println!("{round}, {in_flight} in flight, {found} arrived again");
        assert!(*found <= in_flight, "more duplicates than events in flight");
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are what a long run is for")]
fn events_survive_kills_and_faults_of_sqs() {
    let server = moto::shared_server();
    let path = server.create_queue(&format!("truth-{}", std::process::id()));
    let rates = SqsFaultRates { error: 30, lost_response: 30, hang: 2, duplicate: 50 };
    let proxy = SqsProxy::start(server.url(), rates, fastrand::u64(..));
    let url = format!("{}{path}", proxy.url());
    // The last collector has no spool: its 200 says that the queue has stored the events.
    let mut fleet = LoadedFleet::start(|role, number| {
        let mut lines = sqs_lines(role, &url);
        lines.extend(
            (role == "collector" && number + 1 == MEMBERS).then(|| "spool = 'off'".to_owned()),
        );
        lines
    });
    let rounds = rounds_from_environment();
    let kills = draw_kills(&[Kill::Collector, Kill::Mapper], rounds, &mut fleet.random);
    fleet.run_under_load(|fleet| {
        kills.into_iter().for_each(|kill| fleet.run_round(kill, None));
        proxy.end_faults();
    });
    let duplicates = fleet.check();
    let record = proxy.record();
    let mut causes = BTreeMap::<&str, usize>::new();
    for duplicate in &duplicates {
        let passages = record.events.get(&duplicate.id).copied().unwrap_or_default();
        let arrivals = duplicate.count as u32 + 1;
        assert!(arrivals <= passages.delivered, "{duplicate:?} was delivered {passages:?}");
        let cause = if duplicate.is_reposted {
            "posted twice by their senders"
        } else if passages.sent > 1 {
            "sent to the queue twice: a lost response, or a killed collector"
        } else if passages.added > 0 {
            "delivered twice by the proxy"
        } else {
            "delivered again by the queue: a killed mapper, or a lost response"
        };
        *causes.entry(cause).or_default() += duplicate.count;
    }
    println!(
        "{fleet}duplicates: {causes:#?}\nrequests: {:#?}\nfaults: {:#?}",
        record.requests, record.faults
    );
    fleet.rounds.iter().for_each(|round| println!("{round}"));
}
