//! A step of a catalog run with OpenMetadata's counts: records, updates, warnings, failures, and
//! whether it ended early, so that an unknown number is missing.

use std::fmt;

use serde::Serialize;

use crate::Inventory;

/// A step of a run with OpenMetadata's counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestStep {
    /// The name: `Source`, `Sink`, ...
    pub name: String,
    /// Number of processed records.
    pub records: usize,
    /// Number of updated records.
    pub updated: usize,
    /// Warnings for people.
    pub warnings: Vec<String>,
    /// Number of excluded records.
    pub filtered: usize,
    /// The failures.
    pub failures: Vec<IngestFailure>,
    /// Whether the step ended early, so that an unknown number is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut_off: bool,
}

/// A failure.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngestFailure {
    /// The origin of the failure.
    pub from: String,
    /// The affected entity.
    pub entity: String,
    /// The message.
    pub message: String,
}

impl IngestFailure {
    /// Creates a failure.
    pub fn new(from: &str, entity: &str, error: &impl fmt::Display) -> Self {
        IngestFailure {
            from: from.to_owned(),
            entity: entity.to_owned(),
            message: error.to_string(),
        }
    }
}

impl IngestStep {
    /// Creates a step without counts.
    pub fn new(name: &str) -> Self {
        IngestStep { name: name.to_owned(), ..IngestStep::default() }
    }

    /// Adds a failure.
    pub fn add_failure(&mut self, from: &str, entity: &str, error: &impl fmt::Display) {
        self.failures.push(IngestFailure::new(from, entity, error));
    }

    /// The step of reading an inventory.
    pub fn of_inventory(inventory: &Inventory) -> Self {
        let unread = inventory.unread.iter();
        let vanished = inventory
            .vanished
            .iter()
            .map(|name| format!("{name} was deleted while the streams were read"));
        let incomplete = (!inventory.is_complete).then(|| {
            let message =
                "the list is incomplete; an unknown number of streams is missing: see the warnings";
            IngestFailure::new("Firehose", "the list of delivery streams", &message)
        });
        IngestStep {
            name: "Source".to_owned(),
            records: inventory.streams.len(),
            updated: 0,
            warnings: inventory.warnings.iter().cloned().chain(vanished).collect(),
            filtered: inventory.filtered.len(),
            failures: unread
                .map(|unread| IngestFailure::new("Firehose", &unread.name, &unread.cause))
                .chain(incomplete)
                .collect(),
            is_cut_off: !inventory.is_complete,
        }
    }

    /// The percentage of known items that succeeded. A step without items succeeds.
    pub fn success_percent(&self) -> f64 {
        let done = (self.records + self.updated) as f64;
        let all = done + self.failures.len() as f64;
        match all == 0.0 {
            true if self.is_cut_off => 0.0,
            true => 100.0,
            false => done * 100.0 / all,
        }
    }
}
