//! Measures the series for the plots.

use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};

use super::BenchArguments;
use crate::cli::{CommandResult, Exit, complain, print};

/// The mean size of a generated event in bytes. Points with larger events have fewer, so that
/// every point reads about as many bytes.
const EVENT_BYTES: u64 = 818;

/// The minimum number of events of a point.
const EVENTS_MIN: u64 = 500;

const SIZES: &[u64] = &[100, 1000, 10_000, 100_000];
const ROWS: &[u64] = &[1, 100, 1000, 10_000];
const STREAMS: &[u64] = &[1, 10, 100, 500];

/// Runs a process for each point, so that memory and pacing start from the same state.
pub(super) fn run(arguments: &BenchArguments) -> CommandResult {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    let workers: Vec<_> = (0..)
        .map(|power| 1 << power)
        .take_while(|&workers| workers < cores)
        .chain([cores])
        .collect();
    let series = [
        ("workers", &workers[..]),
        ("event-bytes", SIZES),
        ("mappings", ROWS),
        ("streams", STREAMS),
    ];
    let mut all = Map::new();
    for (option, values) in series {
        let points = values.iter().map(|&value| {
            complain(&format!("measuring --{option} {value}"));
            let report = point(arguments, option, value).map_err(|error| (Exit::Fault, error))?;
            Ok(json!({"x": value, "report": report}))
        });
        let points = points.collect::<Result<Vec<_>, _>>()?;
        all.insert(option.replace('-', "_"), Value::Array(points));
    }
    print(format!("{}\n", json!({"series": all})))
}

fn point(arguments: &BenchArguments, option: &str, value: u64) -> anyhow::Result<Value> {
    let events = match option {
        "event-bytes" => {
            arguments.events.min((arguments.events * EVENT_BYTES / value).max(EVENTS_MIN))
        }
        _ => arguments.events,
    };
    let program = std::env::current_exe().context("failed to find this program")?;
    let mut command = Command::new(program);
    command.args(["bench", "--json", "--events", &events.to_string()]);
    command.args(["--repeat", &arguments.repeat.to_string()]);
    command.args([&format!("--{option}"), &value.to_string()]);
    if let Some(config) = &arguments.config {
        command.arg("--config").arg(config);
    }
    if let Some(workers) = arguments.workers.filter(|_| option != "workers") {
        command.args(["--workers", &workers.to_string()]);
    }
    #[cfg(feature = "native-mapping")]
    if arguments.no_plugin {
        command.arg("--no-plugin");
    }
    let output =
        command.stderr(Stdio::inherit()).output().context("failed to start this program")?;
    if !output.status.success() {
        return Err(anyhow!("--{option} {value} ended with {}", output.status));
    }
    serde_json::from_slice(&output.stdout).context("failed to read the report")
}
