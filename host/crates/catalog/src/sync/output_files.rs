//! Writes the files of the settings (JSON, SVG, Mermaid, DOT), each completely or not at all.

use std::io::{self, Write};
use std::path::PathBuf;

use super::Snapshot;
use crate::OutputFiles;
use crate::atomic_file;
use crate::document::CatalogDocument;
use crate::ingest::IngestStep;
use crate::render::{TooLarge, render_dot, render_mermaid, render_svg};

/// Creates the text of a file, unless the graph is too large for it.
type MakeText<'a> = &'a dyn Fn() -> Result<String, TooLarge>;

/// Writes the files of the settings, each completely or not at all. Returns `None` if there are
/// none.
pub(super) fn write_files(files: &OutputFiles, snapshot: &Snapshot) -> Option<IngestStep> {
    let graph = &snapshot.lineage.graph;
    let texts: [(&Option<PathBuf>, MakeText<'_>); 4] = [
        (&files.json, &|| {
            Ok(CatalogDocument::new(&snapshot.inventory, &snapshot.lineage).to_text())
        }),
        (&files.svg, &|| render_svg(graph)),
        (&files.mermaid, &|| render_mermaid(graph)),
        (&files.dot, &|| render_dot(graph)),
    ];
    let mut step = IngestStep::new("Files");
    for (path, text) in texts {
        let Some(path) = path else { continue };
        let written = text().map_err(io::Error::other).and_then(|text| {
            atomic_file::replace_file(path, |file| file.write_all(text.as_bytes()))
        });
        match written {
            Ok(()) => step.records += 1,
            Err(error) => step.add_failure("Files", &path.display().to_string(), &error),
        }
    }
    (step.records > 0 || !step.failures.is_empty()).then_some(step)
}
