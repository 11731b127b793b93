use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use super::Looked;
use crate::catalog::Files;
use crate::catalog::document::Document;
use crate::catalog::ingest::{Failure, Step};
use crate::catalog::picture::{dot, mermaid, svg};

/// Write the files of the settings, each whole or not at all. None where there are
/// none.
pub(super) fn write(files: &Files, looked: &Looked) -> Option<Step> {
    let Files { json, svg: picture, mermaid: flowchart, dot: graphviz, .. } = files;
    let graph = &looked.drawing.graph;
    let mut step = Step::new("Files");
    let mut put = |path: &Option<_>, text: &dyn Fn() -> Result<String, String>| {
        let Some(path) = path else { return };
        let path: &Path = std::path::PathBuf::as_path(path);
        let written = text().and_then(|text| replace(path, &text).map_err(|error| error.to_string()));
        match written {
            Ok(()) => step.records += 1,
            Err(error) => {
                step.failures.push(Failure::new("Files", &path.display().to_string(), &error));
            }
        }
    };
    put(json, &|| Ok(Document::new(&looked.inventory, &looked.drawing).to_text()));
    put(picture, &|| svg(graph).map_err(|error| error.to_string()));
    put(flowchart, &|| mermaid(graph).map_err(|error| error.to_string()));
    put(graphviz, &|| dot(graph).map_err(|error| error.to_string()));
    (step.records > 0 || !step.failures.is_empty()).then_some(step)
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(Path::new("."));
    let mut file = NamedTempFile::new_in(directory)?;
    file.write_all(text.as_bytes())?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|failure| failure.error)?;
    File::open(directory)?.sync_all()
}
