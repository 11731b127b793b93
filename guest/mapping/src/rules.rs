//! Rows with conditions, transforms, or streams that events choose; and what is
//! done with all events before the rows are asked.

mod choice;

use standpipe_plugin::{Setup, Stream};

use crate::json::Value;
use crate::rules::choice::{Allowed, Choice};
use crate::settings::{self, Row, Settings};
use crate::switches::Switches;
use crate::table::Table;
use crate::transform::{Draft, Tools, Transform, Verdict};
use std::sync::Arc;

/// What the settings say, ready to be followed.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    switches: Switches,
    /// For all events.
    transforms: Vec<Arc<Transform>>,
    table: Table<Vec<Rule>>,
    fan_out: bool,
    /// Whether a transform may change what the rows are looked up by.
    renames: bool,
    tools: Tools,
    /// The event as it is for all rows.
    draft: Draft,
    /// The event as it is for one row.
    row_draft: Draft,
    /// The name that an event chose.
    chosen: String,
    /// The streams that the event has gone to.
    streams: Vec<Stream>,
    names: Vec<String>,
}

/// What a row says.
#[derive(Debug, Clone)]
struct Rule {
    when: Option<crate::fql::Condition>,
    goal: Goal,
    transforms: Vec<Arc<Transform>>,
}

#[derive(Debug, Clone)]
enum Goal {
    /// On to what matches less specifically.
    Missing,
    Stream(Stream),
    Chosen(Choice),
    /// Nowhere, and no other row is asked.
    Dropped,
}

/// Where an event goes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Target<'a> {
    Declared(Stream),
    Named(&'a str),
}

/// What the event's kind and text are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) name: Option<&'a str>,
    pub(crate) message_type: Option<&'a str>,
    pub(crate) text: &'a str,
}

/// What became of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It has been delivered, or is not to be.
    Settled,
    /// No row matches it.
    Unmapped,
}

impl Rules {
    pub(crate) fn new(settings: Settings, setup: &mut Setup) -> Result<Self, String> {
        let allowed = Allowed::declare(&settings.streams_allowed, setup)?;
        let table = Table::new(
            settings.rows,
            |row| &row.event,
            |rules: &mut Vec<Rule>, row| {
                rules.push(Rule::new(row, &allowed, setup)?);
                Ok(())
            },
        )?;
        let renames = |transform: &Arc<Transform>| transform.may_change(&["event", "type"]);
        Ok(Rules {
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

    /// Hand out each stream that the event goes to, and its text where that is
    /// another one than it was.
    pub(crate) fn map(
        &mut self,
        seen: Seen<'_>,
        mut deliver: impl FnMut(Target<'_>, Option<&str>),
    ) -> Fate {
        if !self.switches.is_empty() && !self.switches.allow(Value::of_text(seen.text)) {
            return Fate::Settled;
        }
        self.draft.clear();
        for transform in &self.transforms {
            if transform.run(&mut self.draft, seen.text, &mut self.tools) == Verdict::Drop {
                return Fate::Settled;
            }
        }
        let text = self.draft.text(seen.text);
        let renamed = self.renames && self.draft.changed().is_some();
        let [name, message_type] = if renamed {
            let event = Value::of_text(text);
            ["event", "type"].map(|key| event.get(key).and_then(Value::string))
        } else {
            [seen.name, seen.message_type].map(|word| word.map(Into::into))
        };
        let [name, message_type] =
            [&name, &message_type].map(|word| word.as_deref().filter(|word| !word.is_empty()));
        let levels = self.table.matched(name, message_type);
        let mut row = Rows {
            text,
            changed: self.draft.changed(),
            tools: &mut self.tools,
            draft: &mut self.row_draft,
            chosen: &mut self.chosen,
        };
        if self.fan_out {
            let mut sent = Sent { streams: &mut self.streams, names: &mut self.names };
            row.follow_all(levels, &mut sent, &mut deliver)
        } else {
            row.follow_first(levels, &mut deliver)
        }
    }
}

impl Rule {
    fn new(row: Row, allowed: &Allowed, setup: &mut Setup) -> Result<Self, String> {
        let goal = match &row.stream {
            settings::Stream::Missing => Goal::Missing,
            settings::Stream::Dropped => Goal::Dropped,
            settings::Stream::Named(name) => Goal::Stream(row.declare(name, setup)?),
            settings::Stream::Chosen { template, fallback } => {
                let fallback = fallback.as_deref();
                let fallback = fallback.map(|name| row.declare(name, setup)).transpose()?;
                let choice = Choice::new(template, fallback, allowed, setup);
                Goal::Chosen(choice.map_err(|error| row.wrong(&error))?)
            }
        };
        Ok(Rule { when: row.when, goal, transforms: row.transforms })
    }
}

/// An event at the rows.
struct Rows<'a> {
    text: &'a str,
    /// The text, if a transform has made it.
    changed: Option<&'a str>,
    tools: &'a mut Tools,
    draft: &'a mut Draft,
    chosen: &'a mut String,
}

/// Where an event has been delivered to, so that it goes there once.
struct Sent<'a> {
    streams: &'a mut Vec<Stream>,
    names: &'a mut Vec<String>,
}

impl Sent<'_> {
    /// Whether it is the first delivery there.
    fn add(&mut self, target: Target<'_>) -> bool {
        match target {
            Target::Declared(stream) if self.streams.contains(&stream) => return false,
            Target::Declared(stream) => self.streams.push(stream),
            Target::Named(name) if self.names.iter().any(|other| other == name) => return false,
            Target::Named(name) => self.names.push(name.to_owned()),
        }
        true
    }
}

impl Rows<'_> {
    fn holds(&self, rule: &Rule) -> bool {
        rule.when.as_ref().is_none_or(|when| when.holds(Value::of_text(self.text)))
    }

    /// Follow the last rule that holds of the most specific ones.
    fn follow_first(
        &mut self,
        levels: [Option<&Vec<Rule>>; 3],
        deliver: &mut impl FnMut(Target<'_>, Option<&str>),
    ) -> Fate {
        for rules in levels.into_iter().flatten() {
            for rule in rules.iter().rev() {
                if !self.holds(rule) {
                    continue;
                }
                if let Goal::Missing = rule.goal {
                    break;
                }
                if self.follow(rule, deliver) == Fate::Settled {
                    return Fate::Settled;
                }
            }
        }
        Fate::Unmapped
    }

    /// Follow all rules that hold, but go to no stream twice.
    fn follow_all(
        &mut self,
        levels: [Option<&Vec<Rule>>; 3],
        sent: &mut Sent<'_>,
        deliver: &mut impl FnMut(Target<'_>, Option<&str>),
    ) -> Fate {
        sent.streams.clear();
        sent.names.clear();
        let mut fate = Fate::Unmapped;
        for rule in levels.into_iter().flatten().flatten() {
            if !self.holds(rule) {
                continue;
            }
            let followed = self.follow(rule, &mut |target, text| {
                if sent.add(target) {
                    deliver(target, text);
                }
            });
            if followed == Fate::Settled {
                fate = Fate::Settled;
            }
        }
        fate
    }

    fn follow(&mut self, rule: &Rule, deliver: &mut impl FnMut(Target<'_>, Option<&str>)) -> Fate {
        let target = match &rule.goal {
            Goal::Missing => return Fate::Unmapped,
            Goal::Dropped => return Fate::Settled,
            Goal::Stream(stream) => Target::Declared(*stream),
            Goal::Chosen(choice) => {
                let event = Value::of_text(self.text);
                let Some(target) = choice.choose(event, self.chosen) else {
                    return Fate::Unmapped;
                };
                target
            }
        };
        self.draft.clear();
        for transform in &rule.transforms {
            if transform.run(self.draft, self.text, self.tools) == Verdict::Drop {
                return Fate::Settled;
            }
        }
        deliver(target, self.draft.changed().or(self.changed));
        Fate::Settled
    }
}
