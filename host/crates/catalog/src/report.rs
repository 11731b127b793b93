//! The outcome of each edge. For missing entities, it includes the names that were tried.

mod label;
mod table;

pub use label::asset_label;
pub use table::report_table;

use serde::Serialize;

use super::openmetadata::EdgeWrite;

/// The outcomes of all edges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineageReport {
    /// A line for each edge.
    pub lines: Vec<EdgeReport>,
}

/// The outcome of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeReport {
    /// The stream.
    pub stream: String,
    /// The source of the edge. `None` if only direct writers feed the stream.
    pub from: Option<String>,
    /// The destination of the records.
    pub to: String,
    /// The outcome.
    #[serde(flatten)]
    pub fate: EdgeOutcome,
}

/// The outcome of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum EdgeOutcome {
    /// Both ends were found, and the edge exists.
    Resolved {
        /// How the edge was written.
        written: EdgeWrite,
        /// The matching names, if the first name that was tried did not match.
        matched: Vec<String>,
    },
    /// The edge follows AWS's description. Its ends were not looked up on a server.
    Drawn,
    /// An end is not in OpenMetadata.
    NotFound {
        /// The end.
        end: String,
        /// The names that were tried.
        tried: Vec<String>,
    },
    /// An end may be one of several entities.
    Ambiguous {
        /// The end.
        end: String,
        /// The full names of these entities.
        candidates: Vec<String>,
    },
    /// OpenMetadata has no type of entity for one of the ends.
    Unsupported {
        /// The end.
        end: String,
        /// The reason.
        why: String,
    },
    /// Only direct writers feed the stream, so no edge starts anywhere.
    DirectPut,
    /// The server failed.
    Failed {
        /// The error.
        error: String,
    },
}

/// The number of edges by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EdgeTotals {
    /// Edges that were found or drawn.
    pub resolved: usize,
    /// Of these, edges that this run wrote, or would write without a dry run.
    pub written: usize,
    /// Edges with an end that was not found.
    pub not_found: usize,
    /// Edges with an ambiguous end.
    pub ambiguous: usize,
    /// Edges with an end that OpenMetadata does not support.
    pub unsupported: usize,
    /// Streams that only direct writers feed.
    pub direct_put: usize,
    /// Edges for which the server failed.
    pub failed: usize,
}

impl EdgeOutcome {
    /// The word for the outcome in tables.
    pub fn word(&self) -> &'static str {
        match self {
            EdgeOutcome::Resolved { .. } => "resolved",
            EdgeOutcome::Drawn => "drawn",
            EdgeOutcome::NotFound { .. } => "not found",
            EdgeOutcome::Ambiguous { .. } => "ambiguous",
            EdgeOutcome::Unsupported { .. } => "unsupported",
            EdgeOutcome::DirectPut => "direct put",
            EdgeOutcome::Failed { .. } => "failed",
        }
    }

    /// Details for people.
    pub fn details(&self) -> String {
        match self {
            EdgeOutcome::Resolved { written, matched } => {
                let written = match written {
                    EdgeWrite::Created => "created".to_owned(),
                    EdgeWrite::Updated => "updated".to_owned(),
                    EdgeWrite::Unchanged => "unchanged".to_owned(),
                    EdgeWrite::Kept { pipeline } => {
                        format!("exists, with the pipeline {pipeline}")
                    }
                    EdgeWrite::Would => "to be written".to_owned(),
                };
                let matched = matched.iter().map(|matched| format!("by {matched}"));
                [written].into_iter().chain(matched).collect::<Vec<_>>().join("; ")
            }
            EdgeOutcome::Drawn => String::new(),
            EdgeOutcome::NotFound { end, tried } => format!("{end}: tried {}", tried.join(", ")),
            EdgeOutcome::Ambiguous { end, candidates } => {
                format!("{end}: could be {}", candidates.join(", "))
            }
            EdgeOutcome::Unsupported { end, why } => format!("{end}: {why}"),
            EdgeOutcome::DirectPut => {
                "fed by Direct PUT: there is no source to start from".to_owned()
            }
            EdgeOutcome::Failed { error } => error.clone(),
        }
    }
}

impl LineageReport {
    /// The number of edges by outcome.
    pub fn totals(&self) -> EdgeTotals {
        let mut totals = EdgeTotals::default();
        for line in &self.lines {
            match &line.fate {
                EdgeOutcome::Resolved { written, .. } => {
                    totals.resolved += 1;
                    let is_written = matches!(
                        written,
                        EdgeWrite::Created | EdgeWrite::Updated | EdgeWrite::Would
                    );
                    totals.written += usize::from(is_written);
                }
                EdgeOutcome::Drawn => totals.resolved += 1,
                EdgeOutcome::NotFound { .. } => totals.not_found += 1,
                EdgeOutcome::Ambiguous { .. } => totals.ambiguous += 1,
                EdgeOutcome::Unsupported { .. } => totals.unsupported += 1,
                EdgeOutcome::DirectPut => totals.direct_put += 1,
                EdgeOutcome::Failed { .. } => totals.failed += 1,
            }
        }
        totals
    }

    /// The number of missing edges: an end was not found or is ambiguous, or the server failed.
    ///
    /// Unsupported entities (Splunk, HTTP endpoints) and streams with Direct PUT do not count,
    /// because no change could resolve them.
    pub fn unresolved(&self) -> usize {
        let totals = self.totals();
        totals.not_found + totals.ambiguous + totals.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(fate: EdgeOutcome) -> EdgeReport {
        EdgeReport { stream: "s".into(), from: None, to: "s3://b".into(), fate }
    }

    #[test]
    fn what_nobody_can_change_is_not_unresolved() {
        let end = String::from("e");
        let written = EdgeWrite::Created;
        let lines = vec![
            line(EdgeOutcome::Resolved { written, matched: vec![] }),
            line(EdgeOutcome::DirectPut),
            line(EdgeOutcome::Unsupported { end: end.clone(), why: "w".into() }),
            line(EdgeOutcome::NotFound { end: end.clone(), tried: vec!["a.b".into()] }),
            line(EdgeOutcome::Ambiguous { end, candidates: vec![] }),
            line(EdgeOutcome::Failed { error: "x".into() }),
        ];
        let report = LineageReport { lines };
        assert_eq!(report.unresolved(), 3);
        let totals = report.totals();
        assert_eq!((totals.resolved, totals.written, totals.direct_put), (1, 1, 1));
        assert_eq!(totals.failed, 1);
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["lines"][3]["outcome"], "not_found");
        assert_eq!(json["lines"][3]["tried"][0], "a.b");
        let shown = report_table(&report);
        assert!(shown.contains("e: tried a.b") && shown.contains("not found: 1"), "{shown}");
    }
}
