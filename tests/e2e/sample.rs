//! Tests that the sample events of `tests/data` equal those of the generator, and that the README's
//! first command delivers them.

use std::fs;

use standpipe_tests::events::Events;
use standpipe_tests::oracle::{Oracle, assert_same, split_records};
use standpipe_tests::{Program, workspace_directory};

const EVENTS: usize = 60;
const SEED: u64 = 7;

/// The rows of `tests/data/sample.toml`.
const ROWS: &[(&str, &str)] = &[
    ("Order Completed", "orders"),
    ("Product Viewed", "product-views"),
    ("identify", "people"),
    ("page", "web-pages"),
    ("*", "everything-else"),
];

#[test]
fn the_sample_is_what_the_generator_makes() {
    let path = workspace_directory().join("tests/data/sample.ndjson");
    let made = Events::new(SEED).into_ndjson(EVENTS);
    if std::env::var_os("UPDATE_SAMPLE").is_some() {
        fs::write(&path, &made).unwrap();
    }
    assert!(fs::read(&path).is_ok_and(|kept| kept == made), "run this test with UPDATE_SAMPLE=1");
    let text = String::from_utf8(made).unwrap();
    for word in ["Order Completed", "Product Viewed", "Signed Up", "\"page\"", "\"identify\""] {
        assert!(text.contains(word), "no {word} in the sample");
    }
}

#[test]
fn the_sample_runs_with_its_settings() {
    let data = workspace_directory().join("tests/data");
    let program = Program::host_run_locally().args(["--config"]).args([data.join("sample.toml")]);
    // The default directory is next to the settings, where other tests run concurrently.
    let program = program.args(["--data-dir", "standpipe-data"]);
    let ran = program.args([data.join("sample.ndjson")]).run().expect_exit(0);
    let fate = Oracle::new(ROWS).expected_outcome(&fs::read(data.join("sample.ndjson")).unwrap());
    let got = ran.streams().into_iter().map(|(stream, bytes)| (stream, split_records(&bytes)));
    assert_same(&fate.streams, &got.collect());
    assert_eq!(fate.streams.len(), ROWS.len(), "every row should have events");
    assert_eq!(ran.count("delivered"), EVENTS as u64);
}
