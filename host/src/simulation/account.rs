//! What the world owes: each event that was accepted, and how it ended.

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
    /// What the plugin does with it.
    pub(super) end: ScriptedEnd,
    /// The processor time that the plugin takes for it.
    pub(super) cpu: Duration,
    /// Whether Firehose refuses it for good.
    pub(super) is_poison: bool,
    /// Bytes of its text beside what it must say.
    pub(super) padding: usize,
    pub(super) acceptance: Acceptance,
    /// How often each stream took it.
    pub(super) delivered: BTreeMap<String, u32>,
    /// The reason and the stream of each of its dead letters.
    pub(super) dead: Vec<(String, Option<String>)>,
    /// Whether an answer was lost, or a process killed, since it was accepted.
    pub(super) may_repeat: bool,
}

/// Whether the collector would have answered 200 for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acceptance {
    NotOffered,
    Accepted,
    Refused,
    /// The process was killed before there was an answer.
    Unknown,
}

/// The events of a world, and its story.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) events: Vec<Event>,
    story: String,
    story_lines: usize,
}

/// The account, as all parts of a world share it.
#[derive(Debug, Clone, Default)]
pub(super) struct Account {
    state: Arc<Mutex<State>>,
    is_told: bool,
}

/// Lines of a story: more than that nobody reads.
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
        // The line may look at the account itself.
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

/// What a world allows.
pub(super) struct Rules<'a> {
    /// Dead letters made room for others.
    pub(super) is_dropping_dead: bool,
    /// Events share records, and so the fate of one that is refused.
    pub(super) is_aggregated: bool,
    /// Whether a stream does not exist for a while.
    pub(super) may_be_missing: &'a dyn Fn(&str) -> bool,
}

impl Event {
    /// The event's text, which says what the plugin does with it.
    pub(super) fn text(&self, id: usize) -> String {
        let padding = self.padding;
        format!(r#"{{"messageId":"{id}","type":"track","event":"e","pad":"{:padding$}"}}"#, "")
    }

    /// What is wrong with how it ended, if it was accepted.
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
                    Some(stream) => Err(format!("delivered to {stream}, which nobody named")),
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
        // A plugin that runs into its deadline condemns the event, and names no stream.
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
            return Err(format!("dead for {stream} without cause: {reason}"));
        }
        if self.is_poison && delivered > 0 {
            return Err(format!("{stream} took what it refuses"));
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

    /// Whether the plugin never comes to an end with it.
    pub(super) fn is_endless(&self) -> bool {
        self.cpu >= super::ENDLESS
    }

    fn check_dead(&self, expected: &str, rules: &Rules<'_>) -> Result<(), String> {
        if !self.delivered.is_empty() {
            return Err(format!("{expected}, and delivered"));
        }
        // A plugin that is off fails on what it would have failed on.
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
