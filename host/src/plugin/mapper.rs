use std::time::Duration;

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::component::{Declared, printable};
use super::decision::{Answers, Decision, Decisions, Output, Target, check_event};
use super::instance::Instance;
use super::kinds::Kinds;
use super::native::Native;
use super::{Allowance, Fault, Plugin};
use crate::event::{Event, StreamName};
use crate::limits;

/// One worker's instance of a plugin.
#[derive(Debug)]
pub struct Mapper {
    plugin: Plugin,
    /// What decides in an instance's place, if it is native code.
    native: Option<Native>,
    /// None after a fault, until the next call.
    instance: Option<Instance>,
    /// Events in a row that have used up their time, across batches.
    suspects: usize,
    allowance: Allowance,
}

impl Mapper {
    /// A mapper that makes its instance when it is first needed.
    pub fn new(plugin: Plugin) -> Self {
        let (native, allowance) = (plugin.native_code(), plugin.allowance());
        Mapper { plugin, native, instance: None, suspects: 0, allowance }
    }

    /// Have an instance at hand before it is needed. Where none can be made, the
    /// first call tells why.
    pub fn ready(&mut self) {
        if self.native.is_none() && self.instance.is_none() {
            self.instance = self.plugin.instance().ok();
        }
    }

    /// End, and leave the instance to whoever maps with this plugin next.
    pub fn retire(self) {
        if let Some(instance) = self.instance {
            self.plugin.give_back(instance);
        }
    }

    /// The memory of the instance, in bytes; 0 where there is none at present.
    pub fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    /// The plugin that decides.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Let the plugin decide about a batch.
    ///
    /// Whatever the plugin does, every event ends up with outputs, without any
    /// (filtered), or among the faults; or it is left for another call, where the
    /// answers about the events before it are large: see [`Decisions::decided`].
    pub fn map(&mut self, source: &str, events: &[Event<'_>]) -> Decisions {
        let kinds = match self.plugin.reads() {
            contract::Reads::Kind => Kinds::of(events),
            contract::Reads::Envelope | contract::Reads::Text => Kinds::each(events.len()),
        };
        if let Some(native) = &mut self.native {
            let answers = native.map(kinds.asked.iter().map(|&event| &events[event]));
            return Decisions { kinds, answers };
        }
        let with_text = self.plugin.reads() == contract::Reads::Text;
        let asked = kinds.asked.iter().map(|&event| lower(&events[event], source, with_text));
        let asked: Vec<_> = asked.collect();
        let mut answers = Answers::default();
        if self.is_suspicious() {
            self.map_one_by_one(&asked, 0, &mut answers);
        } else {
            self.map_group(&asked, 0, &mut answers);
        }
        Decisions { kinds, answers }
    }

    /// Map events of which the first has this position in the batch.
    fn map_group(&mut self, events: &[contract::Event<'_>], first: usize, answers: &mut Answers) {
        if answers.postpones(first) {
            return;
        }
        match self.call(events, self.allowance.batch_cpu(events.len())) {
            Ok(outputs) => answers.take(outputs, first),
            Err(fault) if events.len() == 1 => answers.faults.push((first, fault)),
            // Each group that runs into its deadline costs that whole time,
            // each event alone next to nothing: so no halving here.
            Err(Fault::Deadline(_)) => self.map_one_by_one(events, first, answers),
            Err(_) => {
                let (left, right) = events.split_at(events.len() / 2);
                self.map_group(left, first, answers);
                self.map_group(right, first + left.len(), answers);
            }
        }
    }

    fn map_one_by_one(
        &mut self,
        events: &[contract::Event<'_>],
        first: usize,
        answers: &mut Answers,
    ) {
        for (position, event) in (first..).zip(events) {
            if answers.postpones(position) {
                return;
            }
            let cpu_max = if self.is_suspicious() {
                limits::PLUGIN_SUSPECT_CPU_MAX
            } else {
                self.allowance.call_cpu
            };
            let result = self.call(std::slice::from_ref(event), cpu_max);
            match &result {
                Err(Fault::Deadline(_)) => self.suspects += 1,
                _ => self.suspects = 0,
            }
            match result {
                Ok(outputs) => answers.take(outputs, position),
                Err(fault) => answers.faults.push((position, fault)),
            }
        }
    }

    fn is_suspicious(&self) -> bool {
        self.suspects >= limits::PLUGIN_SUSPECTS
    }

    fn call(
        &mut self,
        events: &[contract::Event<'_>],
        cpu_max: Duration,
    ) -> Result<Vec<Output>, Fault> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => self.plugin.instance()?,
        };
        let answer = instance.map(events, cpu_max)?;
        let outputs = check_answer(&self.plugin, answer, events.len())?;
        self.instance = Some(instance).filter(|instance| !instance.is_worn(&self.allowance));
        Ok(outputs)
    }
}

fn lower<'a>(event: &'a Event<'_>, source: &'a str, with_text: bool) -> contract::Event<'a> {
    contract::Event {
        message_type: event.envelope.message_type.as_deref(),
        name: event.envelope.name.as_deref(),
        source,
        text: if with_text { event.text } else { "" },
    }
}

/// Turn a plugin's answer into decisions, in the order of the events.
fn check_answer(
    plugin: &Plugin,
    answer: Vec<contract::Output>,
    events: usize,
) -> Result<Vec<Output>, Fault> {
    let outputs = answer.into_iter().map(|output| check_output(plugin, output, events));
    let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    if !outputs.is_sorted_by_key(|output| output.input) {
        outputs.sort_by_key(|output| output.input);
    }
    for of_one_event in outputs.chunk_by(|a, b| a.input == b.input) {
        check_event(of_one_event)?;
    }
    Ok(outputs)
}

fn check_output(plugin: &Plugin, output: contract::Output, events: usize) -> Result<Output, Fault> {
    let input = output.input as usize;
    if input >= events {
        return Err(Fault::Answer(format!("output for event {input} of a batch of {events}")));
    }
    let decision = match output.decision {
        contract::Decision::Reject(reason) => {
            let reason = printable(&reason);
            Decision::Reject(reason.chars().take(limits::PLUGIN_REASON_BYTES_MAX).collect())
        }
        contract::Decision::Deliver(delivery) => {
            let payload = match delivery.payload {
                contract::Payload::Original => None,
                contract::Payload::Replaced(payload) => Some(payload),
            };
            Decision::Deliver(check_target(plugin, delivery.target)?, payload)
        }
    };
    Ok(Output { input, decision })
}

fn check_target(plugin: &Plugin, target: contract::Target) -> Result<Target, Fault> {
    match target {
        contract::Target::Declared(position) => match plugin.declared_at(position) {
            Some(Declared::Name(_)) => Ok(Target::Declared(position as usize)),
            Some(Declared::Pattern(pattern)) => {
                Err(Fault::Answer(format!("the pattern {pattern:?} is given as a stream")))
            }
            None => Err(Fault::Answer(format!("stream {position} was never declared"))),
        },
        contract::Target::Named(name) => {
            let name =
                StreamName::parse(&name).map_err(|error| Fault::Answer(error.to_string()))?;
            if plugin.covers(&name) {
                Ok(Target::Named(name))
            } else {
                Err(Fault::Answer(format!("the stream {name} was never declared")))
            }
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}
