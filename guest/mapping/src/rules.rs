//! Mappings with conditions, transforms, or dynamic streams, and the transforms that run before the
//! mappings.

mod choice;

use standpipe_plugin::{Setup, Stream};

use crate::json::JsonValue;
use crate::rules::choice::{AllowedStreams, StreamChoice};
use crate::settings::{self, MappingRow, MappingSettings};
use crate::switches::EventSwitches;
use crate::table::EventTable;
use crate::transform::{Draft, Tools, Transform, Verdict};
use std::sync::Arc;

/// The compiled rules of the settings.
#[derive(Debug, Clone)]
pub(crate) struct MappingRules {
    switches: EventSwitches,
    /// Transforms for all events.
    transforms: Vec<Arc<Transform>>,
    table: EventTable<Vec<Rule>>,
    fan_out: bool,
    /// Whether a transform may change the name or type, by which the mappings are found.
    renames: bool,
    tools: Tools,
    /// The event as all mappings see it.
    draft: Draft,
    /// The event as changed for one mapping.
    row_draft: Draft,
    /// The stream name that an event chose.
    chosen: String,
    /// The streams to which the event was delivered.
    streams: Vec<Stream>,
    names: Vec<String>,
}

/// The rule of a mapping.
#[derive(Debug, Clone)]
struct Rule {
    when: Option<crate::fql::Condition>,
    goal: Goal,
    transforms: Vec<Arc<Transform>>,
}

#[derive(Debug, Clone)]
enum Goal {
    /// The next less specific mapping decides.
    Missing,
    Stream(Stream),
    Chosen(StreamChoice),
    /// The event is dropped, and no other mapping decides.
    Dropped,
}

/// The destination of an event.
#[derive(Debug, Clone, Copy)]
pub enum RouteTarget<'a> {
    /// A stream that the plugin has declared.
    Declared(Stream),
    /// A stream by name.
    Named(&'a str),
}

/// The kind and the text of an event.
#[derive(Debug, Clone, Copy)]
pub struct SeenEvent<'a> {
    /// The event's name.
    pub name: Option<&'a str>,
    /// The event's message type.
    pub message_type: Option<&'a str>,
    /// The event's JSON text.
    pub text: &'a str,
}

/// The result of the rules for an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchOutcome {
    /// The event was delivered or dropped.
    Settled,
    /// No mapping matches the event.
    Unmapped,
}

impl MappingRules {
    pub(crate) fn new(settings: MappingSettings, setup: &mut Setup) -> Result<Self, String> {
        let allowed = AllowedStreams::declare(&settings.streams_allowed, setup)?;
        let table = EventTable::new(
            settings.rows,
            |row| &row.event,
            |rules: &mut Vec<Rule>, row| {
                rules.push(Rule::new(row, &allowed, setup)?);
                Ok(())
            },
        )?;
        let renames = |transform: &Arc<Transform>| transform.may_change(&["event", "type"]);
        Ok(MappingRules {
            switches: settings.switches,
            renames: settings.transforms.iter().any(renames),
            transforms: settings.transforms,
            table,
            fan_out: settings.fan_out,
            tools: Tools::default(),
            draft: Draft::default(),
            row_draft: Draft::default(),
            chosen: String::new(),
            streams: Vec::new(),
            names: Vec::new(),
        })
    }

    /// Calls `deliver` for each stream of the event, with the text if it has changed.
    pub(crate) fn map_event(
        &mut self,
        seen: SeenEvent<'_>,
        mut deliver: impl FnMut(RouteTarget<'_>, Option<&str>),
    ) -> MatchOutcome {
        if !self.switches.is_empty() && !self.switches.allows_event(JsonValue::of_text(seen.text)) {
            return MatchOutcome::Settled;
        }
        self.draft.clear();
        for transform in &self.transforms {
            if transform.apply(&mut self.draft, seen.text, &mut self.tools) == Verdict::Drop {
                return MatchOutcome::Settled;
            }
        }
        let text = self.draft.text(seen.text);
        let renamed = self.renames && self.draft.changed_text().is_some();
        let [name, message_type] = if renamed {
            let event = JsonValue::of_text(text);
            ["event", "type"].map(|key| event.get(key).and_then(JsonValue::as_string))
        } else {
            [seen.name, seen.message_type].map(|word| word.map(Into::into))
        };
        let [name, message_type] =
            [&name, &message_type].map(|word| word.as_deref().filter(|word| !word.is_empty()));
        let levels = self.table.find_rows(name, message_type);
        let mut row = EventRows {
            text,
            changed: self.draft.changed_text(),
            tools: &mut self.tools,
            draft: &mut self.row_draft,
            chosen: &mut self.chosen,
        };
        if self.fan_out {
            let mut sent = SentTargets { streams: &mut self.streams, names: &mut self.names };
            row.follow_all(levels, &mut sent, &mut deliver)
        } else {
            row.follow_first(levels, &mut deliver)
        }
    }
}

impl Rule {
    fn new(row: MappingRow, allowed: &AllowedStreams, setup: &mut Setup) -> Result<Self, String> {
        let goal = match &row.stream {
            settings::RowTarget::Missing => Goal::Missing,
            settings::RowTarget::Dropped => Goal::Dropped,
            settings::RowTarget::Named(name) => Goal::Stream(row.declare_stream(name, setup)?),
            settings::RowTarget::Chosen { template, fallback } => {
                let fallback = fallback.as_deref();
                let fallback = fallback.map(|name| row.declare_stream(name, setup)).transpose()?;
                let choice = StreamChoice::new(template, fallback, allowed, setup);
                Goal::Chosen(choice.map_err(|error| row.stream_error(&error))?)
            }
        };
        Ok(Rule { when: row.when, goal, transforms: row.transforms })
    }
}

/// An event while the mappings decide about it.
struct EventRows<'a> {
    text: &'a str,
    /// The text, if a transform has changed it.
    changed: Option<&'a str>,
    tools: &'a mut Tools,
    draft: &'a mut Draft,
    chosen: &'a mut String,
}

/// The streams that already got the event, so that each gets it only once.
struct SentTargets<'a> {
    streams: &'a mut Vec<Stream>,
    names: &'a mut Vec<String>,
}

impl SentTargets<'_> {
    /// Adds a target. Returns whether it is new.
    fn add_target(&mut self, target: RouteTarget<'_>) -> bool {
        match target {
            RouteTarget::Declared(stream) if self.streams.contains(&stream) => return false,
            RouteTarget::Declared(stream) => self.streams.push(stream),
            RouteTarget::Named(name) if self.names.iter().any(|other| other == name) => {
                return false;
            }
            RouteTarget::Named(name) => self.names.push(name.to_owned()),
        }
        true
    }
}

impl EventRows<'_> {
    fn rule_holds(&self, rule: &Rule) -> bool {
        rule.when.as_ref().is_none_or(|when| when.holds(JsonValue::of_text(self.text)))
    }

    /// Applies the last matching rule of the most specific ones.
    fn follow_first(
        &mut self,
        levels: [Option<&Vec<Rule>>; 3],
        deliver: &mut impl FnMut(RouteTarget<'_>, Option<&str>),
    ) -> MatchOutcome {
        for rules in levels.into_iter().flatten() {
            for rule in rules.iter().rev() {
                if !self.rule_holds(rule) {
                    continue;
                }
                if let Goal::Missing = rule.goal {
                    break;
                }
                if self.follow_rule(rule, deliver) == MatchOutcome::Settled {
                    return MatchOutcome::Settled;
                }
            }
        }
        MatchOutcome::Unmapped
    }

    /// Applies all matching rules, and delivers to each stream once.
    fn follow_all(
        &mut self,
        levels: [Option<&Vec<Rule>>; 3],
        sent: &mut SentTargets<'_>,
        deliver: &mut impl FnMut(RouteTarget<'_>, Option<&str>),
    ) -> MatchOutcome {
        sent.streams.clear();
        sent.names.clear();
        let mut fate = MatchOutcome::Unmapped;
        for rule in levels.into_iter().flatten().flatten() {
            if !self.rule_holds(rule) {
                continue;
            }
            let followed = self.follow_rule(rule, &mut |target, text| {
                if sent.add_target(target) {
                    deliver(target, text);
                }
            });
            if followed == MatchOutcome::Settled {
                fate = MatchOutcome::Settled;
            }
        }
        fate
    }

    fn follow_rule(
        &mut self,
        rule: &Rule,
        deliver: &mut impl FnMut(RouteTarget<'_>, Option<&str>),
    ) -> MatchOutcome {
        let target = match &rule.goal {
            Goal::Missing => return MatchOutcome::Unmapped,
            Goal::Dropped => return MatchOutcome::Settled,
            Goal::Stream(stream) => RouteTarget::Declared(*stream),
            Goal::Chosen(choice) => {
                let event = JsonValue::of_text(self.text);
                let Some(target) = choice.choose_stream(event, self.chosen) else {
                    return MatchOutcome::Unmapped;
                };
                target
            }
        };
        self.draft.clear();
        for transform in &rule.transforms {
            if transform.apply(self.draft, self.text, self.tools) == Verdict::Drop {
                return MatchOutcome::Settled;
            }
        }
        deliver(target, self.draft.changed_text().or(self.changed));
        MatchOutcome::Settled
    }
}
