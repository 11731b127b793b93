//! What became of a run, as text and as JSON. `read` is always the sum of delivered, filtered, dead
//! and undelivered.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::limits;
use crate::source::ReadReport;
use standpipe_core::escape::OneLine;
use standpipe_core::event::TotalsSnapshot;
use standpipe_delivery::StreamReport;
use standpipe_delivery::dead_letters::{DeadLetterReport, Reason};
use standpipe_plugin_host::swap::ShadowReport;

/// What became of a run.
///
/// `read` is always the sum of `delivered`, `filtered`, `dead` and
/// `undelivered`: each event is counted once, also where it went to several
/// streams. It is `dead` if any of its records is in the dead letters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Events read: lines that are not blank. Of those that a collector accepted, the ones
    /// that have ended; the others are [`Collected::waiting`].
    pub read: u64,
    /// Events of which every record was accepted by its stream.
    pub delivered: u64,
    /// Events that the plugin had no output for.
    pub filtered: u64,
    /// Events in the dead letters.
    pub dead: u64,
    /// Events that were read but given up, without a trace elsewhere.
    pub undelivered: u64,
    /// Records sent again after a request whose answer was lost: what may have
    /// been written twice.
    pub ambiguous: u64,
    /// What Firehose bills for the accepted records, in kilobytes.
    pub billed_kb: u64,
    /// What it would bill if every event were a record of its own.
    #[serde(rename = "billed_kb_unaggregated")]
    pub billed_kb_unaggregated: u64,
    /// By delivery stream.
    pub streams: BTreeMap<String, StreamReport>,
    /// Dead letters by their reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Dead letters of before that made room for these, for good.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_letters_dropped: u64,
    /// Dead letters that could not be written. Their events are not delivered, or wait
    /// in the spool for the next run.
    #[serde(skip_serializing_if = "is_zero")]
    pub dead_letters_refused: u64,
    /// Dead letters of which a copy went to the stream of dead letters, where
    /// there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_copied: Option<u64>,
    /// Dead letters that are in their files alone, though there is a stream of
    /// dead letters.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_not_copied: Option<u64>,
    /// Why the first of them is not copied, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_not_copied_reason: Option<String>,
    /// What went to the stream of dead letters, by its name; `streams` does not
    /// count it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_letter_streams: BTreeMap<String, StreamReport>,
    /// The file of dead letters that was written last, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_file: Option<PathBuf>,
    /// Letters that a replay left, since only the start of the event is kept.
    #[serde(skip_serializing_if = "is_zero")]
    pub partial_letters: u64,
    /// Lines that a replay could not read as letters, and left.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable_letters: u64,
    /// Letters that a replay left, since the settings do not have their source.
    #[serde(skip_serializing_if = "is_zero")]
    pub unknown_source_letters: u64,
    /// Letters that a replay left, since they are bodies of refused requests.
    #[serde(skip_serializing_if = "is_zero")]
    pub request_letters: u64,
    /// What SDKs sent, where they were listened to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<Collected>,
    /// What a shadow would have decided otherwise, where there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Inputs that a stop left unread.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadInput>,
    /// What went wrong beyond single events.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// Seconds from the start of reading to the last answer.
    pub seconds: f64,
    /// Events read in a second.
    pub events_per_second: f64,
}

/// What SDKs sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Events that were answered with 200.
    pub accepted: u64,
    /// Requests with a write key that no source has, or with none.
    pub unknown_keys: u64,
    /// Events that wait in the spool for the next run.
    pub waiting: u64,
    /// Those among them whose source the settings do not have.
    #[serde(skip_serializing_if = "is_zero")]
    pub held: u64,
    /// The first of these sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_sources: Vec<String>,
    /// Events that the disk lost after they were accepted.
    #[serde(skip_serializing_if = "is_zero")]
    pub corrupt: u64,
    /// Events among those that wait that this version of the program cannot read.
    #[serde(skip_serializing_if = "is_zero")]
    pub unreadable: u64,
}

/// An input that was not read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UnreadInput {
    /// The source.
    pub source: String,
    /// The first line that was not read, counted from 1.
    pub from_line: u64,
}

pub(super) struct Parts {
    pub(super) totals: TotalsSnapshot,
    pub(super) streams: BTreeMap<String, StreamReport>,
    /// What went to the stream of dead letters.
    pub(super) copies: BTreeMap<String, StreamReport>,
    pub(super) dead: DeadLetterReport,
    pub(super) read: ReadReport,
    pub(super) collected: Option<Collected>,
    pub(super) shadow: Option<ShadowReport>,
    pub(super) fault: Option<String>,
    pub(super) elapsed: Duration,
}

impl Summary {
    pub(super) fn new(parts: Parts) -> Self {
        let settled = parts.totals.settled;
        let (streams, copies) = (parts.streams, parts.copies);
        let copied = parts.dead.copies;
        let sum = |count: fn(&StreamReport) -> u64| {
            streams.values().chain(copies.values()).map(count).sum::<u64>()
        };
        let seconds = parts.elapsed.as_secs_f64();
        let unread = parts.read.unread.into_iter();
        let not_opened = parts.read.failed.into_iter();
        let not_opened = not_opened
            .map(|(source, error)| format!("read {source}: {error}: run again with this input"));
        Summary {
            read: parts.totals.read,
            delivered: settled.delivered,
            filtered: settled.filtered,
            dead: settled.dead,
            undelivered: settled.undelivered,
            ambiguous: sum(|stream| stream.ambiguous),
            billed_kb: sum(|stream| stream.billed_kb),
            billed_kb_unaggregated: sum(|stream| stream.billed_kb_unaggregated),
            streams,
            dead_letters: parts.dead.letters,
            dead_letters_dropped: parts.dead.dropped.letters,
            dead_letters_copied: copied.as_ref().map(|report| report.copied),
            dead_letters_not_copied: copied.as_ref().map(|report| report.not_copied),
            dead_letters_not_copied_reason: copied.and_then(|report| report.problem),
            dead_letter_streams: copies,
            dead_letter_file: parts.dead.file,
            partial_letters: parts.read.left.partial,
            unreadable_letters: parts.read.left.unreadable,
            unknown_source_letters: parts.read.left.unknown_source,
            request_letters: parts.read.left.requests,
            dead_letters_refused: parts.dead.refused,
            collected: parts.collected,
            shadow: parts.shadow,
            unread: unread
                .map(|unread| UnreadInput { source: unread.source, from_line: unread.from_line })
                .collect(),
            faults: not_opened.chain(parts.dead.failure).chain(parts.fault).collect(),
            seconds,
            events_per_second: (parts.totals.read as f64 / seconds.max(1e-9)).round(),
        }
    }

    /// The same as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary has string keys")
    }
}

/// For people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Of a collector, events count as read once they have ended: those that still wait
        // in the spool are told beside them.
        match &self.collected {
            None => write!(f, "{} events read", self.read)?,
            Some(Collected { accepted, .. }) => {
                write!(f, "{accepted} events accepted from SDKs, {} processed", self.read)?;
            }
        }
        write!(
            f,
            " in {:.2} s ({} a second): {} delivered, {} filtered, {} dead, {} not delivered",
            self.seconds,
            self.events_per_second,
            self.delivered,
            self.filtered,
            self.dead,
            self.undelivered
        )?;
        match &self.collected {
            Some(Collected { waiting, .. }) if *waiting > 0 => {
                writeln!(f, ", {waiting} wait in the spool for the next run")?;
            }
            _ => writeln!(f)?,
        }
        if !self.streams.is_empty() || !self.dead_letter_streams.is_empty() {
            self.write_streams(f)?;
        }
        if self.billed_kb_unaggregated > self.billed_kb {
            self.write_saving(f)?;
        }
        for (reason, letters) in &self.dead_letters {
            writeln!(f, "dead letters, {reason}: {letters}")?;
        }
        if let Some(file) = &self.dead_letter_file {
            writeln!(f, "dead letters are in {}", file.display())?;
        }
        self.write_copies(f)?;
        self.write_left_letters(f)?;
        if self.ambiguous > 0 {
            writeln!(
                f,
                "{} records were sent again after an answer was lost, and may be there twice",
                self.ambiguous
            )?;
        }
        let problems = self.streams.iter();
        let problems = problems.filter_map(|(name, stream)| Some((name, stream.problem.as_ref()?)));
        for (name, problem) in problems.clone().take(limits::SUMMARY_STREAMS_SHOWN) {
            writeln!(f, "stream {name}: {}", OneLine(problem))?;
        }
        let others = problems.skip(limits::SUMMARY_STREAMS_SHOWN).count();
        if others > 0 {
            writeln!(f, "and {others} more streams that did not accept records")?;
        }
        if let Some(collected) = &self.collected {
            collected.write(f)?;
        }
        if let Some(shadow) = &self.shadow {
            writeln!(
                f,
                "the shadow was not asked about {} events; of the others:",
                shadow.skipped
            )?;
            write!(f, "{}", shadow.comparison)?;
        }
        for unread in &self.unread {
            let source = OneLine(&unread.source);
            writeln!(f, "stopped: {source} was not read from line {}", unread.from_line)?;
        }
        for fault in &self.faults {
            writeln!(f, "fault: {}", OneLine(fault))?;
        }
        Ok(())
    }
}

impl Collected {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.held > 0 {
            writeln!(
                f,
                "{} of the waiting events are held, since no [[sources]] has the name of their source: {:?}",
                self.held, self.unknown_sources
            )?;
        }
        if self.unknown_keys > 0 {
            writeln!(f, "{} requests were refused for their write key", self.unknown_keys)?;
        }
        if self.corrupt > 0 {
            writeln!(
                f,
                "{} accepted events were lost in corrupt files of the spool",
                self.corrupt
            )?;
        }
        if self.unreadable > 0 {
            writeln!(
                f,
                "{} of the waiting events cannot be read by this version of the program, and stay in the spool",
                self.unreadable
            )?;
        }
        Ok(())
    }
}

impl Summary {
    /// Only for a run with aggregation.
    fn write_saving(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (billed, unaggregated) = (self.billed_kb, self.billed_kb_unaggregated);
        let times = unaggregated as f64 / billed.max(1) as f64;
        writeln!(
            f,
            "billed as {billed} KB; without aggregation it would be {unaggregated} KB ({times:.1} times as much)"
        )
    }

    fn write_left_letters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (count, what) in [
            (self.dead_letters_dropped, "dead letters of before were dropped to make room"),
            (self.partial_letters, "letters were left: only the start of the event is kept"),
            (self.unreadable_letters, "lines are no letters, and were left"),
            (
                self.unknown_source_letters,
                "letters were left: no [[sources]] has the name of their source",
            ),
            (
                self.request_letters,
                "dead letters were left: they are bodies of refused requests, which are to be sent to the collector again",
            ),
            (self.dead_letters_refused, "dead letters could not be written"),
        ] {
            if count > 0 {
                writeln!(f, "{count} {what}")?;
            }
        }
        Ok(())
    }

    fn write_copies(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copied = self.dead_letters_copied.unwrap_or(0);
        let not_copied = self.dead_letters_not_copied.unwrap_or(0);
        for (name, stream) in &self.dead_letter_streams {
            if copied > 0 {
                writeln!(f, "dead letters copied to the stream {name}: {copied}")?;
            }
            if not_copied > 0 {
                let reason = &self.dead_letters_not_copied_reason;
                let reason = reason.as_ref().or(stream.problem.as_ref()).map(String::as_str);
                let reason = reason.unwrap_or("there was no time left for them");
                writeln!(
                    f,
                    "dead letters not copied to the stream {name}, and in the files alone: {not_copied}: {}",
                    OneLine(reason)
                )?;
            }
        }
        Ok(())
    }

    fn write_streams(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let copies = self.dead_letter_streams.iter();
        let copies = copies.map(|(name, stream)| (format!("{name} (dead letters)"), stream));
        let streams = self.streams.iter().map(|(name, stream)| (name.clone(), stream));
        let (streams, others) = shown(streams.chain(copies).collect());
        let widths = streams.iter().map(|(name, _)| name.len());
        let width = widths.max().unwrap_or(0).max("stream".len());
        writeln!(
            f,
            "{:width$}  {:>12} {:>12} {:>15} {:>9} {:>9}",
            "stream", "events", "records", "bytes", "requests", "retries"
        )?;
        for (name, stream) in streams {
            writeln!(
                f,
                "{name:width$}  {:>12} {:>12} {:>15} {:>9} {:>9}",
                stream.events, stream.records, stream.bytes, stream.requests, stream.retries
            )?;
        }
        if others.0 > 0 {
            writeln!(f, "and {} more streams with {} events", others.0, others.1)?;
        }
        Ok(())
    }
}

/// The streams with the most events, in the order of before, and how many others there
/// are with how many events.
fn shown(
    mut streams: Vec<(String, &StreamReport)>,
) -> (Vec<(String, &StreamReport)>, (usize, u64)) {
    let Some(others) = streams.len().checked_sub(limits::SUMMARY_STREAMS_SHOWN) else {
        return (streams, (0, 0));
    };
    let mut counts: Vec<_> = streams.iter().map(|(_, stream)| stream.events).collect();
    counts.sort_unstable();
    let (most, mut left) = (counts[..others].last().copied(), others);
    let mut events = 0;
    streams.retain(|(_, stream)| {
        let is_other = left > 0 && most.is_some_and(|most| stream.events <= most);
        left -= usize::from(is_other);
        events += if is_other { stream.events } else { 0 };
        !is_other
    });
    (streams, (others, events))
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_streams_with_the_most_events_are_shown_and_the_others_summed_up() {
        let reports: Vec<_> = (0..limits::SUMMARY_STREAMS_SHOWN as u64 + 5)
            .map(|number| StreamReport { events: (number % 10) + 1, ..StreamReport::default() })
            .collect();
        let named = |count: usize| {
            let reports = reports[..count].iter().enumerate();
            reports.map(|(at, report)| (format!("{at:03}"), report)).collect::<Vec<_>>()
        };
        let most = limits::SUMMARY_STREAMS_SHOWN;
        assert_eq!(shown(named(most)), (named(most), (0, 0)));
        let (streams, others) = shown(named(most + 5));
        // Of the 11 with one event each, five.
        assert_eq!((streams.len(), others), (most, (5, 5)));
        assert!(streams.is_sorted_by_key(|(name, _)| name.clone()));
    }
}
