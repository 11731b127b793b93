//! The steps of `host check` with outcome, detail and advice, as text and as JSON.

use std::fmt;

use serde::Serialize;

/// The steps of a check, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct CheckReport {
    /// Each step.
    pub steps: Vec<CheckStep>,
}

/// A step of the check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckStep {
    /// The name of the step.
    pub step: String,
    /// The outcome of the step.
    pub outcome: CheckOutcome,
    /// The details.
    pub detail: String,
    /// The solution, if there is a problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

/// The outcome of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckOutcome {
    /// There is no problem.
    Ok,
    /// There is no problem yet, but something should change.
    Warning,
    /// There is a problem.
    Failed,
    /// The step could not be checked.
    Skipped,
}

impl CheckReport {
    /// Whether there is a known problem.
    pub fn has_failed(&self) -> bool {
        self.steps.iter().any(|step| step.outcome == CheckOutcome::Failed)
    }

    /// Returns the report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a report has string keys")
    }

    pub(super) fn ok(&mut self, step: impl Into<String>, detail: impl Into<String>) {
        self.add(step, CheckOutcome::Ok, detail, None);
    }

    pub(super) fn skipped(&mut self, step: impl Into<String>, detail: impl Into<String>) {
        self.add(step, CheckOutcome::Skipped, detail, None);
    }

    pub(super) fn failed(
        &mut self,
        step: impl Into<String>,
        detail: impl Into<String>,
        advice: impl Into<String>,
    ) {
        self.add(step, CheckOutcome::Failed, detail, Some(advice.into()));
    }

    pub(super) fn add(
        &mut self,
        step: impl Into<String>,
        outcome: CheckOutcome,
        detail: impl Into<String>,
        advice: Option<String>,
    ) {
        let (step, detail) = (step.into(), detail.into());
        self.steps.push(CheckStep { step, outcome, detail, advice });
    }
}

/// The text for people: a line for each step, followed by its solution.
impl fmt::Display for CheckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.iter().map(|step| step.step.chars().count()).max().unwrap_or(0);
        for CheckStep { step, outcome, detail, advice } in &self.steps {
            writeln!(f, "{outcome:<7}  {step:<width$}  {detail}")?;
            if let Some(advice) = advice {
                writeln!(f, "{:9}{:width$}  -> {advice}", "", "")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for CheckOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            CheckOutcome::Ok => "ok",
            CheckOutcome::Warning => "warning",
            CheckOutcome::Failed => "failed",
            CheckOutcome::Skipped => "skipped",
        })
    }
}
