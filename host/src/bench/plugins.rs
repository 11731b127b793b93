//! Compares the cost of plugins: the CPU time of their decisions about the same events, and their
//! cost before the first event.
//!
//! Only the plugin's part of the path is measured: the same [`Mapper`] as in production turns
//! batches into decisions. The plugins alternate round by round, so other load on the machine
//! affects all of them equally.

use std::fmt;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::Machine;
use super::process::{cpu_time, thread_cpu_time};
use super::report::median_of;
use standpipe_core::event::Event;
use standpipe_plugin_host::{
    Engine, EventReads, Fault, LoadError, Mapper, Plugin, engine_version, inspect,
};

/// The minimum CPU time of a round. The events are repeated until it is used.
const ROUND_CPU: Duration = Duration::from_millis(200);

/// Number of started instances, for the median of the start cost.
const STARTS: usize = 9;

/// A plugin to measure.
#[derive(Debug)]
pub struct BenchCandidate<'a> {
    /// The plugin's name in the report.
    pub name: String,
    /// The component.
    pub bytes: &'a [u8],
    /// The plugin's settings: JSON text.
    pub settings: String,
}

/// The result of a bench of plugins.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginReport {
    /// The WebAssembly engine, with its version.
    pub engine: String,
    /// The machine.
    pub machine: Machine,
    /// Number of events in one round.
    pub events: usize,
    /// The bytes of these events.
    pub bytes: usize,
    /// The plugins. Each ratio is relative to the last plugin.
    pub plugins: Vec<PluginFigures>,
}

/// The figures of one plugin.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginFigures {
    /// The plugin's name.
    pub name: String,
    /// Bytes of the component.
    pub component_bytes: usize,
    /// The parts of each event that the plugin receives.
    pub reads: EventReads,
    /// CPU time per event in nanoseconds: the median of the rounds.
    pub cpu_ns_per_event: f64,
    /// The value of each round.
    pub rounds: Vec<f64>,
    /// The median divided by the last plugin's.
    pub ratio: f64,
    /// Events that the plugin fails on.
    pub faults: usize,
    /// Wall-clock time to compile the component, in milliseconds. The program compiles it once, and
    /// caches the result.
    pub compile_wall_ms: f64,
    /// CPU time to compile the component.
    pub compile_cpu_ms: f64,
    /// CPU time to start an instance and configure it, in microseconds: the median of several
    /// starts.
    pub start_cpu_us: f64,
    /// Memory of an instance after its start.
    pub memory_bytes_at_start: usize,
    /// Memory of an instance after all rounds.
    pub memory_bytes_at_end: usize,
}

/// Why plugins cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum PluginBenchError {
    /// A plugin is rejected.
    #[error("{name}: {error}")]
    Load {
        /// The plugin's name.
        name: String,
        /// The cause.
        error: LoadError,
    },
    /// A plugin does not start.
    #[error("{name}: {error}")]
    Start {
        /// The plugin's name.
        name: String,
        /// The cause.
        error: Fault,
    },
}

/// A plugin that is being measured.
struct PluginRunner {
    mapper: Mapper,
    /// How often the events are repeated in one round.
    passes: u32,
    figures: PluginFigures,
}

/// Measures plugins in alternation. The engine must not have compiled any of them before, because
/// its cache would prevent a second compilation.
///
/// # Errors
///
/// Fails if a plugin cannot be loaded or started.
pub fn measure_plugins(
    engine: &Engine,
    candidates: &[BenchCandidate<'_>],
    source: &str,
    batches: &[Vec<Event<'_>>],
    rounds: u32,
) -> Result<PluginReport, PluginBenchError> {
    let runners = candidates.iter().map(|candidate| PluginRunner::start(engine, candidate));
    let mut runners = runners.collect::<Result<Vec<_>, _>>()?;
    for runner in &mut runners {
        runner.warm_up(source, batches);
    }
    for _ in 0..rounds {
        for runner in &mut runners {
            runner.run_round(source, batches);
        }
    }
    let mut plugins: Vec<_> = runners.into_iter().map(PluginRunner::finish).collect();
    let base = plugins.last().map_or(f64::NAN, |figures| figures.cpu_ns_per_event);
    plugins.iter_mut().for_each(|figures| figures.ratio = figures.cpu_ns_per_event / base);
    let texts = batches.iter().flatten().map(|event| event.text.len());
    Ok(PluginReport {
        engine: engine_version(),
        machine: Machine::current(),
        events: count_events(batches),
        bytes: texts.sum(),
        plugins,
    })
}

fn count_events(batches: &[Vec<Event<'_>>]) -> usize {
    batches.iter().map(Vec::len).sum()
}

impl PluginRunner {
    fn start(engine: &Engine, candidate: &BenchCandidate<'_>) -> Result<Self, PluginBenchError> {
        let not_loaded = |error| PluginBenchError::Load { name: candidate.name.clone(), error };
        let (began, cpu) = (Instant::now(), cpu_time());
        inspect(engine, candidate.bytes).map_err(not_loaded)?;
        let (wall, cpu) = (began.elapsed(), cpu_time().saturating_sub(cpu));
        let plugin = Plugin::load(engine, candidate.bytes, candidate.settings.as_str())
            .map_err(not_loaded)?;
        let starts = (0..STARTS).map(|_| plugin.measure_start()).collect::<Result<Vec<_>, _>>();
        let starts = starts
            .map_err(|error| PluginBenchError::Start { name: candidate.name.clone(), error })?;
        let start_us = starts.iter().map(|start| start.cpu.as_secs_f64() * 1e6).collect();
        let figures = PluginFigures {
            name: candidate.name.clone(),
            component_bytes: candidate.bytes.len(),
            reads: plugin.reads(),
            cpu_ns_per_event: 0.0,
            rounds: Vec::new(),
            ratio: 0.0,
            faults: 0,
            compile_wall_ms: wall.as_secs_f64() * 1e3,
            compile_cpu_ms: cpu.as_secs_f64() * 1e3,
            start_cpu_us: median_of(start_us),
            memory_bytes_at_start: starts.iter().map(|start| start.memory_bytes).max().unwrap_or(0),
            memory_bytes_at_end: 0,
        };
        Ok(PluginRunner { mapper: Mapper::new(plugin), passes: 1, figures })
    }

    /// Runs one pass that is not counted, to find the number of passes in a round.
    fn warm_up(&mut self, source: &str, batches: &[Vec<Event<'_>>]) {
        let before = thread_cpu_time();
        for events in batches {
            let decisions = self.mapper.map(source, events);
            let faults = (0..events.len()).filter(|&event| decisions.of(event).is_err());
            self.figures.faults += faults.count();
        }
        let took = thread_cpu_time().saturating_sub(before).max(Duration::from_nanos(1));
        let passes = ROUND_CPU.as_nanos().div_ceil(took.as_nanos());
        self.passes = u32::try_from(passes).unwrap_or(u32::MAX).max(1);
    }

    fn run_round(&mut self, source: &str, batches: &[Vec<Event<'_>>]) {
        let before = thread_cpu_time();
        for _ in 0..self.passes {
            for events in batches {
                std::hint::black_box(self.mapper.map(source, events));
            }
        }
        let took = thread_cpu_time().saturating_sub(before).as_nanos() as f64;
        let events = count_events(batches) as f64 * f64::from(self.passes);
        self.figures.rounds.push(took / events);
        let memory = self.mapper.memory_bytes();
        self.figures.memory_bytes_at_end = memory.max(self.figures.memory_bytes_at_end);
    }

    fn finish(self) -> PluginFigures {
        PluginFigures { cpu_ns_per_event: median_of(self.figures.rounds.clone()), ..self.figures }
    }
}

/// The columns of the table.
const HEAD: &str = "plugin                       reads   ns/event    ratio       MB compile ms   start us  memory MB   faults";

impl fmt::Display for PluginReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Machine { cpu, cores, system } = &self.machine;
        let cpu = cpu.as_deref().unwrap_or("an unknown processor");
        writeln!(f, "{cpu}, {cores} processors, {system}, {}", self.engine)?;
        let bytes = self.bytes as f64 / self.events.max(1) as f64;
        writeln!(f, "{} events of {bytes:.0} bytes on average\n", self.events)?;
        writeln!(f, "{HEAD}")?;
        for plugin in &self.plugins {
            let reads = plugin.reads.word();
            writeln!(
                f,
                "{:24} {reads:>9} {:>10.1} {:>8.2} {:>8.2} {:>10.0} {:>10.0} {:>10.1} {:>8}",
                plugin.name,
                plugin.cpu_ns_per_event,
                plugin.ratio,
                plugin.component_bytes as f64 / 1e6,
                plugin.compile_cpu_ms,
                plugin.start_cpu_us,
                plugin.memory_bytes_at_end as f64 / 1e6,
                plugin.faults,
            )?;
        }
        Ok(())
    }
}
