//! Formats a comparison for people and for programs.

use std::fmt;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{ChangeKind, ChangeSample, Comparison};

impl ChangeKind {
    fn words(self) -> &'static str {
        match self {
            ChangeKind::Failed => "newly failing",
            ChangeKind::Rejected => "newly rejected",
            ChangeKind::Filtered => "newly filtered",
            ChangeKind::Delivered => "newly delivered",
            ChangeKind::Moved => "to other streams",
            ChangeKind::Payload => "payload changed",
        }
    }
}

impl Serialize for Comparison {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut report = serializer.serialize_map(Some(ChangeKind::ALL.len() + 4))?;
        report.serialize_entry("compared", &self.compared)?;
        report.serialize_entry("same", &(self.compared - self.changed()))?;
        for kind in ChangeKind::ALL {
            report.serialize_entry(&kind, &self.count(kind))?;
        }
        report.serialize_entry("changes", &self.changes())?;
        report.serialize_entry("events_of_further_changes", &self.beyond)?;
        report.end()
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>12}  events compared", self.compared)?;
        writeln!(f, "{:>12}  same", self.compared - self.changed())?;
        for kind in ChangeKind::ALL {
            writeln!(f, "{:>12}  {}", self.count(kind), kind.words())?;
        }
        for change in self.changes() {
            let (kind, old, new) = (change.kind.words(), change.old, change.new);
            writeln!(f, "\n{kind}: {old} -> {new}: {} events", change.events)?;
            for sample in change.samples {
                writeln!(f, "  {sample}")?;
            }
        }
        if self.beyond > 0 {
            writeln!(f, "\nand {} events of further changes", self.beyond)?;
        }
        Ok(())
    }
}

impl fmt::Display for ChangeSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.source, self.line)?;
        for (label, value) in [("type", &self.message_type), ("event", &self.name)] {
            if let Some(value) = value {
                write!(f, "  {label} {value:?}")?;
            }
        }
        if let Some(payload) = &self.payload {
            write!(
                f,
                "  payload to {} differs from byte {} ({} -> {} bytes)",
                payload.stream, payload.differs_at, payload.old_bytes, payload.new_bytes
            )?;
        }
        if let Some(reason) = &self.reason {
            write!(f, "  {reason}")?;
        }
        Ok(())
    }
}
