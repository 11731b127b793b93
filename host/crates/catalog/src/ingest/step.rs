//! A step of a catalog run as OpenMetadata counts its own: records, updates, warnings, failures,
//! and whether it ended early, in which case an unknown number is missing.

use std::fmt;

use serde::Serialize;

use crate::Inventory;

/// A part of a run, counted as OpenMetadata counts its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct IngestStep {
    /// `Source`, `Sink`, ...
    pub name: String,
    /// What went through it.
    pub records: usize,
    /// What was brought up to date.
    pub updated: usize,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// What the patterns left out.
    pub filtered: usize,
    /// What could not be done.
    pub failures: Vec<IngestFailure>,
    /// Whether it ended early, so that an unknown number is missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_cut_off: bool,
}

/// Something that could not be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IngestFailure {
    /// Who failed.
    pub from: String,
    /// On what.
    pub entity: String,
    /// How.
    pub message: String,
}

impl IngestFailure {
    /// Put one together.
    pub fn new(from: &str, entity: &str, error: &impl fmt::Display) -> Self {
        IngestFailure {
            from: from.to_owned(),
            entity: entity.to_owned(),
            message: error.to_string(),
        }
    }
}

impl IngestStep {
    /// One that has done nothing yet.
    pub fn new(name: &str) -> Self {
        IngestStep { name: name.to_owned(), ..IngestStep::default() }
    }

    /// Adds something that could not be done.
    pub fn add_failure(&mut self, from: &str, entity: &str, error: &impl fmt::Display) {
        self.failures.push(IngestFailure::new(from, entity, error));
    }

    /// What was read.
    pub fn of_inventory(inventory: &Inventory) -> Self {
        let unread = inventory.unread.iter();
        let vanished = inventory
            .vanished
            .iter()
            .map(|name| format!("{name} was deleted while streams were read"));
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

    /// How much of it succeeded, of 100: of what is known to have been there to do. A step
    /// that had nothing to do succeeds.
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
