//! Tests how a run ends, and its summary, between a scripted plugin and a Firehose client that
//! fails on purpose.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::options::{EmbeddedSource, RunOptions};
use super::parts::{MappingParts, RunParts};
use super::plugins::Companions;
use super::{Run, Summary, UnreadInput};
use crate::config::{Overrides, Settings, parse};
use crate::source::{Input, SubmissionLimits, Submitter, TrySubmitError};
use crate::stop::StopTokens;
use standpipe_aws::AwsStatus;
use standpipe_core::event::Reason;
use standpipe_core::secret::NoSecretManager;
use standpipe_delivery::dead_letters::DeadLetterWriter;
use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
use standpipe_delivery::{Delivery, FirehoseClients, RetryClass};
use standpipe_plugin_host::Plugin;
use standpipe_plugin_host::scripted::{ScriptedAct, ScriptedEnd};
use standpipe_plugin_host::swap::{Swapper, SwapperSettings};

/// Maximum time of a stop that waits for nothing.
const PROMPT: Duration = Duration::from_secs(10);

/// A run that has not started.
struct Scene {
    directory: TempDir,
    client: Arc<FaultyClient>,
    parts: RunParts,
}

impl Scene {
    /// Creates a scene with these settings, and an input of these events.
    fn new(settings: &str, events: &[&str], client: FaultyClient) -> Self {
        Self::with(settings, events, client, Overrides::default())
    }

    fn with(settings: &str, events: &[&str], client: FaultyClient, overrides: Overrides) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let input = directory.path().join("in.ndjson");
        std::fs::write(&input, lines(events)).unwrap();
        let inputs = vec![Input::File(input)];
        let text = format!("workers = 1\n[delivery]\nmax_delay = \"1ms\"\n{settings}");
        let settings = parse(&text).unwrap();
        let settings = settings.check(directory.path(), Overrides { inputs, ..overrides }).unwrap();
        let client = Arc::new(client);
        let parts = parts(settings, Arc::clone(&client));
        Scene { directory, client, parts }
    }

    fn input(&self) -> String {
        self.directory.path().join("in.ndjson").display().to_string()
    }

    fn launch(self) -> Launched {
        let Scene { directory, client, parts } = self;
        let run = parts.launch(&Handle::current()).unwrap();
        Launched { _directory: directory, client, run }
    }
}

struct Launched {
    _directory: TempDir,
    client: Arc<FaultyClient>,
    run: Run,
}

impl Launched {
    /// Waits until the client has received a request.
    async fn until_asked(&self) {
        while self.client.requests() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// The summary of a run that ends by itself, or that must end promptly.
    async fn finish(self) -> Summary {
        let started = Instant::now();
        let ended = tokio::time::timeout(PROMPT, self.run.finish()).await;
        ended.unwrap_or_else(|_| panic!("the run goes on for {:?}", started.elapsed()))
    }
}

/// A run of events that a program submits, with a scripted plugin and this client.
pub(crate) fn embedded(
    settings: Settings,
    script: impl Fn(&str, &str) -> ScriptedAct + Send + Sync + 'static,
    client: Arc<FaultyClient>,
    room: SubmissionLimits,
) -> (Run, Submitter) {
    let (submitter, submissions) = Submitter::new(room);
    let mut parts = parts_with(settings, script, client);
    let source = "program".into();
    parts.options.embedded_source =
        Some(EmbeddedSource { source, submitter: submitter.clone(), submissions });
    (parts.launch(&Handle::current()).unwrap(), submitter)
}

fn parts(settings: Settings, client: Arc<FaultyClient>) -> RunParts {
    parts_with(settings, act, client)
}

fn parts_with(
    settings: Settings,
    script: impl Fn(&str, &str) -> ScriptedAct + Send + Sync + 'static,
    client: Arc<FaultyClient>,
) -> RunParts {
    let how = SwapperSettings { workers: settings.workers, breaker: settings.hosting.breaker };
    let stop = StopTokens::default();
    let dead_letters = Arc::new(DeadLetterWriter::new(settings.data_dir.join("dead")));
    let delivery = Delivery::new(
        FirehoseClients::new(client),
        settings.delivery.clone(),
        Arc::clone(&dead_letters),
        Handle::current(),
        stop.delivery_abort.child_token(),
    );
    let mapping = MappingParts {
        companions: Companions::of(&settings),
        swapper: Swapper::fixed(Plugin::scripted(Arc::new(script)), how),
        delivery,
        identities: Default::default(),
    };
    RunParts {
        secrets: Arc::new(NoSecretManager),
        settings,
        mapping: Some(mapping),
        forwarder: None,
        aws: AwsStatus::default(),
        queue: None,
        fleet: None,
        stop,
        dead_letters,
        bound_collector: None,
        admin: None,
        options: RunOptions::default(),
    }
}

/// Treats an event as its text says.
fn act(_source: &str, text: &str) -> ScriptedAct {
    let end = match text.contains("trap") {
        true => ScriptedEnd::Trap,
        false => ScriptedEnd::Deliver(vec!["all".to_owned()]),
    };
    ScriptedAct { cpu: Duration::ZERO, end }
}

fn lines(events: &[&str]) -> String {
    events.iter().map(|words| format!("{{\"event\":\"{words}\"}}\n")).collect()
}

fn accepts_all() -> FaultyClient {
    FaultyClient::new(|_, _, _| InjectedFault::None)
}

fn denies_all() -> FaultyClient {
    FaultyClient::new(|_, _, _| {
        InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException")
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_with_its_input_and_accounts_for_each_event() {
    let run = Scene::new("", &["one", "two", "trap"], accepts_all()).launch();
    let (client, progress) = (Arc::clone(&run.client), run.run.progress());
    let summary = run.finish().await;
    assert_eq!((summary.read, summary.delivered, summary.dead), (3, 2, 1));
    assert_eq!((summary.undelivered, summary.unread.len(), summary.faults.len()), (0, 0, 0));
    assert_eq!(summary.dead_letters[&Reason::PluginTrapped], 1);
    assert_eq!(client.accepted().values().map(Vec::len).sum::<usize>(), 2);
    assert_eq!(progress.bytes_read(), lines(&["one", "two", "trap"]).len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_says_which_inputs_are_unread() {
    let scene = Scene::new("", &["one"], accepts_all());
    let unread = UnreadInput { source: scene.input(), from_line: 1 };
    scene.parts.stop.intake_stop.cancel();
    let summary = scene.launch().finish().await;
    assert_eq!((summary.read, summary.unread), (0, vec![unread]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_the_way_in_and_what_was_handed_in_is_delivered() {
    let mut scene = Scene::new("", &[], accepts_all());
    let (submitter, submissions) = Submitter::new(SubmissionLimits::default());
    let (source, own) = ("program".into(), submitter.clone());
    scene.parts.options.embedded_source = Some(EmbeddedSource { source, submitter, submissions });
    let receipts: Vec<_> =
        (0..10).map(|_| own.try_submit(r#"{"event":"one"}"#.into()).unwrap()).collect();
    let run = scene.launch();
    run.run.intake_stop().cancel();
    let summary = run.finish().await;
    assert_eq!((summary.read, summary.delivered, summary.undelivered), (10, 10, 0));
    assert!(matches!(own.try_submit("{}".into()), Err(TrySubmitError::Closed(_))));
    drop(receipts);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_hangs_at_the_stop_timeout_is_dead_lettered() {
    let hanging = FaultyClient::new(|_, _, _| InjectedFault::Hang);
    let run = Scene::new("drain_timeout = \"50ms\"", &["one", "two"], hanging).launch();
    run.until_asked().await;
    run.run.intake_stop().cancel();
    let summary = run.finish().await;
    assert_eq!((summary.read, summary.dead, summary.undelivered), (2, 2, 0));
    assert_eq!(summary.dead_letters[&Reason::GivenUp], 2);
    assert_eq!(summary.faults, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_stop_a_stream_that_is_held_is_waited_for() {
    let run = Scene::new("drain_timeout = \"50ms\"", &["one"], denies_all()).launch();
    run.until_asked().await;
    let intake_stop = run.run.intake_stop();
    let finished = tokio::spawn(run.finish());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(!finished.is_finished(), "the stop timeout runs from a stop on");
    intake_stop.cancel();
    let summary = finished.await.unwrap();
    assert_eq!((summary.dead, summary.dead_letters[&Reason::GivenUp]), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_held_ends_a_run_that_is_to_fail_fast() {
    let overrides = Overrides { fail_fast: true, ..Overrides::default() };
    let run = Scene::with("", &["one", "two"], denies_all(), overrides).launch();
    let summary = run.finish().await;
    assert_eq!((summary.read, summary.dead, summary.undelivered), (2, 2, 0));
    assert_eq!(summary.dead_letters[&Reason::GivenUp], 2);
    assert_eq!(summary.faults.len(), 1);
    assert!(summary.faults[0].contains("AccessDenied"), "{:?}", summary.faults);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_of_the_plugin_halts_the_run_and_the_summary_says_why() {
    let halt = "[plugin]\non_failure = \"halt\"";
    let run = Scene::new(halt, &["one", "trap", "three"], accepts_all()).launch();
    let client = Arc::clone(&run.client);
    let summary = run.finish().await;
    // The third event was decided in the same call of the plugin.
    assert_eq!((summary.read, summary.delivered, summary.dead), (3, 2, 0));
    assert_eq!(summary.undelivered, 1);
    assert_eq!(summary.faults.len(), 1);
    assert!(summary.faults[0].contains("line 2"), "{:?}", summary.faults);
    assert_eq!(client.accepted().values().map(Vec::len).sum::<usize>(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_letter_that_cannot_be_written_stops_the_intake() {
    let scene = Scene::new("", &["trap", "two"], accepts_all());
    // A file prevents the creation of the directory of dead letters.
    std::fs::create_dir_all(&scene.parts.settings.data_dir).unwrap();
    std::fs::write(scene.parts.settings.data_dir.join("dead"), "in the way").unwrap();
    let run = scene.launch();
    let intake_stop = run.run.intake_stop();
    let summary = run.finish().await;
    assert!(intake_stop.is_cancelled());
    assert_eq!((summary.delivered, summary.dead, summary.undelivered), (1, 0, 1));
    assert!(summary.faults.iter().any(|fault| fault.contains("dead")), "{:?}", summary.faults);
}
