//! Collects the errors that the soak test finds.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Instant;

use parking_lot::Mutex;

/// Findings of one kind that are kept. Further ones are counted.
const SHOWN_MAX: usize = 5;

/// Collects findings, with limited memory for any number.
#[derive(Debug)]
pub(super) struct Findings {
    started: Instant,
    state: Mutex<FindingsState>,
}

#[derive(Debug, Default)]
struct FindingsState {
    /// The phases so far, each once.
    phases: Vec<String>,
    /// The index of the current phase.
    phase: usize,
    kinds: BTreeMap<&'static str, (u64, Vec<String>)>,
}

impl Findings {
    pub(super) fn new(started: Instant) -> Self {
        Findings { started, state: Mutex::default() }
    }

    /// Starts a phase, to which the following findings belong. Returns its number.
    pub(super) fn enter_phase(&self, phase: &str) -> u16 {
        let mut state = self.state.lock();
        let known = state.phases.iter().position(|known| known == phase);
        state.phase = known.unwrap_or(state.phases.len());
        if known.is_none() {
            state.phases.push(phase.to_owned());
        }
        state.phase as u16
    }

    /// The name of the phase with this number.
    pub(super) fn phase_name(&self, number: u16) -> String {
        let state = self.state.lock();
        state.phases.get(usize::from(number)).cloned().unwrap_or_default()
    }

    /// Records a finding. The text is created only if it is shown.
    #[expect(clippy::print_stdout, reason = "findings are printed at once")]
    pub(super) fn add(&self, kind: &'static str, text: impl FnOnce() -> String) {
        let mut state = self.state.lock();
        let phase = state.phases.get(state.phase).cloned().unwrap_or_default();
        let (count, shown) = state.kinds.entry(kind).or_default();
        *count += 1;
        if shown.len() < SHOWN_MAX {
            let after = self.started.elapsed().as_secs_f64();
            let text = format!("after {after:.1} s, in \"{phase}\": {}", text());
            println!("FINDING  {kind}: {text}");
            shown.push(text);
        }
    }

    /// All findings as text for people. `None` if there are none.
    pub(super) fn to_text(&self) -> Option<String> {
        let state = self.state.lock();
        let mut text = String::new();
        for (kind, (count, shown)) in &state.kinds {
            let _ = writeln!(text, "{count} x {kind}");
            for line in shown {
                let _ = writeln!(text, "    {line}");
            }
        }
        (!text.is_empty()).then_some(text)
    }
}
