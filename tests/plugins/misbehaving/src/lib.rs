//! A plugin that misbehaves on events of certain names, for the tests.
//!
//! The name of an event selects the misbehavior. Every other event is delivered to the stream
//! `good`. The settings can make the plugin misbehave in `configure`, on every event except the
//! host's samples, or on the samples only.

#![allow(clippy::disallowed_methods, reason = "it misbehaves on purpose")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is one of the things to test"
)]

use std::collections::{HashMap, HashSet};
use std::hint::black_box;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use standpipe_plugin::functions::{Failure, HttpRequest, RequestHandler};
use standpipe_plugin::{Event, Outputs, Plugin, Setup, Stream};

/// The plugin.
#[derive(Debug)]
pub struct Misbehaving {
    good: Stream,
    /// The streams for the setting `declare`, sorted by name.
    more: Vec<Stream>,
    settings: MisbehavingSettings,
    /// Grows with every event named `leak`.
    leaked: Vec<Vec<u8>>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct MisbehavingSettings {
    /// The misbehavior in `configure`.
    configure: String,
    /// The name that replaces that of every event.
    map: Option<String>,
    /// The name that replaces that of every event except the host's samples.
    every: Option<String>,
    /// The name that replaces that of the host's samples.
    samples: Option<String>,
    /// The stream of events without misbehavior.
    stream: String,
    /// Additional streams to declare: `shuffled` is ten streams in random order, `dated` one with a
    /// name made of the time, and `random` one with a random name.
    declare: String,
    /// How long the name of `dated` stays the same, in milliseconds.
    period_ms: u128,
    /// The time from which the plugin rejects its settings, in milliseconds since 1970.
    refuse_from_ms: Option<u128>,
    /// Secrets. For events named `secret`, the plugin delivers `key` instead of the event.
    secrets: HashMap<String, String>,
    /// Settings of the built-in plugin, so that both accept the same settings.
    mappings: serde::de::IgnoredAny,
}

impl Default for MisbehavingSettings {
    fn default() -> Self {
        let stream = "good".to_owned();
        MisbehavingSettings {
            configure: String::new(),
            map: None,
            every: None,
            samples: None,
            stream,
            declare: String::new(),
            period_ms: 1000,
            refuse_from_ms: None,
            secrets: HashMap::new(),
            mappings: serde::de::IgnoredAny,
        }
    }
}

impl Plugin for Misbehaving {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let settings: MisbehavingSettings =
            serde_json::from_str(settings).map_err(|error| error.to_string())?;
        match settings.configure.as_str() {
            "trap" => panic!("trap requested in configure"),
            "loop" => loop_forever(),
            "recurse" => drop(black_box(recurse_without_end(1))),
            "memory" => allocate_memory(),
            "print" => print_endlessly(),
            "refuse" => return Err("setting `configure` asks for a refusal: remove it".to_owned()),
            "refuse at length" => return Err("no ".repeat(20 << 20)),
            "streams" => {
                (0..1_000_000).try_for_each(|n| setup.declare(&format!("s{n}")).map(drop))?;
            }
            _ => {}
        }
        if settings.refuse_from_ms.is_some_and(|from| since_1970_ms() >= from) {
            return Err("setting `refuse_from_ms` is over: remove it".to_owned());
        }
        setup.declare_pattern("tenant-*")?;
        let good = setup.declare(&settings.stream)?;
        let more = declare_more(&settings, setup)?;
        Ok(Misbehaving { good, more, settings, leaked: Vec::new() })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        let configured = match event.source.as_str() {
            "samples" => self.settings.samples.as_deref(),
            _ => self.settings.every.as_deref(),
        };
        let name = configured.or(self.settings.map.as_deref()).or(event.name.as_deref());
        let name = name.unwrap_or_default().to_owned();
        match name.split_once(':') {
            Some((name, number)) => {
                let number = number.parse().expect("a number is behind the colon");
                self.map_by_number(name, number, outputs);
            }
            None => self.map_by_name(&name, event, outputs),
        }
    }
}

/// The body of a request selects the misbehavior. Every other request becomes an event that contains
/// what the plugin has received.
impl RequestHandler for Misbehaving {
    fn handle_request(&mut self, request: HttpRequest) -> Result<Vec<String>, Failure> {
        match request.body.as_slice() {
            b"trap" => panic!("trap requested by a request"),
            b"loop" => loop_forever(),
            b"recurse" => drop(black_box(recurse_without_end(1))),
            b"memory" => allocate_memory(),
            b"refuse" => return Err(Failure::rejected("the body asks for a refusal")),
            b"retry" => return Err(Failure::retry("the body asks for a retry")),
            b"no object" => return Ok(vec!["{}],\"batch\":[{}".to_owned()]),
            b"too much" => return Ok(vec![r#"{"userId":"u"}"#.to_owned(); 20 << 20]),
            _ => {}
        }
        let received = serde_json::json!({
            "type": "track",
            "event": "received",
            "userId": "u",
            "properties": {
                "method": request.method,
                "url": request.url,
                "headers": request.headers,
                "body": request.body,
                "key": self.settings.secrets.get("key"),
            },
        });
        Ok(vec![received.to_string()])
    }
}

impl Misbehaving {
    fn map_by_number(&mut self, name: &str, number: usize, outputs: &mut Outputs) {
        match name {
            "leak" => {
                self.leaked.push(vec![1; number]);
                outputs.deliver(self.good);
            }
            "payload MiB" => outputs.deliver_payload(self.good, vec![b'x'; number << 20]),
            "payloads of 2 MiB" => {
                (0..number).for_each(|_| outputs.deliver_payload(self.good, vec![b'x'; 2 << 20]));
            }
            "stream" => outputs.deliver(self.more[number]),
            "reject MiB" => outputs.reject(&"x".repeat(number << 20)),
            _ => panic!("unknown fault"),
        }
    }

    fn map_by_name(&mut self, name: &str, event: &Event, outputs: &mut Outputs) {
        match name {
            "trap" => panic!("trap requested"),
            "loop" => loop_forever(),
            "recurse" => drop(black_box(recurse_without_end(1))),
            "memory" => allocate_memory(),
            "leak" => {
                self.leaked.push(vec![1; 64 * 1024]);
                outputs.deliver(self.good);
            }
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            "print" => {
                println!("a line on standard output\u{1b}[31m");
                eprintln!("a line on standard error, from {}", event.source);
                outputs.deliver(self.good);
            }
            // Prints text about one event on each channel, with and without an end of line.
            "print its text" => {
                eprintln!("standard error has {}", event.text);
                eprint!("unfinished error has {}", event.text);
                println!("standard output has {}", event.text);
                print!("unfinished output has {}", event.text);
                outputs.deliver(self.good);
            }
            "say and trap" => {
                (1..=30).for_each(|line| eprintln!("line {line:02} of standard error"));
                panic!("trap requested after thirty lines");
            }
            "print endlessly" => print_endlessly(),
            "print a long line" => print_a_long_line(),
            "resources" => hoard_resources(),
            "random" => {
                let _ = wasip2::random::random::get_random_bytes(1 << 40);
            }
            "zeroes" => {
                let _ = wasip2::cli::stdout::get_stdout().write_zeroes(1 << 40);
            }
            "exit" => std::process::exit(0),
            "files" => reach_outside(outputs, self.good),
            "huge" => outputs.deliver_payload(self.good, vec![b'x'; 80 << 20]),
            "many" => (0..2000).for_each(|_| outputs.deliver(self.good)),
            "a million" => (0..1_000_000).for_each(|_| outputs.deliver(self.good)),
            "flood" => loop {
                outputs.deliver(self.good);
            },
            "undeclared" => outputs.deliver_to("elsewhere"),
            "bad name" => outputs.deliver_to("no name/../at all"),
            "tenant" => outputs.deliver_to("tenant-a"),
            "twice" => (0..2).for_each(|_| outputs.deliver(self.good)),
            "reject" => outputs.reject("reject requested\u{7}"),
            "reject and deliver" => {
                outputs.reject("reject requested");
                outputs.deliver(self.good);
            }
            "secret" => {
                let key = self.settings.secrets.get("key").cloned().unwrap_or_default();
                outputs.deliver_payload(self.good, key.into_bytes());
            }
            "replace" => outputs.deliver_payload(self.good, b"replaced \xff".to_vec()),
            "empty" => outputs.deliver_payload(self.good, Vec::new()),
            "filter" => {}
            _ => outputs.deliver(self.good),
        }
    }
}

fn declare_more(settings: &MisbehavingSettings, setup: &mut Setup) -> Result<Vec<Stream>, String> {
    match settings.declare.as_str() {
        "shuffled" => {
            let names: HashSet<_> = (0..10).map(|number| format!("s{number}")).collect();
            names.iter().try_for_each(|name| setup.declare(name).map(drop))?;
            (0..10).map(|number| setup.declare(&format!("s{number}"))).collect()
        }
        "dated" => {
            let period = since_1970_ms() / settings.period_ms;
            Ok(vec![setup.declare(&format!("period-{period}"))?])
        }
        "random" => {
            let number = wasip2::random::random::get_random_u64();
            Ok(vec![setup.declare(&format!("random-{number}"))?])
        }
        _ => Ok(Vec::new()),
    }
}

fn since_1970_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time since 1970").as_millis()
}

fn loop_forever() {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns += 1;
    }
}

#[expect(unconditional_recursion, reason = "this is the fault")]
fn recurse_without_end(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse_without_end(depth + 1) + frame[0]
}

fn allocate_memory() {
    let mut hoard = Vec::new();
    loop {
        // The memory is not touched, so that it runs out before the time does.
        hoard.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

fn print_endlessly() {
    loop {
        println!("one line of very many");
    }
}

fn print_a_long_line() {
    loop {
        print!("a line without an end ");
    }
}

/// Keeps handles of host resources, which are not in the plugin's own memory.
fn hoard_resources() {
    loop {
        std::mem::forget(wasip2::clocks::monotonic_clock::subscribe_duration(1));
    }
}

/// Delivers only if the plugin can reach nothing of the host's machine.
fn reach_outside(outputs: &mut Outputs, good: Stream) {
    let file = std::fs::read("/etc/hostname").is_ok() || std::fs::read_dir("/").is_ok();
    let variables = std::env::vars().next().is_some() || std::env::args().len() > 1;
    let network = std::net::TcpStream::connect("127.0.0.1:9").is_ok();
    let clock = SystemTime::now() > UNIX_EPOCH;
    if file || variables || network || !clock {
        outputs.reject("the sandbox has a hole");
    } else {
        outputs.deliver(good);
    }
}

standpipe_plugin::export_functions!(Misbehaving);
