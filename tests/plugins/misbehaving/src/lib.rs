//! A plugin that misbehaves on events of certain names, for the tests.
//!
//! An event's name chooses what happens to it; every other event is delivered
//! to the stream `good`. Its settings can make it misbehave while it is
//! configured.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is one of the things to test"
)]

use std::hint::black_box;

use guest::{Event, Outputs, Plugin, Setup, Stream};
use serde::Deserialize;

/// The plugin.
#[derive(Debug)]
pub struct Misbehaving {
    good: Stream,
    map: Option<String>,
    map_from: Option<String>,
    /// Grows with every event named `leak`.
    leaked: Vec<Vec<u8>>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    /// What to do in `configure`: `trap`, `loop`, `refuse`.
    configure: String,
    /// What to do on every event, whatever its name.
    map: Option<String>,
    /// Only on events of this type, if one is named.
    map_from: Option<String>,
}

impl Plugin for Misbehaving {
    fn configure(settings: &str, setup: &mut Setup) -> Result<Self, String> {
        let settings: Settings =
            serde_json::from_str(settings).map_err(|error| error.to_string())?;
        match settings.configure.as_str() {
            "trap" => panic!("told to trap in configure"),
            "loop" => endless(),
            "refuse" => return Err("setting `configure` asks for a refusal: remove it".to_owned()),
            _ => {}
        }
        setup.declare_pattern("tenant-*")?;
        let good = setup.declare("good")?;
        let Settings { map, map_from, .. } = settings;
        Ok(Misbehaving { good, map, map_from, leaked: Vec::new() })
    }

    fn map(&mut self, event: &Event, outputs: &mut Outputs) {
        let is_meant = self.map_from.is_none() || self.map_from == event.message_type;
        let word = self.map.as_deref().filter(|_| is_meant).or(event.name.as_deref());
        match word.unwrap_or_default() {
            "trap" => panic!("told to trap"),
            "loop" => endless(),
            "recurse" => drop(black_box(recurse(1))),
            "memory" => hoard(),
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
            "exit" => std::process::exit(0),
            "files" => reach_outside(outputs, self.good),
            "huge" => outputs.deliver_payload(self.good, vec![b'x'; 80 << 20]),
            "many" => (0..2000).for_each(|_| outputs.deliver(self.good)),
            "undeclared" => outputs.deliver_to("elsewhere"),
            "bad name" => outputs.deliver_to("no name/../at all"),
            "tenant" => outputs.deliver_to("tenant-a"),
            "twice" => (0..2).for_each(|_| outputs.deliver(self.good)),
            "reject" => outputs.reject("told to reject\u{7}"),
            "reject and deliver" => {
                outputs.reject("told to reject");
                outputs.deliver(self.good);
            }
            "replace" => outputs.deliver_payload(self.good, b"replaced \xff".to_vec()),
            "empty" => outputs.deliver_payload(self.good, Vec::new()),
            "filter" => {}
            _ => outputs.deliver(self.good),
        }
    }
}

fn endless() {
    let mut turns = 0_u64;
    while black_box(turns) < u64::MAX {
        turns += 1;
    }
}

#[expect(unconditional_recursion, reason = "this is the fault")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[0]
}

fn hoard() {
    let mut hoard = Vec::new();
    loop {
        // Untouched, so that memory runs out before time does.
        hoard.push(black_box(Vec::<u8>::with_capacity(1 << 20)));
    }
}

/// Deliver only if nothing of the host's machine can be reached.
fn reach_outside(outputs: &mut Outputs, good: Stream) {
    let file = std::fs::read("/etc/hostname").is_ok() || std::fs::read_dir("/").is_ok();
    let variables = std::env::vars().next().is_some() || std::env::args().len() > 1;
    let network = std::net::TcpStream::connect("127.0.0.1:9").is_ok();
    let clock = std::time::SystemTime::now() > std::time::UNIX_EPOCH;
    if file || variables || network || !clock {
        outputs.reject("the sandbox has a hole");
    } else {
        outputs.deliver(good);
    }
}

guest::export!(Misbehaving);
