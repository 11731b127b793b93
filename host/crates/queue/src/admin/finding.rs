//! What a check of a queue finds: each property with its outcome, and advice where something should change.

use serde::Serialize;

/// A property of a queue, and whether it is as Standpipe needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueueFinding {
    /// What was checked.
    pub property: String,
    /// Whether it is as Standpipe needs it.
    pub outcome: FindingOutcome,
    /// What was found.
    pub detail: String,
    /// What to do, if something should be done.
    pub advice: Option<String>,
}

/// Whether a property of a queue is as Standpipe needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingOutcome {
    /// It is.
    Ok,
    /// Events are safe, but may be delayed, repeated, or depend on their collector for longer.
    Warning,
    /// It is not: events would be lost or refused, or would not be delivered.
    Failed,
    /// It could not be checked.
    Skipped,
}

/// The findings of a check, in the order in which they were made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct QueueFindings(pub(crate) Vec<QueueFinding>);

impl QueueFindings {
    pub(crate) fn ok(&mut self, property: &str, detail: impl Into<String>) {
        self.add(property, FindingOutcome::Ok, detail, None);
    }

    pub(crate) fn skipped(&mut self, property: &str, detail: impl Into<String>, advice: &str) {
        self.add(property, FindingOutcome::Skipped, detail, Some(advice));
    }

    pub(crate) fn warning(&mut self, property: &str, detail: impl Into<String>, advice: &str) {
        self.add(property, FindingOutcome::Warning, detail, Some(advice));
    }

    pub(crate) fn failed(&mut self, property: &str, detail: impl Into<String>, advice: &str) {
        self.add(property, FindingOutcome::Failed, detail, Some(advice));
    }

    pub(crate) fn add(
        &mut self,
        property: &str,
        outcome: FindingOutcome,
        detail: impl Into<String>,
        advice: Option<&str>,
    ) {
        self.0.push(QueueFinding {
            property: property.to_owned(),
            outcome,
            detail: detail.into(),
            advice: advice.map(str::to_owned),
        });
    }
}
