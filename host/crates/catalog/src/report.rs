//! The outcome of each edge, with the names that were tried for those that are missing.

mod label;
mod table;

pub use label::asset_label;
pub use table::report_table;

use serde::Serialize;

use super::openmetadata::EdgeWrite;

/// The outcomes of all edges.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct LineageReport {
    /// A line for each of them.
    pub lines: Vec<EdgeReport>,
}

/// The outcome of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeReport {
    /// The stream.
    pub stream: String,
    /// What feeds it; none where only writers do.
    pub from: Option<String>,
    /// Where its records end up.
    pub to: String,
    /// What became of it.
    #[serde(flatten)]
    pub fate: EdgeOutcome,
}

/// The outcome of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum EdgeOutcome {
    /// Both ends were found, and the edge is there.
    Resolved {
        /// What was written.
        written: EdgeWrite,
        /// What matched, where it was not the first thing that was tried.
        matched: Vec<String>,
    },
    /// The edge is as AWS describes it; no server was asked about its ends.
    Drawn,
    /// An end is not in OpenMetadata.
    NotFound {
        /// Which one.
        end: String,
        /// What was tried.
        tried: Vec<String>,
    },
    /// An end may be several things.
    Ambiguous {
        /// Which one.
        end: String,
        /// Their full names.
        candidates: Vec<String>,
    },
    /// OpenMetadata has no entity for one of the ends.
    Unsupported {
        /// Which one.
        end: String,
        /// Why.
        why: String,
    },
    /// Nothing but writers feeds the stream: there is nothing for an edge to begin
    /// at.
    DirectPut,
    /// The server failed.
    Failed {
        /// How.
        error: String,
    },
}

/// How many edges there are of each kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct EdgeTotals {
    /// Found, or drawn.
    pub resolved: usize,
    /// Of these, written by this run, or in a dry run to be written.
    pub written: usize,
    /// With an end that was not found.
    pub not_found: usize,
    /// With an end that may be several things.
    pub ambiguous: usize,
    /// With an end that OpenMetadata cannot have.
    pub unsupported: usize,
    /// Without anything that feeds the stream.
    pub direct_put: usize,
    /// On which the server failed.
    pub failed: usize,
}

impl EdgeOutcome {
    /// Its word in tables.
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

    /// More about it, for people.
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
                "fed by Direct PUT: there is no source to start at".to_owned()
            }
            EdgeOutcome::Failed { error } => error.clone(),
        }
    }
}

impl LineageReport {
    /// How many edges there are of each kind.
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

    /// How many edges there should be, and are not: an end is not found, ambiguous,
    /// or the server failed.
    ///
    /// Neither what OpenMetadata cannot have (Splunk, HTTP endpoints) nor a stream
    /// that is fed by Direct PUT counts: no change could resolve these.
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
