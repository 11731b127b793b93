//! Sends copies of dead letters to a delivery stream. A separate thread and delivery keep events
//! from waiting behind copies.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use tokio_util::sync::CancellationToken;

use standpipe_core::event::{Ack, EventSource, StreamName};
use standpipe_delivery::dead_letters::{DeadLetterWriter, ForwardedLetter};
use standpipe_delivery::{
    Delivery, Identity, NamedBy, Provenance, Record, RecordAccumulator, StreamReport,
};

/// Sends copies of dead letters to a delivery stream, from its own thread and through its own
/// [`Delivery`].
///
/// Events are drained first, since they can still become dead letters, and then the copies,
/// which can be aborted alone. Events and copies can go to the same stream.
#[derive(Debug)]
pub(super) struct DeadLetterForwarder {
    dead_letters: Arc<DeadLetterWriter>,
    pub(super) delivery: Delivery,
    /// Aborts the delivery of copies.
    abort: CancellationToken,
    thread: JoinHandle<()>,
}

/// The work of the thread.
struct ForwardingTask {
    copies: Receiver<ForwardedLetter>,
    accumulator: RecordAccumulator,
    stream: StreamName,
    source: EventSource,
    /// The plugin of copies: none decided them.
    plugin: Arc<str>,
}

impl DeadLetterForwarder {
    /// Forwards every dead letter that is written from now on. `abort` aborts `delivery`.
    pub(super) fn start(
        dead_letters: Arc<DeadLetterWriter>,
        delivery: Delivery,
        abort: CancellationToken,
        stream: &StreamName,
    ) -> io::Result<Self> {
        let (copies, accumulator) =
            (dead_letters.start_forwarding(), RecordAccumulator::new(&delivery));
        let (stream, source) = (stream.clone(), EventSource::of_copies());
        let work = ForwardingTask { copies, accumulator, stream, source, plugin: "".into() };
        let thread = thread::Builder::new().name("forwarder".to_owned()).spawn(|| work.run())?;
        Ok(DeadLetterForwarder { dead_letters, delivery, abort, thread })
    }

    /// Delivers the remaining copies within `patience`, and returns what was delivered by
    /// stream. No more dead letters may be written.
    pub(super) async fn finish(self, patience: Duration) -> BTreeMap<String, StreamReport> {
        let DeadLetterForwarder { dead_letters, delivery, abort, thread } = self;
        dead_letters.end_forwarding();
        let drained = async {
            let joined = tokio::task::spawn_blocking(|| thread.join()).await;
            if joined.is_ok_and(|ended| ended.is_err()) {
                tracing::error!("the thread that forwards dead letters panicked: report this bug");
            }
            delivery.drain().await;
        };
        let overdue = async {
            tokio::time::sleep(patience).await;
            abort.cancel();
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = drained => {}
            () = overdue => {}
        }
        delivery.report()
    }
}

impl ForwardingTask {
    /// Forwards copies until their queue is closed.
    fn run(mut self) {
        loop {
            let received = match self.accumulator.next_due() {
                Some(due) => self.copies.recv_deadline(due),
                None => self.copies.recv().map_err(RecvTimeoutError::from),
            };
            match received {
                Ok(copy) => self.send(copy),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.accumulator.close_due(Instant::now());
        }
        self.accumulator.close_all();
    }

    fn send(&mut self, copy: ForwardedLetter) {
        let ForwardedLetter { line, receipt } = copy;
        let ack = Ack::new(self.source.clone(), 1, move |settled| {
            if settled.delivered == 1 {
                receipt.arrived();
            }
        });
        let plugin = Arc::clone(&self.plugin);
        let provenance = Provenance { ack, plugin, generation: 0 };
        let record = Record { event: 0, line: 1, text: &line, payload: None };
        let place = self.accumulator.place(Identity::default(), &self.stream, NamedBy::Operator);
        let Ok(place) = place else { unreachable!("streams of the settings are not limited") };
        // A copy that is too large is dropped, and counts as not copied.
        let _ = self.accumulator.push(place, &provenance, record);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use tokio::runtime::Handle;

    use super::*;
    use standpipe_delivery::dead_letters::{DeadLetter, ForwardingReport, Reason};
    use standpipe_delivery::faulty_client::{FaultyClient, InjectedFault};
    use standpipe_delivery::{
        Aggregation, DeliverySettings, FirehoseClients, RetryClass, StartRate, StreamSettings,
    };

    /// Dead letters that are copied to the stream `letters` of a client.
    struct Copied {
        _directory: tempfile::TempDir,
        dead_letters: Arc<DeadLetterWriter>,
        port: Arc<FaultyClient>,
        dead_letter_forwarder: DeadLetterForwarder,
    }

    impl Copied {
        fn through(port: FaultyClient) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let dead_letters = Arc::new(DeadLetterWriter::new(directory.path().to_owned()));
            let port = Arc::new(port);
            let abort = CancellationToken::new();
            let delivery = deliver(&port, &dead_letters, abort.clone());
            let dead_letter_forwarder =
                DeadLetterForwarder::start(Arc::clone(&dead_letters), delivery, abort, &stream())
                    .unwrap();
            Copied { _directory: directory, dead_letters, port, dead_letter_forwarder }
        }

        fn write(&self, dead_letters: usize, detail: &str) {
            let source = "in".into();
            for line in (1..).take(dead_letters) {
                let dead_letter = DeadLetter::of_line(Reason::NotJson, detail, &source, line, b"x");
                self.dead_letters.write(&dead_letter).unwrap();
            }
        }

        /// Checks the number of dead letters in the file, and returns the report of the copies.
        async fn finish(self, dead_letters: usize) -> (ForwardingReport, Arc<FaultyClient>) {
            self.dead_letter_forwarder.finish(Duration::from_secs(30)).await;
            let report = self.dead_letters.report();
            let file = std::fs::read_to_string(report.file.unwrap()).unwrap();
            assert_eq!(file.lines().count(), dead_letters);
            assert_eq!(report.failure, None);
            let copies = report.copies.unwrap();
            let accepted = self.port.accepted().remove(&stream()).unwrap_or_default();
            assert_eq!(accepted.len() as u64, copies.copied);
            if copies.not_copied == 0 {
                // A record that is sent again follows records that were sent meanwhile.
                let mut lines: Vec<_> =
                    file.split_inclusive('\n').map(|line| line.as_bytes().to_vec()).collect();
                let mut accepted = accepted;
                lines.sort();
                accepted.sort();
                assert_eq!(accepted, lines);
            }
            (copies, self.port)
        }
    }

    fn deliver(
        port: &Arc<FaultyClient>,
        dead_letters: &Arc<DeadLetterWriter>,
        abort: CancellationToken,
    ) -> Delivery {
        let settings = DeliverySettings {
            stream: StreamSettings { newline: true, concurrency: 1, aggregation: Aggregation::Off },
            streams: HashMap::new(),
            missing_stream_grace: Duration::from_secs(10),
            start_rate: StartRate::Unbounded,
            overflow_directory: std::env::temp_dir(),
            overflow_bytes_max: 0,
            dynamic_streams_max: 1,
            stream_idle_timeout: standpipe_delivery::limits::STREAM_IDLE_TIMEOUT,
            max_delay: Duration::from_millis(1),
            in_flight_bytes_max: standpipe_delivery::limits::IN_FLIGHT_BYTES_MAX,
            request_bytes_enough: standpipe_delivery::limits::REQUEST_BYTES_ENOUGH,
        };
        let port = Arc::clone(port);
        Delivery::new(
            FirehoseClients::new(port),
            settings,
            Arc::clone(dead_letters),
            Handle::current(),
            abort,
        )
    }

    fn stream() -> StreamName {
        StreamName::parse("letters").unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn copies_are_the_lines_of_the_file() {
        let copied = Copied::through(FaultyClient::new(|_, batch, request| match request {
            1 => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailableException"),
            2 => InjectedFault::Refuse(vec![batch.len() - 1], "InternalFailure"),
            _ => InjectedFault::None,
        }));
        copied.write(700, "");
        let (report, port) = copied.finish(700).await;
        assert_eq!(report, ForwardingReport { copied: 700, not_copied: 0, problem: None });
        assert!(port.requests() > 2);
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_no_letters_about_copies() {
        for retry_class in [RetryClass::Invalid, RetryClass::Missing] {
            let port =
                FaultyClient::new(move |_, _, _| InjectedFault::FailBefore(retry_class, "Never"));
            let copied = Copied::through(port);
            copied.write(20, "");
            let (report, port) = copied.finish(20).await;
            assert_eq!((report.copied, report.not_copied), (0, 20), "{retry_class:?}");
            let problem = report.problem.unwrap_or_default();
            assert!(problem.contains("Never: injected"), "{retry_class:?}: {problem}");
            assert!(port.requests() < 100, "{} requests", port.requests());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_copy_that_is_refused_takes_no_other_with_it() {
        let port = FaultyClient::new(|_, batch, request| match request {
            0 => InjectedFault::Refuse(vec![batch.len() - 1], "InvalidArgumentException"),
            _ => InjectedFault::None,
        });
        let copied = Copied::through(port);
        copied.write(20, "");
        let (report, _) = copied.finish(20).await;
        assert_eq!((report.copied, report.not_copied), (19, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_takes_nothing_holds_up_no_end() {
        let denied = || InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException");
        for hangs in [false, true] {
            let port = FaultyClient::new(
                move |_, _, _| if hangs { InjectedFault::Hang } else { denied() },
            );
            let copied = Copied::through(port);
            // There are more than fit into memory, and into one request.
            copied.write(20, &"x".repeat(900_000));
            let (report, _) = copied.finish(20).await;
            assert_eq!((report.copied, report.not_copied), (0, 20));
            assert!(report.problem.unwrap().contains("already wait for the stream"));
        }
    }

    /// Events of the stream that receives the copies can become dead letters.
    #[tokio::test(start_paused = true)]
    async fn an_event_can_go_where_copies_go() {
        let port = FaultyClient::new(|_, batch, _| {
            if batch.payloads().any(|payload| payload == b"bad\n") {
                InjectedFault::Refuse(vec![0], "ValidationException")
            } else {
                InjectedFault::None
            }
        });
        let copied = Copied::through(port);
        let events = deliver(&copied.port, &copied.dead_letters, CancellationToken::new());
        let mut accumulator = RecordAccumulator::new(&events);
        let push = move || {
            let ack = Ack::new("in".into(), 1, |settled| assert_eq!(settled.dead, 1));
            let provenance = Provenance { ack, plugin: "digest".into(), generation: 0 };
            let place = accumulator.place(Identity::default(), &stream(), NamedBy::Event).unwrap();
            let record = Record { event: 0, line: 1, text: b"bad", payload: None };
            accumulator.push(place, &provenance, record).unwrap();
            accumulator.close_all();
        };
        tokio::task::spawn_blocking(push).await.unwrap();
        events.drain().await;
        let (report, _) = copied.finish(1).await;
        assert_eq!((report.copied, report.not_copied), (1, 0));
    }
}
