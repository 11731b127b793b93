//! Writes the files of the settings (JSON, SVG, Mermaid, DOT), each whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Looked;
use crate::Files;
use crate::document::Document;
use crate::ingest::{Failure, Step};
use crate::picture::{TooLarge, dot, mermaid, svg};
use crate::whole;

/// A file that was not written.
#[derive(Debug, Error)]
enum NotWritten {
    /// There is too much to be drawn.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    File(#[from] io::Error),
}

/// Write the files of the settings, each whole or not at all. None where there are
/// none.
pub(super) fn write(files: &Files, looked: &Looked) -> Option<Step> {
    let Files { json, svg: picture, mermaid: flowchart, dot: graphviz, .. } = files;
    let graph = &looked.drawing.graph;
    let mut step = Step::new("Files");
    let mut put = |path: &Option<PathBuf>, text: &dyn Fn() -> Result<String, TooLarge>| {
        let Some(path) = path.as_deref() else { return };
        let written = text().map_err(NotWritten::from).and_then(|text| replace(path, &text));
        match written {
            Ok(()) => step.records += 1,
            Err(error) => {
                step.failures.push(Failure::new("Files", &path.display().to_string(), &error));
            }
        }
    };
    put(json, &|| Ok(Document::new(&looked.inventory, &looked.drawing).to_text()));
    put(picture, &|| svg(graph));
    put(flowchart, &|| mermaid(graph));
    put(graphviz, &|| dot(graph));
    (step.records > 0 || !step.failures.is_empty()).then_some(step)
}

fn replace(path: &Path, text: &str) -> Result<(), NotWritten> {
    Ok(whole::write(path, |file| file.write_all(text.as_bytes()))?)
}
