//! Records every accepted event of the world and its outcome.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use standpipe_plugin_host::scripted::ScriptedEnd;

/// An event of the world.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) source: String,
    /// What the plugin does with the event.
    pub(super) end: ScriptedEnd,
    /// The CPU time of the plugin for the event.
    pub(super) cpu: Duration,
    /// Whether Firehose rejects the event permanently.
    pub(super) is_poison: bool,
    /// Bytes of padding in the event's text.
    pub(super) padding: usize,
    pub(super) acceptance: Acceptance,
    /// How often each stream accepted the event.
    pub(super) delivered: BTreeMap<String, u32>,
    /// The reason and the stream of each of the event's dead letters.
    pub(super) dead: Vec<(String, Option<String>)>,
    /// Whether a response was lost, or a process was killed, after the event was accepted.
    pub(super) may_repeat: bool,
}

/// Whether the collector would have responded with 200 for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acceptance {
    NotOffered,
    Accepted,
    Refused,
    /// The process was killed before it responded.
    Unknown,
}

/// The events of a world, and its story.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) events: Vec<Event>,
    story: String,
    story_lines: usize,
}

/// The account. All parts of a world share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    state: Arc<Mutex<State>>,
    is_told: bool,
}

/// Maximum lines of a story. Nobody reads a longer one.
const STORY_LINES_MAX: usize = 5000;

impl Account {
    pub(super) fn new(is_told: bool) -> Self {
        Account { state: Arc::default(), is_told }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Adds a line to the story.
    pub(super) fn narrate(&self, at: Duration, line: impl FnOnce() -> String) {
        if !self.is_told {
            return;
        }
        // The closure may lock the account itself.
        let line = line();
        let mut state = self.state();
        if state.story_lines < STORY_LINES_MAX {
            state.story_lines += 1;
            let _ = writeln!(state.story, "{:10.3}  {line}", at.as_secs_f64());
        }
    }

    pub(super) fn story(&self) -> String {
        self.state().story.clone()
    }
}

/// Deviations that a world allows.
pub(super) struct Rules<'a> {
    /// Whether new dead letters replaced older ones.
    pub(super) is_dropping_dead: bool,
    /// Whether events share records. Then they also share the outcome of a rejected record.
    pub(super) is_aggregated: bool,
    /// Whether a stream does not exist for some time.
    pub(super) may_be_missing: &'a dyn Fn(&str) -> bool,
}

impl Event {
    /// The event's text, which determines what the plugin does with it.
    pub(super) fn text(&self, id: usize) -> String {
        let padding = self.padding;
        format!(r#"{{"messageId":"{id}","type":"track","event":"e","pad":"{:padding$}"}}"#, "")
    }

    /// Checks the outcome of an accepted event.
    pub(super) fn check(&self, rules: &Rules<'_>) -> Result<(), String> {
        if self.acceptance != Acceptance::Accepted {
            return Ok(());
        }
        match &self.end {
            ScriptedEnd::Deliver(streams) => {
                for stream in streams {
                    self.check_output(stream, rules)?;
                }
                match self.delivered.keys().find(|stream| !streams.contains(stream)) {
                    Some(stream) => Err(format!("delivered to {stream}, which no mapping names")),
                    None => Ok(()),
                }
            }
            ScriptedEnd::Reject(_) => self.check_dead("plugin_rejected", rules),
            ScriptedEnd::Trap => self.check_dead("plugin_trapped", rules),
        }
    }

    fn check_output(&self, stream: &str, rules: &Rules<'_>) -> Result<(), String> {
        let delivered = self.delivered.get(stream).copied().unwrap_or(0);
        let dead = self.dead.iter().filter(|(_, of)| of.as_deref() == Some(stream));
        let dead: Vec<_> = dead.map(|(reason, _)| reason.as_str()).collect();
        let without_stream: Vec<_> = self.dead.iter().filter(|(_, of)| of.is_none()).collect();
        // An event whose call runs into the deadline is dead-lettered without a stream.
        if self.is_endless() {
            return self.check_dead("plugin_deadline", rules);
        }
        if let Some((reason, _)) = without_stream.first() {
            return Err(format!("the plugin would have delivered it, but it is dead: {reason}"));
        }
        let is_allowed = |reason: &&str| match *reason {
            "record_refused" => self.is_poison || rules.is_aggregated,
            "stream_not_found" => (rules.may_be_missing)(stream),
            _ => false,
        };
        if let Some(reason) = dead.iter().find(|reason| !is_allowed(reason)) {
            return Err(format!("dead letter for {stream} without a cause: {reason}"));
        }
        if self.is_poison && delivered > 0 {
            return Err(format!("{stream} accepted an event that it refuses"));
        }
        let ends = delivered as usize + dead.len();
        match ends {
            0 if rules.is_dropping_dead && (self.is_poison || rules.is_aggregated) => Ok(()),
            0 if rules.is_dropping_dead && (rules.may_be_missing)(stream) => Ok(()),
            0 => Err(format!("neither delivered to {stream} nor dead")),
            1 => Ok(()),
            _ if self.may_repeat => Ok(()),
            _ => Err(format!(
                "ended {ends} times for {stream}: {delivered} times delivered, dead: {dead:?}"
            )),
        }
    }

    /// Whether the plugin's call for the event never ends.
    pub(super) fn is_endless(&self) -> bool {
        self.cpu >= super::ENDLESS
    }

    fn check_dead(&self, expected: &str, rules: &Rules<'_>) -> Result<(), String> {
        if !self.delivered.is_empty() {
            return Err(format!("{expected}, and delivered"));
        }
        // A plugin that is off only fails on events that it would have failed on anyway.
        let is_expected = |reason: &str| reason == expected || reason == "plugin_unavailable";
        let reasons: Vec<_> = self.dead.iter().map(|(reason, _)| reason.as_str()).collect();
        match reasons[..] {
            [] if rules.is_dropping_dead => Ok(()),
            [reason] if is_expected(reason) => Ok(()),
            [_, _, ..] if self.may_repeat && reasons.iter().all(|reason| is_expected(reason)) => {
                Ok(())
            }
            _ => Err(format!("should be dead once: {expected}; dead: {reasons:?}")),
        }
    }
}
