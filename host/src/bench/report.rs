//! The result of a bench: machine, input, repeats and their medians, the ratio to the floor, and
//! the cost of the sandbox. It can be printed as a table and as JSON.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::{BenchEvents, BenchMapping, Machine, PeakSince, Plan};
use crate::config::RecordDestination;
use standpipe_plugin_host::engine_version;

/// The result of a [`Plan`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The host's version.
    pub version: &'static str,
    /// The WebAssembly engine, with its version.
    pub engine: String,
    /// The machine.
    pub machine: Machine,
    /// The input.
    pub input: InputReport,
    /// The target of delivery: a URL, or `in process`.
    pub endpoint: String,
    /// Threads that map events.
    pub workers: usize,
    /// Number of mappings, or `None` if the plugin's settings have no `mappings`.
    pub mappings: Option<usize>,
    /// The series with the plugin as a component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<Series>,
    /// The series with the built-in plugin as native code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub native: Option<Series>,
    /// How much more CPU time the component uses than native code for the whole path, in percent:
    /// the median over the pairs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox_price_percent: Option<f64>,
}

/// The input of a bench.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct InputReport {
    /// The input file, or `None` if events were generated.
    pub file: Option<String>,
    /// Number of events.
    pub events: u64,
    /// Size in bytes, after decompression.
    pub bytes: u64,
    /// Mean size of an event with its newline, in bytes.
    pub bytes_per_event: f64,
}

/// The repeats with one kind of plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Series {
    /// The medians of each value separately.
    pub median: BenchSample,
    /// The repeats in order.
    pub repeats: Vec<BenchSample>,
}

/// One measured run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct BenchSample {
    /// Events read.
    pub events: u64,
    /// Events whose records were all accepted.
    pub delivered: u64,
    /// Events without an output of the plugin.
    pub filtered: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Bytes read, after decompression.
    pub bytes: u64,
    /// Records accepted.
    pub records: u64,
    /// Requests sent.
    pub requests: u64,
    /// Delivery streams written to.
    pub streams: u64,
    /// Time from the start of reading to the last response.
    pub wall_seconds: f64,
    /// Events per second of this time.
    pub events_per_second: f64,
    /// The host's own CPU time during it: that of the process without the endpoint.
    pub cpu_seconds: f64,
    /// The CPU time of the endpoint, if it is in this process.
    pub endpoint_cpu_seconds: Option<f64>,
    /// Events per second of the host's CPU time.
    pub events_per_cpu_second: f64,
    /// The host's CPU time per event, in nanoseconds.
    pub cpu_ns_per_event: f64,
    /// The floor per event, in nanoseconds of CPU time.
    pub floor_ns_per_event: f64,
    /// The floor divided by the host's CPU time. 1 cannot be reached.
    pub ratio_to_floor: f64,
    /// The peak memory of the process, including the endpoint.
    pub peak_memory_bytes: Option<u64>,
    /// The time from which the peak was measured.
    pub peak_since: PeakSince,
    /// The time before reading: loading the plugin and finding credentials.
    pub loading_seconds: f64,
    /// The time from the start of loading to the first records at the endpoint. `None` if the
    /// endpoint is another process.
    pub first_record_seconds: Option<f64>,
}

impl Report {
    pub(super) fn new(
        plan: &Plan,
        path: &Path,
        is_own: bool,
        series: &[(BenchMapping, Series)],
    ) -> Self {
        let (events, bytes) = series
            .first()
            .map_or((0, 0), |(_, series)| (series.median.events, series.median.bytes));
        let file = matches!(plan.events, BenchEvents::File(_)).then(|| path.display().to_string());
        let input =
            InputReport { file, events, bytes, bytes_per_event: bytes as f64 / events as f64 };
        let endpoint = match &plan.settings.destination {
            _ if is_own => "in process".to_owned(),
            RecordDestination::Amazon { endpoint_url: Some(url), .. } => url.clone(),
            RecordDestination::Amazon { endpoint_url: None, .. } => "Amazon".to_owned(),
            RecordDestination::Directory(directory) => directory.display().to_string(),
        };
        let of =
            |way| series.iter().find(|(other, _)| *other == way).map(|(_, series)| series.clone());
        let component = of(BenchMapping::Component);
        #[cfg(feature = "native-mapping")]
        let native = of(BenchMapping::Native);
        #[cfg(not(feature = "native-mapping"))]
        let native = None;
        Report {
            version: env!("CARGO_PKG_VERSION"),
            engine: engine_version(),
            machine: Machine::current(),
            input,
            endpoint,
            workers: plan.settings.workers.get(),
            mappings: count_mappings(&plan.settings.plugin_settings),
            sandbox_price_percent: component.as_ref().zip(native.as_ref()).map(price_percent),
            component,
            native,
        }
    }

    /// The report as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a report has string keys")
    }

    fn named_series(&self) -> impl Iterator<Item = (&'static str, &Series)> {
        let all = [("component", self.component.as_ref()), ("native", self.native.as_ref())];
        all.into_iter().filter_map(|(name, series)| Some((name, series?)))
    }

    /// The maximum number of dead letters of a repeat.
    pub fn dead_max(&self) -> u64 {
        let repeats = self.named_series().flat_map(|(_, series)| &series.repeats);
        repeats.map(|sample| sample.dead).max().unwrap_or(0)
    }
}

fn count_mappings(plugin_settings: &str) -> Option<usize> {
    let settings: serde_json::Value = serde_json::from_str(plugin_settings).ok()?;
    settings["mappings"].as_array().map(Vec::len)
}

fn price_percent((component, native): (&Series, &Series)) -> f64 {
    let pairs = component.repeats.iter().zip(&native.repeats);
    let prices = pairs.map(|(component, native)| {
        (component.cpu_ns_per_event / native.cpu_ns_per_event - 1.0) * 100.0
    });
    median_of(prices.collect())
}

impl Series {
    /// Creates a series of at least one repeat.
    pub(super) fn new(repeats: Vec<BenchSample>) -> Self {
        let of = |figure: fn(&BenchSample) -> f64| median_of(repeats.iter().map(figure).collect());
        let if_any = |figure: fn(&BenchSample) -> Option<f64>| {
            let figures: Vec<_> = repeats.iter().filter_map(figure).collect();
            (!figures.is_empty()).then(|| median_of(figures))
        };
        let median = BenchSample {
            wall_seconds: of(|sample| sample.wall_seconds),
            events_per_second: of(|sample| sample.events_per_second),
            cpu_seconds: of(|sample| sample.cpu_seconds),
            endpoint_cpu_seconds: if_any(|sample| sample.endpoint_cpu_seconds),
            events_per_cpu_second: of(|sample| sample.events_per_cpu_second),
            cpu_ns_per_event: of(|sample| sample.cpu_ns_per_event),
            floor_ns_per_event: of(|sample| sample.floor_ns_per_event),
            ratio_to_floor: of(|sample| sample.ratio_to_floor),
            peak_memory_bytes: if_any(|sample| Some(sample.peak_memory_bytes? as f64))
                .map(|bytes| bytes as u64),
            peak_since: repeats
                .iter()
                .map(|sample| sample.peak_since)
                .max()
                .unwrap_or(PeakSince::Process),
            requests: of(|sample| sample.requests as f64) as u64,
            loading_seconds: of(|sample| sample.loading_seconds),
            first_record_seconds: if_any(|sample| sample.first_record_seconds),
            // The other values are the same in all repeats.
            ..repeats[0].clone()
        };
        Series { median, repeats }
    }
}

pub(super) fn median_of(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    let (lower, upper) = (figures[(figures.len() - 1) / 2], figures[figures.len() / 2]);
    f64::midpoint(lower, upper)
}

/// The columns of the table.
const HEAD: &str = "                    events/s   wall s    CPU s events/CPU s ns/event floor ns  ratio  peak MB  first ms";

/// The report as a table.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { input, machine, .. } = self;
        let cpu = machine.cpu.as_deref().unwrap_or("an unknown processor");
        writeln!(
            f,
            "host {}, {}; {cpu}, {} cores, {}",
            self.version, self.engine, machine.cores, machine.system
        )?;
        writeln!(
            f,
            "{}: {} events, {:.1} MB, {:.0} bytes an event; {} workers, {} mappings, endpoint {}",
            input.file.as_deref().unwrap_or("generated"),
            input.events,
            input.bytes as f64 / 1e6,
            input.bytes_per_event,
            self.workers,
            self.mappings.map_or("no".to_owned(), |count| count.to_string()),
            self.endpoint
        )?;
        writeln!(f, "\n{HEAD}")?;
        for (name, series) in self.named_series() {
            for (number, sample) in (1..).zip(&series.repeats) {
                writeln!(f, "{:17} {sample}", format!("{name} {number}"))?;
            }
            writeln!(f, "{:17} {}", format!("{name} median"), series.median)?;
        }
        if let Some(price) = self.sandbox_price_percent {
            writeln!(f, "\nthe sandbox costs {price:+.1} % of CPU time on the whole path")?;
        }
        if self.named_series().any(|(_, series)| series.median.peak_since == PeakSince::Process) {
            writeln!(f, "\nmemory peaks are those of the whole process so far")?;
        }
        Ok(())
    }
}

/// A row of the table.
impl fmt::Display for BenchSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_dash =
            |figure: Option<f64>| figure.map_or("-".to_owned(), |figure| format!("{figure:.1}"));
        write!(
            f,
            "{:>10.0} {:>8.3} {:>8.3} {:>12.0} {:>8.0} {:>8.0} {:>6.3} {:>8} {:>9}",
            self.events_per_second,
            self.wall_seconds,
            self.cpu_seconds,
            self.events_per_cpu_second,
            self.cpu_ns_per_event,
            self.floor_ns_per_event,
            self.ratio_to_floor,
            or_dash(self.peak_memory_bytes.map(|bytes| bytes as f64 / 1e6)),
            or_dash(self.first_record_seconds.map(|seconds| seconds * 1e3)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median_of(vec![3.0]), 3.0);
        assert_eq!(median_of(vec![9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median_of(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
    }
}
