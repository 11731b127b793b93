//! Decides from a stream's description whether events may share records. Whatever is not known
//! counts as unsafe. A pure function.

use std::borrow::Cow;

use serde::Serialize;

use super::description::{Description, Split, Step, Target, TargetKind};
use crate::limits;

/// What `pack = "auto"` came to for a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackDecision {
    /// What is done.
    pub decision: PackChoice,
    /// The reason, for people.
    pub why: Cow<'static, str>,
}

/// Whether events share records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PackChoice {
    /// They do, which is the cheaper.
    Packed,
    /// Each is a record of its own, which is safe with whatever reads it.
    Off,
}

impl PackDecision {
    pub(super) fn packed(why: impl Into<Cow<'static, str>>) -> Self {
        PackDecision { decision: PackChoice::Packed, why: why.into() }
    }

    pub(super) fn off(why: impl Into<Cow<'static, str>>) -> Self {
        PackDecision { decision: PackChoice::Off, why: why.into() }
    }

    /// The size of a record, if events share them.
    pub fn bytes_max(&self) -> Option<usize> {
        match self.decision {
            PackChoice::Packed => Some(limits::PACK_AUTO_BYTES),
            PackChoice::Off => None,
        }
    }
}

/// The cheapest way that changes nothing for whatever reads the stream.
///
/// Events are packed only where all that happens to a record is known, and known
/// not to care how many events are in it. What is new at Firehose therefore goes
/// unpacked until somebody has looked at it.
pub fn decide(description: &Description) -> PackDecision {
    if description.targets.is_empty() {
        return PackDecision::off("no destination of the stream is shown");
    }
    if let Some(objection) = description.targets.iter().find_map(objection) {
        return PackDecision::off(objection);
    }
    if description.targets.iter().any(splits) {
        return PackDecision::packed("the stream splits records into their events");
    }
    PackDecision::packed(match description.targets[0].kind {
        TargetKind::Redshift => "Redshift reads files in which records stand one after the other",
        _ => "in S3 records stand one after the other in a file",
    })
}

/// What the operator should know, whatever the decision.
///
/// A record that Firehose splits itself is put together again without newlines of
/// ours, so that only whole records get a second one.
pub(super) fn hint(description: &Description) -> Option<&'static str> {
    let doubles = |target: &Target| target.steps.contains(&Step::AppendDelimiter);
    let doubled = description.targets.iter().any(|target| doubles(target) && !splits(target));
    doubled.then_some(
        "the stream's processor AppendDelimiterToRecord adds a newline to records that end with one already: remove it there, or set newline = false and pack = \"off\"",
    )
}

fn objection(target: &Target) -> Option<Cow<'static, str>> {
    let splits = splits(target);
    kind_objection(target.kind)
        .map(Cow::Borrowed)
        .or_else(|| target.steps.iter().find_map(|step| step_objection(step, splits)))
}

fn splits(target: &Target) -> bool {
    let splits = |step: &Step| matches!(step, Step::DeAggregation(Split::Json | Split::Newline));
    target.steps.iter().any(splits)
}

/// Why a destination takes a record for one item.
fn kind_objection(kind: TargetKind) -> Option<&'static str> {
    match kind {
        // Firehose puts records one after the other into an object, so that it
        // has the same bytes either way.
        TargetKind::S3 | TargetKind::Redshift => None,
        TargetKind::OpenSearch => Some("OpenSearch takes a record for one document"),
        TargetKind::OpenSearchServerless => {
            Some("OpenSearch Serverless takes a record for one document")
        }
        TargetKind::Elasticsearch => Some("Elasticsearch takes a record for one document"),
        TargetKind::Splunk => Some("Splunk takes a record for one event"),
        TargetKind::HttpEndpoint => Some("an HTTP endpoint may take a record for one event"),
        TargetKind::Iceberg => Some("Iceberg takes a record for one row"),
        TargetKind::Snowflake => Some("Snowflake takes a record for one row"),
        TargetKind::LocalFile => Some("a local file is not billed"),
        TargetKind::Unknown => Some("the stream has a destination of an unknown kind"),
    }
}

/// Why a step depends on one event in a record. Firehose splits records before
/// any function or partitioning sees them.
fn step_objection(step: &Step, splits: bool) -> Option<Cow<'static, str>> {
    let why = match step {
        Step::AppendDelimiter | Step::DeAggregation(Split::Json | Split::Newline) => return None,
        Step::MetadataExtraction | Step::DynamicPartitioning if splits => return None,
        Step::MetadataExtraction => {
            "keys are extracted from whole records, without RecordDeAggregation before"
        }
        Step::DynamicPartitioning => {
            "whole records are partitioned, without RecordDeAggregation before"
        }
        Step::DeAggregation(Split::Other) => "the stream splits records, but not at newlines",
        Step::Lambda => "a Lambda function gets whole records, and may not split them",
        Step::FormatConversion => {
            "converting packed records to Parquet or ORC is not known to be safe"
        }
        Step::Decompression => "the stream decompresses records",
        Step::CloudWatchLogs => "the stream reads records as CloudWatch Logs",
        Step::Unknown(name) => {
            return Some(format!("the stream's processor {name:?} is not known").into());
        }
    };
    Some(Cow::Borrowed(why))
}

#[cfg(test)]
mod tests;
