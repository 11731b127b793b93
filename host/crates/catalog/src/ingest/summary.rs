//! The outcome of a run as text, in the layout of OpenMetadata's own summary.

use std::fmt::{self, Write};

use super::{IngestFailure, IngestOptions, IngestOutcome, IngestStep};
use standpipe_core::escape::one_line;
use standpipe_core::text_table::render_table;

/// Failures in the summary of a run, the same number as in OpenMetadata's own.
const CATALOG_FAILURES_SHOWN: usize = 10;

impl IngestOutcome {
    /// The outcome of a run as text for people, with the terms of OpenMetadata's own summary.
    pub fn summary(&self, options: &IngestOptions) -> String {
        let mut text = String::new();
        self.write_summary(options, &mut text).expect("a string takes everything");
        text
    }

    fn write_summary(&self, options: &IngestOptions, text: &mut String) -> fmt::Result {
        writeln!(text, "Workflow {} Summary:", one_line(&options.workflow))?;
        if let Some(cause) = &self.aborted {
            writeln!(text, "Aborted: {}", one_line(cause))?;
        }
        for step in &self.steps {
            write_step(step, text)?;
        }
        let failures = self.steps.iter().flat_map(|step| &step.failures);
        let (all, shown) = (failures.clone().count(), failures.take(CATALOG_FAILURES_SHOWN));
        if all > 0 {
            writeln!(text, "Failures ({} of {all}):", all.min(CATALOG_FAILURES_SHOWN))?;
            let rows = shown.map(|IngestFailure { from, entity, message }| {
                [from.clone(), entity.clone(), message.clone()]
            });
            text.push_str(&render_table(["From", "Entity Name", "Message"], rows));
        }
        let words = if options.is_dry { "would be" } else { "were" };
        if !self.removal.pipelines.is_empty() {
            writeln!(
                text,
                "{} pipelines {words} marked as deleted:",
                self.removal.pipelines.len()
            )?;
            for name in &self.removal.pipelines {
                writeln!(text, "  {}", one_line(name))?;
            }
        }
        writeln!(text, "Workflow Success %: {:.2}", self.success_percent())?;
        writeln!(text, "Workflow finished in time: {:.2}s", self.took.as_secs_f64())
    }
}

fn write_step(step: &IngestStep, text: &mut String) -> fmt::Result {
    writeln!(text, "{}:", step.name)?;
    writeln!(text, "  Processed records: {}", step.records)?;
    writeln!(text, "  Updated records: {}", step.updated)?;
    writeln!(text, "  Warnings: {}", step.warnings.len())?;
    if step.filtered > 0 {
        writeln!(text, "  Filtered: {}", step.filtered)?;
    }
    writeln!(text, "  Errors: {}", step.failures.len())?;
    let note = if step.is_cut_off { " of the part that was read; the rest is unknown" } else { "" };
    writeln!(text, "  Success %: {:.2}{note}", step.success_percent())?;
    for warning in &step.warnings {
        writeln!(text, "  warning: {}", one_line(warning))?;
    }
    Ok(())
}
