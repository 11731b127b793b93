//! Tests compressed records: their limits, faults, and streams that cannot have them.

use super::*;
use crate::compression::decompress;
use standpipe_aws::{Destination, DestinationKind, Processor, StreamDescription};

fn compressed(format: CompressionFormat, bytes_max: usize) -> Aggregation {
    let compression = RecordCompression { format, level: format.default_level() };
    Aggregation::Compressed { bytes_max, compression }
}

/// Events `NUMBER RANDOM`, of which a part of the random text is hard to compress.
fn events(sizes: &[usize], hard: f64) -> Vec<(&'static str, Vec<u8>)> {
    let mut random = fastrand::Rng::with_seed(7);
    let event = |(number, size): (usize, &usize)| {
        let mut text = format!("{number} ").into_bytes();
        while text.len() < *size {
            text.push(if random.f64() < hard { random.u8(b' '..=b'~') } else { b'.' });
        }
        ("s", text)
    };
    sizes.iter().enumerate().map(event).collect()
}

fn in_paused_time<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().start_paused(true).build().unwrap().block_on(future)
}

fn joined(records: &[(&'static str, Vec<u8>)]) -> Vec<Vec<u8>> {
    records.iter().map(|(_, text)| [text.as_slice(), b"\n"].concat()).collect()
}

fn split(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn compressed_records_keep_within_the_limits_and_every_event_arrives_once_and_in_order(
        sizes in sizes(),
        format in 0..2_usize,
        bytes_max in prop_oneof![Just(5 * 1024), Just(102_400), 5 * 1024..=limits::RECORD_BYTES_MAX],
        hard in 0.0..1.0,
        faults in prop::collection::vec(0..6_u8, 12),
    ) {
        let format = CompressionFormat::ALL[format].1;
        let records = events(&sizes, hard);
        let mut expected = joined(&records);
        let port = FaultyClient::new(move |_, batch, request| {
            assert!(batch.len() <= limits::REQUEST_RECORDS_MAX);
            assert!(batch.payload_bytes() <= limits::REQUEST_BYTES_MAX);
            for record in batch.payloads() {
                let events = split(&decompress(format, record)).len();
                assert!(record.len() <= bytes_max || events == 1, "{}: {events}", record.len());
                assert!(record.len() <= limits::RECORD_BYTES_MAX);
            }
            match faults.get(request) {
                Some(0) => InjectedFault::FailBefore(RetryClass::Retry, "ServiceUnavailable"),
                Some(1) => InjectedFault::Refuse(vec![0], "ServiceUnavailableException"),
                Some(2) => InjectedFault::FailBefore(RetryClass::TooLarge, "TooLarge"),
                _ => InjectedFault::None,
            }
        });
        let ran = in_paused_time(deliver_packed(port, records, compressed(format, bytes_max)));
        prop_assert_eq!(ran.settled.delivered, sizes.len() as u64);
        let number = |event: &[u8]| {
            let digits = event.split(|&byte| byte == b' ').next().unwrap();
            std::str::from_utf8(digits).unwrap().parse::<usize>().unwrap()
        };
        let mut accepted = Vec::new();
        for record in &ran.accepted["s"] {
            let events = split(&decompress(format, record));
            prop_assert!(events.windows(2).all(|pair| number(&pair[0]) + 1 == number(&pair[1])));
            accepted.extend(events);
        }
        expected.sort_unstable();
        accepted.sort_unstable();
        prop_assert!(accepted == expected, "events are missing, doubled or changed");
    }
}

#[tokio::test(start_paused = true)]
async fn records_come_close_to_their_limit() {
    for (_, format) in CompressionFormat::ALL {
        let records = events(&vec![800; 20_000], 0.1);
        let expected: usize = records.iter().map(|(_, text)| text.len() + 1).sum();
        let ran =
            deliver_packed(FaultyClient::new(|_, _, _| InjectedFault::None), records, compressed(format, 102_400))
                .await;
        let report = &ran.streams["s"];
        assert_eq!(report.events, 20_000);
        // The first and the last records of a batch are smaller.
        let mean = report.bytes / report.records;
        assert!(mean > 80_000, "{format}: {mean} bytes in each of {} records", report.records);
        assert!(report.bytes < expected as u64 / 3, "{format}: {} of {expected}", report.bytes);
        assert!(report.billed_kb * 3 < report.billed_kb_unaggregated);
    }
}

#[tokio::test(start_paused = true)]
async fn dead_letters_of_compressed_records_contain_the_events() {
    let port = FaultyClient::new(|_, _, _| {
        InjectedFault::Refuse(vec![0], "InvalidArgumentException")
    });
    let records = vec![("s", br#"{"type":"track"}"#.to_vec()), ("s", br#"{"type":"page"}"#.to_vec())];
    let ran = deliver_packed(port, records, compressed(CompressionFormat::Gzip, 102_400)).await;
    assert_eq!(ran.settled.dead, 2);
    let texts: Vec<_> = ran.dead_letters.iter().map(|dead| dead["event"].to_string()).collect();
    assert_eq!(texts, [r#"{"type":"track"}"#, r#"{"type":"page"}"#]);
}

/// Delivers 2,000 events to a stream with this destination, whose description arrives late.
async fn deliver_described(destination: Destination) -> Ran {
    let port = FaultyClient::new(|_, _, _| InjectedFault::None).with_descriptions(move |stream, _| {
        let described = StreamDescription::stand_in(stream.as_str(), vec![destination.clone()]);
        (Duration::from_secs(5), Ok(described))
    });
    let records = events(&vec![800; 20_000], 0.1);
    deliver_packed(port, records, compressed(CompressionFormat::Zstd, 102_400)).await
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_before_the_stream_is_described() {
    let ran = deliver_described(Destination::stand_in(DestinationKind::S3)).await;
    assert!(ran.elapsed >= Duration::from_secs(5), "{:?}", ran.elapsed);
    let text = decompress(CompressionFormat::Zstd, &ran.accepted["s"].concat());
    assert_eq!(split(&text).len(), 20_000);
    let decision = ran.streams["s"].aggregation.as_ref().unwrap();
    assert_eq!(decision.decision, AggregationChoice::Compressed);
}

#[tokio::test(start_paused = true)]
async fn records_of_other_destinations_are_not_compressed() {
    let delimiter = Destination {
        processors: vec![Processor {
            kind: "AppendDelimiterToRecord".to_owned(),
            lambda: None,
            splits_at: None,
        }],
        ..Destination::stand_in(DestinationKind::S3)
    };
    let gzip = Destination {
        compression: Some("GZIP".to_owned()),
        ..Destination::stand_in(DestinationKind::S3)
    };
    for (destination, is_aggregated) in [
        (Destination::stand_in(DestinationKind::OpenSearch), false),
        (Destination::stand_in(DestinationKind::Redshift), true),
        (delimiter, true),
        (gzip, true),
    ] {
        let ran = deliver_described(destination).await;
        let accepted = &ran.accepted["s"];
        assert_eq!(sorted(split(&accepted.concat())), sorted(joined(&events(&vec![800; 20_000], 0.1))));
        assert_eq!(accepted.len() < 20_000, is_aggregated, "{}", accepted.len());
        assert!(accepted.iter().all(|record| record.len() <= 102_400));
        assert_eq!(ran.settled.delivered, 20_000);
        let decision = ran.streams["s"].aggregation.as_ref().unwrap();
        assert_ne!(decision.decision, AggregationChoice::Compressed, "{decision:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_permission_to_describe_the_settings_are_trusted() {
    let port = FaultyClient::new(|_, _, _| InjectedFault::None).with_descriptions(|_, _| {
        let error = RequestError {
            retry_class: RetryClass::Hold,
            code: "AccessDeniedException".to_owned(),
            message: "injected".to_owned(),
        };
        (Duration::ZERO, Err(error))
    });
    let records = events(&vec![800; 5_000], 0.1);
    let ran = deliver_packed(port, records, compressed(CompressionFormat::Gzip, 102_400)).await;
    let text = decompress(CompressionFormat::Gzip, &ran.accepted["s"].concat());
    assert_eq!(split(&text).len(), 5_000);
    let why = &ran.streams["s"].aggregation.as_ref().unwrap().why;
    assert!(why.contains("the settings say so"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn compressed_records_of_a_held_stream_return_from_disk() {
    let began = Instant::now();
    let port = FaultyClient::new(move |_, _, _| match began.elapsed() < Duration::from_secs(120) {
        true => InjectedFault::FailBefore(RetryClass::Hold, "AccessDeniedException"),
        false => InjectedFault::None,
    });
    let records = events(&vec![800; 20_000], 0.3);
    let expected = sorted(joined(&records));
    let ran = deliver_packed(port, records, compressed(CompressionFormat::Zstd, 102_400)).await;
    assert!(ran.streams["s"].overflowed > 0);
    let text = decompress(CompressionFormat::Zstd, &ran.accepted["s"].concat());
    assert_eq!(sorted(split(&text)), expected);
}
