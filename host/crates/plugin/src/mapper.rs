//! One worker's instance of a plugin. A batch that fails as a whole is asked about in parts until
//! the event at fault is alone; where no instance can be made, no event is blamed, and attempts get
//! rarer.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::component::Declared;
use super::decision::{Answers, Decision, Decisions, Output, Target, check_event};
use super::declared::Order;
use super::fault::WrongAnswer;
use super::instance::Instance;
use super::kinds::Kinds;
#[cfg(any(test, feature = "native-mapping"))]
use super::native::Native;
use super::printable::printable;
use super::sandbox::thread_cpu_time;
use super::{Allowance, Fault, Grouping, Patience, Plugin, Reads, Unavailable};
use crate::limits;
use standpipe_core::event::{Event, StreamName};

/// One worker's instance of a plugin.
#[derive(Debug)]
pub struct Mapper {
    plugin: Plugin,
    /// What decides in an instance's place, if it is native code.
    #[cfg(any(test, feature = "native-mapping"))]
    native: Option<Native>,
    /// None after a fault, until the next call.
    instance: Option<Instance>,
    /// Whether the instance is missing because a call failed.
    has_failed: bool,
    /// Why there is none, where none could be made.
    outage: Option<Outage>,
    allowance: Allowance,
}

/// Attempts to make an instance that have failed since the last success.
#[derive(Debug)]
struct Outage {
    fault: Fault,
    attempts: u32,
    retry_at: Instant,
}

/// Why a call has come to nothing.
enum NoAnswer {
    /// What the plugin did wrong with the events.
    Fault(Fault),
    /// There is no instance to call, which is no fault of the events.
    NoInstance(Fault),
}

/// A batch on its way through a plugin.
struct Batch<'a> {
    events: &'a [contract::Event<'a>],
    wasted_max: Duration,
    answers: Answers,
}

impl Mapper {
    /// A mapper that makes its instance when it is first needed.
    pub fn new(plugin: Plugin) -> Self {
        let allowance = plugin.allowance();
        Mapper {
            #[cfg(any(test, feature = "native-mapping"))]
            native: plugin.native_code(),
            plugin,
            instance: None,
            has_failed: false,
            outage: None,
            allowance,
        }
    }

    /// Have an instance at hand before it is needed. Where none can be made, the
    /// first call tells why.
    pub fn ready(&mut self) {
        if self.plugin.has_component() && self.instance.is_none() {
            self.instance = self.plugin.instance().ok();
        }
    }

    /// End, and leave the instance to whoever maps with this plugin next.
    pub fn retire(mut self) {
        if let Some(instance) = self.instance.take() {
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

    /// Let the plugin decide about a batch, whatever it costs.
    ///
    /// Whatever the plugin does, every event ends up with outputs, without any
    /// (filtered), or among the faults; or it is left for another call, where the
    /// answers about the events before it are large: see [`Decisions::decided`].
    pub fn map(&mut self, source: &str, events: &[Event<'_>]) -> Decisions {
        let decisions = self.map_within(source, events, &Patience::ENDLESS);
        decisions.unwrap_or_else(|none| Decisions::failed(events.len(), &none.fault))
    }

    /// Let the plugin decide about the first events of a batch, until more time has
    /// been wasted on failures than is to be: at least one event is decided about, and
    /// each that is asked about has its whole allowance.
    ///
    /// # Errors
    ///
    /// No event is decided about, since there is no instance and none can be made. That
    /// is no fault of the events: they can be asked about later.
    pub fn map_within(
        &mut self,
        source: &str,
        events: &[Event<'_>],
        patience: &Patience,
    ) -> Result<Decisions, Unavailable> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(unavailable) =
            self.plugin.script().and_then(super::scripted::Script::unavailable)
        {
            return Err(unavailable);
        }
        let events = &events[..events.len().min(patience.events_max)];
        let kinds = match self.plugin.reads() {
            Reads::Kind => Kinds::of(events),
            Reads::Envelope | Reads::Text => Kinds::each(events.len()),
        };
        #[cfg(any(test, feature = "native-mapping"))]
        if let Some(native) = &mut self.native {
            let answers = native.map(kinds.asked.iter().map(|&event| &events[event]));
            return Ok(Decisions { kinds, answers });
        }
        let with_text = self.plugin.reads() == Reads::Text;
        let asked = kinds.asked.iter().map(|&event| lower(&events[event], source, with_text));
        let asked: Vec<_> = asked.collect();
        let (wasted_max, answers) = (patience.wasted_max, Answers::default());
        let mut batch = Batch { events: &asked, wasted_max, answers };
        match patience.grouping {
            Grouping::Together => self.map_group(0..asked.len(), &mut batch),
            Grouping::Alone => self.map_one_by_one(0..asked.len(), &mut batch),
        }
        match batch.answers.postponed {
            Some((0, fault)) => {
                let retry_at = self.outage.as_ref().map(|outage| outage.retry_at);
                let pause = retry_at.map(|time| time.saturating_duration_since(Instant::now()));
                Err(Unavailable { fault, pause: pause.unwrap_or_default() })
            }
            _ => Ok(Decisions { kinds, answers: batch.answers }),
        }
    }

    /// Map the events of a batch at these positions.
    fn map_group(&mut self, group: Range<usize>, batch: &mut Batch<'_>) {
        if batch.postpones(group.start) {
            return;
        }
        match self.call(group.clone(), batch) {
            Ok(outputs) => batch.answers.take(outputs, group.start),
            Err(NoAnswer::NoInstance(fault)) => batch.answers.postpone(group.start, fault),
            Err(NoAnswer::Fault(fault)) if group.len() == 1 => {
                batch.answers.faults.push((group.start, fault));
            }
            // Each group that runs into its deadline costs that whole time,
            // each event alone next to nothing: so no halving here.
            Err(NoAnswer::Fault(Fault::Deadline(_))) => self.map_one_by_one(group, batch),
            Err(NoAnswer::Fault(_)) => {
                let middle = group.start + group.len() / 2;
                self.map_group(group.start..middle, batch);
                self.map_group(middle..group.end, batch);
            }
        }
    }

    fn map_one_by_one(&mut self, group: Range<usize>, batch: &mut Batch<'_>) {
        group.for_each(|position| self.map_group(position..position + 1, batch));
    }

    /// Call the plugin with some events. Time that comes to nothing counts as wasted,
    /// and so does what an instance takes that replaces one which failed.
    fn call(
        &mut self,
        group: Range<usize>,
        batch: &mut Batch<'_>,
    ) -> Result<Vec<Output>, NoAnswer> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(script) = self.plugin.script() {
            let events = &batch.events[group];
            let cpu_max =
                self.allowance.call_cpu_of(events.len(), events.iter().map(bytes_of).sum());
            let (spent, answer) = super::scripted::run(script, events, cpu_max);
            let check = |answer| check_answer(&self.plugin, &Order::Same, answer, events.len());
            let outputs = answer.and_then(check);
            if outputs.is_err() {
                batch.answers.wasted += spent;
            }
            return outputs.map_err(NoAnswer::Fault);
        }
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let start = thread_cpu_time();
                let instance = self.new_instance(start);
                self.has_failed |= instance.is_err();
                if self.has_failed {
                    batch.answers.wasted += thread_cpu_time().saturating_sub(start);
                }
                instance.map_err(NoAnswer::NoInstance)?
            }
        };
        let events = &batch.events[group];
        let bytes = events.iter().map(bytes_of).sum();
        let cpu_max = self.allowance.call_cpu_of(events.len(), bytes);
        let start = thread_cpu_time();
        let outputs = instance
            .map(events, start, cpu_max)
            .and_then(|answer| check_answer(&self.plugin, &instance.order, answer, events.len()));
        self.has_failed = outputs.is_err();
        match outputs {
            Ok(outputs) => {
                self.instance =
                    Some(instance).filter(|instance| !instance.is_worn(&self.allowance));
                Ok(outputs)
            }
            Err(fault) => {
                drop(instance);
                batch.answers.wasted += thread_cpu_time().saturating_sub(start);
                Err(NoAnswer::Fault(fault))
            }
        }
    }

    /// Make an instance, unless that has failed a moment ago. Attempts get rarer, and
    /// take no more than a share of the processor time.
    fn new_instance(&mut self, start: Duration) -> Result<Instance, Fault> {
        if let Some(outage) = &self.outage
            && Instant::now() < outage.retry_at
        {
            return Err(outage.fault.clone());
        }
        let made = self.plugin.instance();
        self.outage = made.as_ref().err().map(|fault| {
            let attempts = self.outage.as_ref().map_or(1, |outage| outage.attempts + 1);
            let pause = limits::PLUGIN_RESTART_BACKOFF
                .pause_after(attempts)
                .max(thread_cpu_time().saturating_sub(start) * limits::PLUGIN_RESTART_CPU_PAUSES)
                .min(limits::PLUGIN_RESTART_PAUSE_MAX);
            Outage { fault: fault.clone(), attempts, retry_at: Instant::now() + pause }
        });
        made
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        self.plugin.report_dropped_lines();
    }
}

impl Batch<'_> {
    /// Whether the event at this position, and those behind it, are left for another
    /// call. The first one never is unless there is no instance, so that each call comes
    /// to something.
    fn postpones(&mut self, position: usize) -> bool {
        let is_too_much = position > 0 && self.answers.wasted >= self.wasted_max;
        self.answers.postpones(position, is_too_much)
    }
}

/// The bytes of an event that the plugin is handed.
fn bytes_of(event: &contract::Event<'_>) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    length(event.message_type) + length(event.name) + event.source.len() + event.text.len()
}

fn lower<'a>(event: &'a Event<'_>, source: &'a str, with_text: bool) -> contract::Event<'a> {
    contract::Event {
        message_type: event.envelope.message_type.as_deref(),
        name: event.envelope.name.as_deref(),
        source,
        text: if with_text { event.text } else { "" },
    }
}

/// Turn a plugin's answer into decisions, in the order of the events. It is that of an
/// instance which has declared the plugin's streams in this order.
fn check_answer(
    plugin: &Plugin,
    order: &Order,
    answer: Vec<contract::Output>,
    events: usize,
) -> Result<Vec<Output>, Fault> {
    let outputs = answer.into_iter().map(|output| check_output(plugin, order, output, events));
    let mut outputs = outputs.collect::<Result<Vec<_>, _>>()?;
    if !outputs.is_sorted_by_key(|output| output.input) {
        outputs.sort_by_key(|output| output.input);
    }
    for of_one_event in outputs.chunk_by(|a, b| a.input == b.input) {
        check_event(of_one_event)?;
    }
    Ok(outputs)
}

fn check_output(
    plugin: &Plugin,
    order: &Order,
    output: contract::Output,
    events: usize,
) -> Result<Output, Fault> {
    let input = output.input as usize;
    if input >= events {
        return Err(WrongAnswer::NoSuchEvent { input, events }.into());
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
            Decision::Deliver(check_target(plugin, order, delivery.target)?, payload)
        }
    };
    Ok(Output { input, decision })
}

fn check_target(
    plugin: &Plugin,
    order: &Order,
    target: contract::Target,
) -> Result<Target, WrongAnswer> {
    match target {
        contract::Target::Declared(own) => {
            let undeclared = || WrongAnswer::UndeclaredPosition(own);
            let position = order.of_plugin(own).ok_or_else(undeclared)?;
            match plugin.declared_at(position) {
                Some(Declared::Name(_)) => Ok(Target::Declared(position as usize)),
                Some(Declared::Pattern(pattern)) => Err(WrongAnswer::Pattern(pattern.clone())),
                None => Err(undeclared()),
            }
        }
        contract::Target::Named(name) => {
            let name = StreamName::parse(&name)?;
            if plugin.covers(&name) {
                Ok(Target::Named(name))
            } else {
                Err(WrongAnswer::UndeclaredStream(name))
            }
        }
    }
}

impl std::fmt::Debug for Instance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Instance")
    }
}
