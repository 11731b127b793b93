//! Tests compressed records: what readers of the objects in S3 get, and that every event arrives
//! exactly once although requests fail.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Command;

use serde_json::json;
use standpipe_tests::events::Events;
use standpipe_tests::moto;
use standpipe_tests::oracle::{Oracle, Streams, assert_same, split_records};
use standpipe_tests::tools::{find_program, find_python};
use standpipe_tests::{Program, Stub, StubResponse};

const EVENTS: usize = 20_000;

const FORMATS: [(&str, &str); 2] = [("gzip", "gz"), ("zstd", "zst")];

fn settings(format: &str) -> String {
    format!("[delivery]\naggregate = {{ max_bytes = 102400, compress = '{format}' }}")
}

/// A description of a stream that writes records to S3 as they are.
fn plain_s3() -> serde_json::Value {
    let s3 = json!({
        "RoleARN": "arn:aws:iam::123456789012:role/r", "BucketARN": "arn:aws:s3:::b",
        "BufferingHints": {"SizeInMBs": 5, "IntervalInSeconds": 300},
        "CompressionFormat": "UNCOMPRESSED", "EncryptionConfiguration": {},
        "FileExtension": ".json.gz",
    });
    json!([{"DestinationId": "d", "ExtendedS3DestinationDescription": s3}])
}

fn decompress(format: &str, file: &[u8]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut reader: Box<dyn Read> = match format {
        "gzip" => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(zstd::Decoder::new(file).unwrap()),
    };
    reader.read_to_end(&mut text).unwrap();
    text
}

fn output_of(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}

/// Reads a file with the format's own program, Python and DuckDB. Returns the lines in the file.
fn read_with_all(file: &Path, format: &str) -> Vec<u8> {
    let lines = output_of(Command::new(find_program(format)).arg("-dc").arg(file));
    if format == "gzip" {
        let script = "import gzip,sys; sys.stdout.buffer.write(gzip.open(sys.argv[1]).read())";
        let read = output_of(Command::new(find_program("python3")).args(["-c", script]).arg(file));
        assert!(read == lines, "Python and gzip read different lines");
    }
    let script = "import duckdb,sys; \
        print(duckdb.sql(f\"select count(*) from read_json('{sys.argv[1]}', format='newline_delimited', \
        columns={{'messageId': 'VARCHAR'}})\").fetchone()[0])";
    let count = output_of(Command::new(find_python("duckdb")).args(["-c", script]).arg(file));
    let count: usize = String::from_utf8(count).unwrap().trim().parse().unwrap();
    assert_eq!(count, split_records(&lines).len(), "DuckDB reads every line");
    lines
}

#[test]
fn objects_of_compressed_records_are_valid_files() {
    let moto = moto::shared_server();
    let directory = tempfile::tempdir().unwrap();
    for (format, extension) in FORMATS {
        let stream = format!("compressed-{format}");
        moto.create_streams(&stream, &[&stream]);
        let input = Events::new(5).into_ndjson(EVENTS);
        let rows = [("*", stream.as_str())];
        let program = Program::host_run_against(moto.url()).mapping(&rows);
        let ran = program.settings(&settings(format)).stdin(input.clone()).run().expect_exit(0);
        // moto makes each record an object. Firehose writes them one after the other.
        let objects = moto.read_objects(&stream, &[&stream]).remove(&stream).unwrap();
        assert!(objects.len() > 3, "{} records", objects.len());
        assert!(objects.iter().all(|object| object.len() <= 102_400));
        let file = directory.path().join(format!("object.json.{extension}"));
        fs::write(&file, objects.concat()).unwrap();
        let lines = read_with_all(&file, format);
        let got = Streams::from([(stream.clone(), split_records(&lines))]);
        assert_same(&Oracle::new(&rows).expected_outcome(&input).streams, &got);

        let summary = ran.summary();
        let report = &summary["streams"][&stream];
        assert_eq!(report["pack"]["decision"], "compressed", "{report}");
        assert_eq!(report["events"], EVENTS, "{report}");
        assert_eq!(report["records"], objects.len(), "{report}");
        let count = |key: &str| report[key].as_u64().unwrap();
        assert!(count("billed_kb") * 10 < count("billed_kb_unpacked"), "{report}");
    }
}

#[test]
fn every_event_arrives_once_in_compressed_records_although_requests_fail() {
    for (format, _) in FORMATS {
        let stub = Stub::start(|put| match put.number {
            0 | 3 => StubResponse::Reset { accepted: false },
            1 => StubResponse::Refuse { records: vec![0], code: "ServiceUnavailableException" },
            2 => StubResponse::from_text(
                503,
                r#"{"__type":"ServiceUnavailableException","message":"injected"}"#.to_owned(),
            ),
            _ => StubResponse::Accept,
        })
        .with_descriptions(|_, _| Ok(plain_s3()));
        let input = Events::new(6).into_ndjson(EVENTS);
        let rows = [("*", "s")];
        let program = Program::host_run_against(&stub.url()).mapping(&rows);
        let ran = program.settings(&settings(format)).stdin(input.clone()).run().expect_exit(0);
        let lines = decompress(format, &stub.accepted_records()["s"].concat());
        let got = Streams::from([("s".to_owned(), split_records(&lines))]);
        assert_same(&Oracle::new(&rows).expected_outcome(&input).streams, &got);
        assert_eq!(stub.violations(), [""; 0]);
        assert!(ran.summary()["streams"]["s"]["retries"].as_u64().unwrap() > 0);
    }
}

#[test]
fn a_stream_that_cannot_have_compressed_records_gets_none() {
    let splunk = json!([{"DestinationId": "d", "SplunkDestinationDescription": {
        "HECEndpoint": "https://splunk.example.com:8088",
    }}]);
    let stub =
        Stub::start(|_| StubResponse::Accept).with_descriptions(move |_, _| Ok(splunk.clone()));
    let input = Events::new(7).into_ndjson(500);
    let rows = [("*", "s")];
    let program = Program::host_run_against(&stub.url()).mapping(&rows).settings(&settings("gzip"));
    let ran = program.stdin(input.clone()).run().expect_exit(0);
    ran.expect_stderr(&["records are not compressed, although the settings say so", "Splunk treats"]);
    let expected = Oracle::new(&rows).expected_outcome(&input).streams;
    assert_same(&expected, &stub.accepted_records());
}

#[test]
fn dead_letters_of_compressed_records_are_the_events() {
    let stub = Stub::start(|put| match put.number {
        0 => StubResponse::Refuse { records: vec![0], code: "InvalidArgumentException" },
        _ => StubResponse::Accept,
    })
    .with_descriptions(|_, _| Ok(plain_s3()));
    let input = Events::new(8).into_ndjson(EVENTS);
    let rows = [("*", "s")];
    let program = Program::host_run_against(&stub.url()).mapping(&rows).settings(&settings("gzip"));
    let ran = program.stdin(input.clone()).run();
    let dead = ran.dead_letters();
    assert!(!dead.is_empty(), "the first record is refused");
    let lines = decompress("gzip", &stub.accepted_records()["s"].concat());
    let texts = dead.into_iter().map(|letter| [letter.event, b"\n".to_vec()].concat());
    let got = split_records(&lines).into_iter().chain(texts).collect();
    let got = Streams::from([("s".to_owned(), got)]);
    assert_same(&Oracle::new(&rows).expected_outcome(&input).streams, &got);
}

#[test]
fn wrong_compression_settings_are_explained() {
    for (aggregate, message) in [
        ("{ max_bytes = 102400, compress = 'lz4' }", "write \"gzip\" or \"zstd\""),
        ("{ max_bytes = 102400, compress = 'gzip', level = 10 }", "write a number from 1 to 9 for gzip"),
        ("{ max_bytes = 102400, level = 3 }", "contains `level` without `compress`"),
        ("{ max_bytes = 100, compress = 'gzip' }", "with N from 5120 to 1024000"),
    ] {
        let program = Program::host_run_locally().mapping(&[("*", "s")]);
        let program = program.settings(&format!("[delivery]\naggregate = {aggregate}"));
        let ran = program.stdin(b"{}\n".to_vec()).run();
        ran.expect_exit(2).expect_stderr(&[message]);
    }
}
