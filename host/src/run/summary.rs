//! The summary of a run, as text and as JSON.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use crate::limits;
use crate::source::{ReadReport, UnreadInput};
use standpipe_core::escape::OneLine;
use standpipe_core::event::TotalsSnapshot;
use standpipe_core::settings::is_default;
use standpipe_delivery::StreamReport;
use standpipe_delivery::dead_letters::{DeadLetterReport, Reason};
use standpipe_plugin_host::swap::ShadowReport;

/// The summary of a run.
///
/// `read` is the sum of `delivered`, `filtered`, `dead` and `undelivered`. Each event counts
/// once, also if it went to several streams. It is `dead` if any of its records is a dead letter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Events read: lines that are not blank. Of a collector's events, those that are settled;
    /// the others are [`CollectorSummary::waiting`].
    pub read: u64,
    /// Events whose records were all accepted by their streams.
    pub delivered: u64,
    /// Events without an output of the plugin.
    pub filtered: u64,
    /// Events that became dead letters.
    pub dead: u64,
    /// Events that were read, but neither delivered nor written to dead letters.
    pub undelivered: u64,
    /// Records sent again after the response to a request was lost. They may be stored twice.
    pub ambiguous: u64,
    /// The billed size of the accepted records, in kilobytes.
    pub billed_kb: u64,
    /// The billed size without aggregation.
    #[serde(rename = "billed_kb_unpacked")]
    pub billed_kb_unaggregated: u64,
    /// Reports by delivery stream.
    pub streams: BTreeMap<String, StreamReport>,
    /// Dead letters by their reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Older dead letters that were dropped to make room.
    #[serde(skip_serializing_if = "is_default")]
    pub dead_letters_dropped: u64,
    /// Dead letters that could not be written. Their events are undelivered, or wait in the
    /// spool for the next run.
    #[serde(skip_serializing_if = "is_default")]
    pub dead_letters_refused: u64,
    /// Dead letters copied to the dead-letter stream, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_copied: Option<u64>,
    /// Dead letters that could not be copied to the dead-letter stream. They are in the files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_not_copied: Option<u64>,
    /// Why the first of them was not copied, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letters_not_copied_reason: Option<String>,
    /// The report of the dead-letter stream, by its name. `streams` does not include it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub dead_letter_streams: BTreeMap<String, StreamReport>,
    /// The file of dead letters that was written last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dead_letter_file: Option<PathBuf>,
    /// Dead letters that a replay skipped: they hold only the start of the event.
    #[serde(skip_serializing_if = "is_default")]
    pub partial_letters: u64,
    /// Lines that a replay skipped: they are not dead letters.
    #[serde(skip_serializing_if = "is_default")]
    pub unreadable_letters: u64,
    /// Dead letters that a replay skipped: their source is not in the settings.
    #[serde(skip_serializing_if = "is_default")]
    pub unknown_source_letters: u64,
    /// Dead letters that a replay skipped: they are bodies of refused requests.
    #[serde(skip_serializing_if = "is_default")]
    pub request_letters: u64,
    /// Dead letters that a replay skipped: they are messages of a queue that cannot be decoded.
    #[serde(skip_serializing_if = "is_default")]
    pub message_letters: u64,
    /// The counts of the collector, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collected: Option<CollectorSummary>,
    /// The counts of the queue, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueSummary>,
    /// The comparison with the shadow, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowReport>,
    /// Inputs that were not read to their end because of a stop.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unread: Vec<UnreadInput>,
    /// Errors that no single event caused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<String>,
    /// Seconds from the start of reading to the last response.
    pub seconds: f64,
    /// Events read per second.
    pub events_per_second: f64,
}

/// The counts of a collector.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CollectorSummary {
    /// Events accepted with status 200.
    pub accepted: u64,
    /// Requests with an unknown write key, or without one.
    pub unknown_keys: u64,
    /// Events that wait in the spool for the next run.
    pub waiting: u64,
    /// Waiting events whose source is not in the settings.
    #[serde(skip_serializing_if = "is_default")]
    pub held: u64,
    /// The first of these sources.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_sources: Vec<String>,
    /// Events that the disk lost after they were accepted.
    #[serde(skip_serializing_if = "is_default")]
    pub corrupt: u64,
    /// Waiting events that this version of the program cannot read.
    #[serde(skip_serializing_if = "is_default")]
    pub unreadable: u64,
}

/// The counts of a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct QueueSummary {
    /// Whether this process mapped events. If not, `delivered` counts the events that the queue has.
    pub is_mapper: bool,
    /// Messages that the queue has stored.
    pub published: u64,
    /// Messages that the queue had lost, and that were published again.
    pub republished: u64,
    /// Messages received, without repeated deliveries.
    pub received: u64,
    /// Deliveries of messages that the queue had delivered before.
    pub redelivered: u64,
    /// Repeated deliveries that were recognized and not processed again.
    pub duplicates: u64,
    /// Events that were dropped because an event with the same `messageId` had been processed. They are not in `read`.
    #[serde(skip_serializing_if = "is_default")]
    pub duplicate_events: u64,
}

impl Summary {
    /// `elapsed` is the time since the start of reading. `copies` is the report of the
    /// dead-letter stream.
    pub(super) fn new(
        elapsed: Duration,
        totals: TotalsSnapshot,
        streams: BTreeMap<String, StreamReport>,
        copies: BTreeMap<String, StreamReport>,
        dead: DeadLetterReport,
        read: ReadReport,
    ) -> Self {
        let settled = totals.settled;
        let copied = dead.copies;
        let sum = |count: fn(&StreamReport) -> u64| {
            streams.values().chain(copies.values()).map(count).sum::<u64>()
        };
        let seconds = elapsed.as_secs_f64();
        let not_opened = read.failed.into_iter();
        let not_opened = not_opened.map(|(source, error)| {
            format!("failed to read {source}: {error}: run again with this input")
        });
        Summary {
            read: totals.read,
            delivered: settled.delivered,
            filtered: settled.filtered,
            dead: settled.dead,
            undelivered: settled.undelivered,
            ambiguous: sum(|stream| stream.ambiguous),
            billed_kb: sum(|stream| stream.billed_kb),
            billed_kb_unaggregated: sum(|stream| stream.billed_kb_unaggregated),
            streams,
            dead_letters: dead.dead_letters,
            dead_letters_dropped: dead.dropped.dead_letters,
            dead_letters_copied: copied.as_ref().map(|report| report.copied),
            dead_letters_not_copied: copied.as_ref().map(|report| report.not_copied),
            dead_letters_not_copied_reason: copied.and_then(|report| report.problem),
            dead_letter_streams: copies,
            dead_letter_file: dead.file,
            partial_letters: read.left.partial,
            unreadable_letters: read.left.unreadable,
            unknown_source_letters: read.left.unknown_source,
            request_letters: read.left.requests,
            message_letters: read.left.messages,
            dead_letters_refused: dead.refused,
            collected: None,
            queue: None,
            shadow: None,
            unread: read.unread,
            faults: not_opened.chain(dead.failure).collect(),
            seconds,
            events_per_second: (totals.read as f64 / seconds.max(1e-9)).round(),
        }
    }

    /// Returns the summary as JSON on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a summary has string keys")
    }
}

/// Writes the text for people.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Events of a collector count as read once they are settled. Those in the spool are
        // reported separately.
        match &self.collected {
            None => write!(f, "{} events read", self.read)?,
            Some(CollectorSummary { accepted, .. }) => {
                write!(f, "{accepted} events accepted from SDKs, {} processed", self.read)?;
            }
        }
        let delivered = match &self.queue {
            Some(queue) if !queue.is_mapper => "passed to the queue",
            _ => "delivered",
        };
        write!(
            f,
            " in {:.2} s ({} per second): {} {delivered}, {} filtered, {} dead, {} not {delivered}",
            self.seconds,
            self.events_per_second,
            self.delivered,
            self.filtered,
            self.dead,
            self.undelivered
        )?;
        match &self.collected {
            Some(CollectorSummary { waiting, .. }) if *waiting > 0 => {
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
            writeln!(f, "the shadow skipped {} events; of the others:", shadow.skipped)?;
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

impl CollectorSummary {
    fn write(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.held > 0 {
            writeln!(
                f,
                "{} of the waiting events are held: no [[sources]] has the name of their source: {:?}",
                self.held, self.unknown_sources
            )?;
        }
        write_counts(
            f,
            &[
                (self.unknown_keys, "requests were refused for their write key"),
                (self.corrupt, "accepted events were lost in corrupt files of the spool"),
                (
                    self.unreadable,
                    "of the waiting events cannot be read by this version of the program, and stay in the spool",
                ),
            ],
        )
    }
}

/// Writes a line for each count that is not 0.
fn write_counts(f: &mut fmt::Formatter<'_>, counts: &[(u64, &str)]) -> fmt::Result {
    for (count, what) in counts.iter().filter(|(count, _)| *count > 0) {
        writeln!(f, "{count} {what}")?;
    }
    Ok(())
}

impl Summary {
    /// Writes what aggregation saved.
    fn write_saving(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (billed, unaggregated) = (self.billed_kb, self.billed_kb_unaggregated);
        let times = unaggregated as f64 / billed.max(1) as f64;
        writeln!(
            f,
            "billed as {billed} KB; without aggregation it would be {unaggregated} KB ({times:.1} times as much)"
        )
    }

    fn write_left_letters(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_counts(
            f,
            &[
                (self.dead_letters_dropped, "older dead letters were dropped to make room"),
                (
                    self.partial_letters,
                    "dead letters were skipped: they hold only the start of the event",
                ),
                (self.unreadable_letters, "lines were skipped: they are not dead letters"),
                (
                    self.unknown_source_letters,
                    "dead letters were skipped: no [[sources]] has the name of their source",
                ),
                (
                    self.request_letters,
                    "dead letters were skipped: they are bodies of refused requests; send them to the collector again",
                ),
                (
                    self.message_letters,
                    "dead letters were skipped: they are messages that cannot be decoded; replay them with the version of the program that published them",
                ),
                (self.dead_letters_refused, "dead letters could not be written"),
                (
                    self.ambiguous,
                    "records were sent again after a response was lost, and may be stored twice",
                ),
            ],
        )
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
                let reason = reason.unwrap_or("the drain timeout ended");
                writeln!(
                    f,
                    "dead letters not copied to the stream {name}, and only in the files: {not_copied}: {}",
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
        let (streams, others) = busiest_streams(streams.chain(copies).collect());
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

/// Returns the streams with the most events, in their order, and the number of the others with
/// that of their events.
fn busiest_streams(
    streams: Vec<(String, &StreamReport)>,
) -> (Vec<(String, &StreamReport)>, (usize, u64)) {
    let mut shown: Vec<_> = streams.into_iter().enumerate().collect();
    shown.sort_by_key(|(at, (_, stream))| Reverse((stream.events, *at)));
    let others = shown.split_off(shown.len().min(limits::SUMMARY_STREAMS_SHOWN));
    shown.sort_by_key(|(at, _)| *at);
    let events = others.iter().map(|(_, (_, stream))| stream.events).sum();
    (shown.into_iter().map(|(_, stream)| stream).collect(), (others.len(), events))
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
        assert_eq!(busiest_streams(named(most)), (named(most), (0, 0)));
        let (streams, others) = busiest_streams(named(most + 5));
        // Five of the 11 streams with one event are listed.
        assert_eq!((streams.len(), others), (most, (5, 5)));
        assert!(streams.is_sorted_by_key(|(name, _)| name.clone()));
    }
}
