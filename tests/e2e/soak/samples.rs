//! Samples the program's resource usage once a second, and reports growth.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::findings::Findings;
use super::world::SoakWorld;

/// The minimum length of a judged run. In a shorter one, warming up would look like growth.
const JUDGED_FROM: Duration = Duration::from_secs(600);

/// Parts of the run in the table.
const PARTS: usize = 10;
/// The early parts to compare. One process has all faults once in each part between the first and
/// the last. So differences between the parts are chance, and not effects of the faults.
const EARLY: std::ops::Range<usize> = 1..3;
const LATE: std::ops::Range<usize> = 7..9;

/// Growth that is not a leak. Between the early and the late parts, each kind of request occurs
/// several thousand times: a leak of one kilobyte for each would be tens of MB. The bodies and
/// batches in flight at the time of a sample vary by up to 16 MiB, and the free memory of the
/// allocator by a tenth.
const MEMORY_RATIO: f64 = 1.10;
const MEMORY_BYTES: f64 = (16 << 20) as f64;
/// A stream has at most 16 connections. Their number varies by chance. A descriptor that leaks with
/// each fault, client or restart of a connection would add hundreds.
const DESCRIPTORS: f64 = 32.0;
/// The runtime ends threads for blocking work some seconds after their last use.
const THREADS: f64 = 8.0;
/// Disk use after everything is delivered: the spool's current segment, which is at most an eighth
/// of the spool.
const DISK_BYTES: f64 = (32 << 20) as f64;

/// One sample of the program.
#[derive(Debug, Clone, Copy, Default)]
struct ProcessSample {
    at: Duration,
    incarnation: u8,
    resident_bytes: u64,
    anonymous_bytes: u64,
    descriptors: u64,
    threads: u64,
    spool_bytes: u64,
    overflow_bytes: u64,
    dead_bytes: u64,
    acknowledged: u64,
    delivered: u64,
}

/// A column of the table.
type Column = (&'static str, fn(&ProcessSample) -> f64);

const MIB: f64 = 1024.0 * 1024.0;

const COLUMNS: [Column; 7] = [
    ("RSS MiB", |sample| sample.resident_bytes as f64 / MIB),
    ("anonymous MiB", |sample| sample.anonymous_bytes as f64 / MIB),
    ("descriptors", |sample| sample.descriptors as f64),
    ("threads", |sample| sample.threads as f64),
    ("spool MiB", |sample| sample.spool_bytes as f64 / MIB),
    ("overflow MiB", |sample| sample.overflow_bytes as f64 / MIB),
    ("dead letters MiB", |sample| sample.dead_bytes as f64 / MIB),
];

/// All samples of a run.
#[derive(Debug, Default)]
pub(super) struct Samples(Vec<ProcessSample>);

impl Samples {
    /// Samples the program if it is running.
    pub(super) fn take_sample(&mut self, world: &SoakWorld) {
        self.0.extend(ProcessSample::read_process(world));
    }

    /// Prints the table, and reports growth as findings.
    pub(super) fn report(&self, findings: &Findings, planned: Duration) -> String {
        let mut text = String::from(
            "each tenth of the run: least / median / most of its samples\npart  processes  accepted/s  delivered/s",
        );
        for (name, _) in COLUMNS {
            let _ = write!(text, "  {name:>23}");
        }
        text.push('\n');
        for part in 0..PARTS {
            self.write_part(part, &mut text);
        }
        if planned < JUDGED_FROM {
            let _ = writeln!(
                text,
                "growth is not judged: the run is shorter than {} s",
                JUDGED_FROM.as_secs()
            );
        } else {
            self.judge_growth(findings, &mut text);
        }
        text
    }

    fn write_part(&self, part: usize, text: &mut String) {
        let samples = self.samples_of_part(part);
        let (Some(first), Some(last)) = (samples.first(), samples.last()) else {
            let _ = writeln!(text, "{:>4}  no sample", part + 1);
            return;
        };
        let seconds = (last.at - first.at).as_secs_f64().max(1.0);
        let per_second = |from: u64, to: u64| (to - from) as f64 / seconds;
        let _ = write!(
            text,
            "{:>4}  {:>9}  {:>10.0}  {:>11.0}",
            part + 1,
            format!("{}-{}", first.incarnation, last.incarnation),
            per_second(first.acknowledged, last.acknowledged),
            per_second(first.delivered, last.delivered),
        );
        for (_, value) in COLUMNS {
            let spread = Spread::of_values(samples.iter().map(value));
            let shown = format!("{:.0} / {:.0} / {:.0}", spread.min, spread.median, spread.max);
            let _ = write!(text, "  {shown:>23}");
        }
        text.push('\n');
    }

    fn judge_growth(&self, findings: &Findings, text: &mut String) {
        let processes =
            |part: usize| self.samples_of_part(part).iter().map(|sample| sample.incarnation);
        let mut judged: Vec<_> = (EARLY.start..LATE.end).flat_map(processes).collect();
        judged.dedup();
        if judged.len() != 1 {
            findings.add("growth that cannot be judged", || {
                format!("the processes {judged:?} ran where one should have")
            });
            return;
        }
        let disk = |sample: &ProcessSample| (sample.spool_bytes + sample.overflow_bytes) as f64;
        self.compare_parts(
            findings,
            text,
            "memory at rest",
            Spread::min_of,
            |early| early * MEMORY_RATIO + MEMORY_BYTES,
            |sample| sample.anonymous_bytes as f64,
        );
        self.compare_parts(
            findings,
            text,
            "memory, median",
            Spread::median_of,
            |early| early * MEMORY_RATIO + MEMORY_BYTES,
            |sample| sample.anonymous_bytes as f64,
        );
        self.compare_parts(
            findings,
            text,
            "resident memory, median",
            Spread::median_of,
            |early| early * MEMORY_RATIO + MEMORY_BYTES,
            |sample| sample.resident_bytes as f64,
        );
        self.compare_parts(
            findings,
            text,
            "descriptors at rest",
            Spread::min_of,
            |early| early + DESCRIPTORS,
            |sample| sample.descriptors as f64,
        );
        self.compare_parts(
            findings,
            text,
            "descriptors, median",
            Spread::median_of,
            |early| early + DESCRIPTORS,
            |sample| sample.descriptors as f64,
        );
        self.compare_parts(
            findings,
            text,
            "threads, median",
            Spread::median_of,
            |early| early + THREADS,
            |sample| sample.threads as f64,
        );
        self.compare_parts(
            findings,
            text,
            "disk at rest",
            Spread::min_of,
            |early| early + DISK_BYTES,
            disk,
        );
    }

    /// Compares the late parts with the early ones.
    fn compare_parts(
        &self,
        findings: &Findings,
        text: &mut String,
        what: &'static str,
        of: fn(Spread) -> f64,
        bound: fn(f64) -> f64,
        value: fn(&ProcessSample) -> f64,
    ) {
        let of_parts = |parts: std::ops::Range<usize>| {
            of(Spread::of_values(parts.flat_map(|part| self.samples_of_part(part)).map(value)))
        };
        let (early, late) = (of_parts(EARLY), of_parts(LATE));
        let bound = bound(early);
        let line = format!("{what}: {early:.0} early, {late:.0} late, at most {bound:.0}");
        if late > bound {
            findings.add("growth", || line.clone());
        }
        let _ = writeln!(text, "{line}");
    }

    /// The samples of a part of the run.
    fn samples_of_part(&self, part: usize) -> &[ProcessSample] {
        let end = self.0.last().map_or(Duration::ZERO, |sample| sample.at).as_secs_f64();
        let starts = |part: usize| end * part as f64 / PARTS as f64;
        let before =
            |part: usize| self.0.partition_point(|sample| sample.at.as_secs_f64() <= starts(part));
        let first = if part == 0 { 0 } else { before(part) };
        &self.0[first..before(part + 1)]
    }
}

/// The minimum, median and maximum of some values.
#[derive(Debug, Clone, Copy, Default)]
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Spread {
    fn of_values(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<_> = values.collect();
        values.sort_by(f64::total_cmp);
        match values.len() {
            0 => Spread::default(),
            count => Spread { min: values[0], median: values[count / 2], max: values[count - 1] },
        }
    }

    fn min_of(self) -> f64 {
        self.min
    }

    fn median_of(self) -> f64 {
        self.median
    }
}

impl ProcessSample {
    fn read_process(world: &SoakWorld) -> Option<Self> {
        let pid = Some(world.pid()).filter(|&pid| pid > 0)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let number = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key))?;
            line.trim().trim_end_matches(" kB").parse::<u64>().ok()
        };
        let (descriptors, overflow_bytes) = count_descriptors(pid)?;
        let counts = &world.ledger.counts;
        Some(ProcessSample {
            at: world.started.elapsed(),
            incarnation: world.incarnations.of_pid(pid)?,
            resident_bytes: number("VmRSS:")? * 1024,
            anonymous_bytes: number("RssAnon:")? * 1024,
            descriptors,
            threads: number("Threads:")?,
            spool_bytes: world.place.bytes_of("spool"),
            overflow_bytes: overflow_bytes + world.place.bytes_of("overflow"),
            dead_bytes: world.place.bytes_of("dead"),
            acknowledged: counts.acknowledged.load(Ordering::Relaxed),
            delivered: counts.delivered.load(Ordering::Relaxed),
        })
    }
}

/// The number of a process's descriptors, and the disk space of its unnamed files.
fn count_descriptors(pid: u32) -> Option<(u64, u64)> {
    let (mut count, mut bytes) = (0, 0);
    for entry in fs::read_dir(format!("/proc/{pid}/fd")).ok()?.filter_map(Result::ok) {
        count += 1;
        if let Ok(file) = fs::metadata(entry.path())
            && file.is_file()
            && file.nlink() == 0
        {
            bytes += file.blocks() * 512;
        }
    }
    Some((count, bytes))
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Half an hour of samples, whose memory is a function of the second.
    fn findings_of(anonymous_mib: impl Fn(u64) -> u64, incarnation: impl Fn(u64) -> u8) -> String {
        let sample = |second| ProcessSample {
            at: Duration::from_secs(second),
            incarnation: incarnation(second),
            anonymous_bytes: anonymous_mib(second) << 20,
            ..ProcessSample::default()
        };
        let findings = Findings::new(Instant::now());
        let samples = Samples((1..=1800).map(sample).collect());
        samples.report(&findings, Duration::from_secs(1800));
        findings.to_text().unwrap_or_default()
    }

    #[test]
    fn growth_is_found_and_fluctuation_is_not() {
        let one = |second| u8::from(second > 100) + u8::from(second > 1700);
        assert_eq!(findings_of(|second| 100 + second % 60, one), "");
        let text = findings_of(|second| 100 + second % 60 + second / 30, one);
        assert!(text.starts_with("2 x growth\n") && text.contains("memory at rest"), "{text}");
    }

    #[test]
    fn samples_of_other_processes_are_not_compared() {
        let text = findings_of(|_| 100, |second| u8::from(second > 900));
        assert!(text.contains("growth that cannot be judged"), "{text}");
    }
}
