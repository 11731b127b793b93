//! Tests dynamic streams: the limit of streams in use, and retirement.

use super::*;

struct Names {
    delivery: Delivery,
    accumulator: RecordAccumulator,
    port: Arc<FaultyClient>,
    provenance: Provenance,
}

impl Names {
    fn new(settings: DeliverySettings) -> Self {
        Names::through(settings, FaultyClient::new(|_, _, _| InjectedFault::None))
    }

    fn through(settings: DeliverySettings, port: FaultyClient) -> Self {
        let port = Arc::new(port);
        let ports = FirehoseClients::new(Arc::clone(&port) as Arc<dyn FirehoseClient>);
        let dead_letters = Arc::new(DeadLetterWriter::new("unused".into()));
        let delivery = Delivery::new(
            ports,
            settings,
            dead_letters,
            Handle::current(),
            CancellationToken::new(),
        );
        let accumulator = RecordAccumulator::new(&delivery);
        let ack = Ack::new("test".into(), 1_000_000, |_| ());
        let provenance = Provenance { ack, plugin: "".into(), generation: 0 };
        Names { delivery, accumulator, port, provenance }
    }

    fn add(
        &mut self,
        name: &str,
        event: u32,
        named_by: NamedBy,
    ) -> Result<StreamSlot, RecordNotAdded> {
        let name = StreamName::parse(name).unwrap();
        let place = self.accumulator.place(Identity::default(), &name, named_by)?;
        let record = Record { event, line: 1, text: b"text", payload: None };
        self.accumulator.add(place, &self.provenance, record)?;
        Ok(place)
    }

    /// Submits everything, and waits for this time.
    async fn wait(&mut self, time: Duration) {
        self.accumulator.end_all();
        self.accumulator.flush().await;
        tokio::time::sleep(time).await;
        self.accumulator.end_due(Instant::now().into_std());
    }

    fn accepted(&self) -> usize {
        self.port.accepted().values().map(Vec::len).sum()
    }
}

const IDLE: Duration = limits::STREAM_IDLE_TIMEOUT;

#[tokio::test(start_paused = true)]
async fn idle_streams_are_retired_and_begun_anew() {
    let mut names = Names::new(DeliverySettings { dynamic_streams_max: 10, ..settings() });
    let mut event = 0;
    for round in 0..30 {
        let mut places = Vec::new();
        for number in 0..10 {
            let name = format!("s{}", (round % 3) * 10 + number);
            places.push(names.add(&name, event, NamedBy::Event).unwrap());
            event += 1;
        }
        names.wait(IDLE / 2).await;
        assert_eq!(names.delivery.streams_in_use(), 10, "they are not idle for long enough");
        assert!(places.iter().all(|place| names.accumulator.holds(*place)));
        names.wait(IDLE).await;
        assert_eq!(names.delivery.streams_in_use(), 0);
        assert!(!places.iter().any(|place| names.accumulator.holds(*place)));
        assert_eq!(names.accumulator.slots_made(), 10, "slots are used again");
        assert_eq!(names.accepted(), event as usize);
        let events = names.delivery.report().values().map(|stream| stream.events).sum::<u64>();
        assert_eq!(events, u64::from(event), "counts go on");
    }
    assert_eq!(names.delivery.report().len(), 30);
    assert_eq!(names.delivery.report()["s7"].events, 10);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_names_one_stream_too_many_is_refused_and_others_are_not() {
    let named = StreamName::parse("configured").unwrap();
    let streams = HashMap::from([(named, settings().stream)]);
    let limits = DeliverySettings { dynamic_streams_max: 2, streams, ..settings() };
    let mut names = Names::new(limits);
    for name in ["a", "b", "a"] {
        names.add(name, 0, NamedBy::Event).unwrap();
    }
    let too_many = RecordNotAdded::TooManyStreams(TooManyStreams { streams_max: 2 });
    assert_eq!(names.add("c", 0, NamedBy::Event), Err(too_many));
    names.add("configured", 1, NamedBy::Event).unwrap();
    names.add("declared", 2, NamedBy::Operator).unwrap();
    names.add("b", 3, NamedBy::Event).unwrap();
    assert_eq!(names.accumulator.slots_made(), 4, "who is refused leaves nothing behind");
    names.wait(2 * IDLE).await;
    names.add("c", 4, NamedBy::Event).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_in_use_while_a_batch_is_open_or_records_wait() {
    let port = FaultyClient::new(|stream, _, _| match stream.as_str() {
        "denied" => InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException"),
        "missing" => InjectedFault::FailBefore(RetryClass::Missing, "ResourceNotFoundException"),
        _ => InjectedFault::None,
    });
    let grace = 100 * IDLE;
    let mut names =
        Names::through(DeliverySettings { missing_stream_grace: grace, ..settings() }, port);
    for name in ["denied", "missing", "fine"] {
        names.add(name, 0, NamedBy::Event).unwrap();
    }
    tokio::time::sleep(10 * IDLE).await;
    assert_eq!(names.delivery.streams_in_use(), 3, "their batches are open");
    names.wait(10 * IDLE).await;
    let in_use = names.delivery.report();
    assert_eq!(names.delivery.streams_in_use(), 2, "{in_use:?}");
    assert!(in_use["denied"].problem.is_some() && in_use["missing"].problem.is_some());
}

/// Records that arrive while the stream is being retired are never lost.
#[tokio::test(start_paused = true)]
async fn records_that_come_as_a_stream_is_retired_are_delivered() {
    let idle = Duration::from_millis(10);
    let mut names = Names::new(DeliverySettings { stream_idle_timeout: idle, ..settings() });
    for event in 0..500 {
        names.add("s", event, NamedBy::Event).unwrap();
        names.wait(Duration::from_millis(u64::from(event) % 3 * 5 + 5)).await;
    }
    names.delivery.drain().await;
    assert_eq!(names.accepted(), 500);
}

/// Descriptors are limited, so requests of many streams wait for each other.
#[tokio::test(start_paused = true)]
async fn requests_of_all_streams_together_are_bounded() {
    let port = FaultyClient::new(|_, _, _| InjectedFault::Late(Duration::from_secs(1)));
    let most = 2 * standpipe_aws::limits::REQUESTS_AT_ONCE_MAX;
    let mut names =
        Names::through(DeliverySettings { dynamic_streams_max: most, ..settings() }, port);
    for number in 0..most {
        names.add(&format!("s{number}"), 0, NamedBy::Event).unwrap();
    }
    names.wait(Duration::from_millis(500)).await;
    assert_eq!(names.port.requests(), standpipe_aws::limits::REQUESTS_AT_ONCE_MAX);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(names.port.requests(), most);
}

#[tokio::test(start_paused = true)]
async fn other_settings_hold_from_the_next_batch_on_and_nothing_is_lost() {
    let port = FaultyClient::new(|_, _, _| InjectedFault::Late(Duration::from_secs(5)));
    let mut names = Names::through(settings(), port);
    names.add("s", 0, NamedBy::Event).unwrap();
    names.add("t", 1, NamedBy::Event).unwrap();
    let without_newline = StreamSettings { newline: false, ..settings().stream };
    let set = |names: &Names, of_s| {
        let by_name = HashMap::from([(StreamName::parse("s").unwrap(), of_s)]);
        names.delivery.set_stream_settings(settings().stream, by_name);
    };
    set(&names, without_newline);
    // The stream has an open batch.
    names.add("s", 2, NamedBy::Event).unwrap();
    names.wait(Duration::ZERO).await;
    names.add("s", 3, NamedBy::Event).unwrap();
    names.add("t", 4, NamedBy::Event).unwrap();
    names.wait(Duration::from_secs(30)).await;
    let accepted = names.port.accepted();
    let of = |name: &str| sorted(accepted[&StreamName::parse(name).unwrap()].clone()).concat();
    assert_eq!(of("s"), b"texttext\ntext\n");
    assert_eq!(of("t"), b"text\ntext\n");
    assert_eq!(names.delivery.streams_in_use(), 2);
    assert_eq!(names.delivery.report()["s"].events, 3, "counts go on");

    // Retirement waits for records in flight.
    names.add("s", 5, NamedBy::Event).unwrap();
    names.wait(Duration::ZERO).await;
    set(&names, settings().stream);
    names.delivery.drain().await;
    assert_eq!(names.accepted(), 6);
    assert_eq!(names.delivery.report()["s"].events, 4);
}
