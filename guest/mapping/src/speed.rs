//! What transforms cost, for looking: `EVENTS=FILE cargo test --release -p mapping
//! speed -- --ignored --nocapture` with a file of events, one a line.

use std::io::Write as _;
use std::time::{Duration, Instant};

use standpipe_plugin::{Plugin as _, Setup};

use crate::rules::{Rules, Seen};
use crate::settings::Settings;
use crate::{Mapping, Routing};

const ROW: &str = r#"{"event":"*","stream":"all"}"#;

const NOISE: &str = r#"{"drop_fields":["integrations","sentAt"],"set":{"pipeline":"bench"}}"#;

const MIXED: &str = r#"{"drop_fields":["integrations","context.ip","context.page.title"],
    "set":{"pipeline":"bench","properties.env":"prod"},"hash":["userId"]}"#;

fn rules(settings: &str) -> Rules {
    let mut setup = Setup::default();
    let mapping = Mapping::configure(settings, &mut setup).expect("good settings");
    match mapping.routing {
        Routing::Ruled(rules, ..) => *rules,
        Routing::Plain(_) => {
            Rules::new(Settings::parse(settings).expect("good settings"), &mut setup)
                .expect("good settings")
        }
    }
}

/// The best of some rounds, for one event.
fn time(settings: &str, events: &[String]) -> Duration {
    let mut rules = rules(settings);
    let mut best = Duration::MAX;
    for _ in 0..200 {
        let start = Instant::now();
        for text in events {
            let seen = Seen { name: None, message_type: Some("track"), text };
            rules.map(seen, |_, text| {
                std::hint::black_box(text.map(|text| text.as_bytes().to_vec()));
            });
        }
        best = best.min(start.elapsed() / u32::try_from(events.len()).expect("few"));
    }
    best
}

#[test]
#[ignore = "for looking at speed"]
fn speed() {
    let file = std::env::var("EVENTS").expect("EVENTS names a file of events");
    let text = std::fs::read_to_string(file).expect("readable");
    let events: Vec<String> = text.lines().take(2_000).map(str::to_owned).collect();
    let with = |transforms: &str| format!(r#"{{"mappings":[{ROW}],"transforms":[{transforms}]}}"#);
    for (what, settings) in [
        ("rows only".to_owned(), format!(r#"{{"mappings":[{ROW}]}}"#)),
        ("drop 2, set 1".to_owned(), with(NOISE)),
        ("drop 3, set 2, hash 1".to_owned(), with(MIXED)),
        ("condition".to_owned(), with(r#"{"when":"properties.total > 1000000000","drop":true}"#)),
        ("copy".to_owned(), with(r#"{"copy":{"properties.currency":"currency"}}"#)),
        ("row of prices".to_owned(), with(r#"{"to_string":["properties.products[].price"]}"#)),
        ("flatten".to_owned(), with(r#"{"flatten":{"":"."}}"#)),
    ] {
        let line = format!("{what}: {} ns\n", time(&settings, &events).as_nanos());
        std::io::stderr().write_all(line.as_bytes()).expect("stderr is open");
    }
}
