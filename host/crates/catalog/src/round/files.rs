//! Writes the files of the settings (JSON, SVG, Mermaid, DOT), each whole or not at all.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Looked;
use crate::Files;
use crate::document::Document;
use crate::ingest::{Failure, Step};
use crate::picture::{TooLarge, dot, mermaid, svg};
use crate::whole;

/// Makes the text of a file, where the graph is not too large for it.
type MakeText<'a> = &'a dyn Fn() -> Result<String, TooLarge>;

/// Write the files of the settings, each whole or not at all. None where there are
/// none.
pub(super) fn write(files: &Files, looked: &Looked) -> Option<Step> {
    let graph = &looked.drawing.graph;
    let texts: [(&Option<PathBuf>, MakeText<'_>); 4] = [
        (&files.json, &|| Ok(Document::new(&looked.inventory, &looked.drawing).to_text())),
        (&files.svg, &|| svg(graph)),
        (&files.mermaid, &|| mermaid(graph)),
        (&files.dot, &|| dot(graph)),
    ];
    let mut step = Step::new("Files");
    for (path, text) in texts {
        let Some(path) = path else { continue };
        let written = text()
            .map_err(io::Error::other)
            .and_then(|text| whole::write(path, |file| file.write_all(text.as_bytes())));
        match written {
            Ok(()) => step.records += 1,
            Err(error) => {
                step.failures.push(Failure::new("Files", &path.display().to_string(), &error));
            }
        }
    }
    (step.records > 0 || !step.failures.is_empty()).then_some(step)
}
