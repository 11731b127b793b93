//! One worker's instance of a plugin. A batch that fails as a whole is mapped in parts until the
//! failing event is alone. If no instance can be started, no event counts as failed, and attempts
//! back off.

use std::ops::Range;
use std::time::{Duration, Instant};

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::component::DeclaredStream;
use super::decision::{Answers, Decision, Decisions, Output, OutputTarget, check_event};
use super::declared::StreamOrder;
use super::envelope_groups::EnvelopeGroups;
use super::fault::WrongAnswer;
use super::instance::Instance;
#[cfg(any(test, feature = "native-mapping"))]
use super::native::Native;
use super::printable::to_printable;
use super::sandbox::thread_cpu_time;
use super::web::RequestsOfPlugin;
use super::{EventReads, Fault, Grouping, InstanceLimits, Patience, Plugin, Unavailable};
use crate::limits;
use standpipe_core::event::{Event, StreamName};

/// One worker's instance of a plugin.
#[derive(Debug)]
pub struct Mapper {
    plugin: Plugin,
    /// The native code that decides in place of an instance.
    #[cfg(any(test, feature = "native-mapping"))]
    native: Option<Native>,
    /// `None` after a fault, until the next call.
    instance: Option<Instance>,
    /// Whether the instance is missing because a call failed.
    has_failed: bool,
    /// Why no instance could be started, if that failed.
    outage: Option<InstanceOutage>,
    instance_limits: InstanceLimits,
    requests: RequestsOfPlugin,
}

/// Failed attempts to start an instance since the last success.
#[derive(Debug)]
struct InstanceOutage {
    fault: Fault,
    attempts: u32,
    retry_at: Instant,
}

/// Why a call has no result.
enum NoAnswer {
    /// The plugin failed on the events.
    Fault(Fault),
    /// There is no instance to call, which the events did not cause.
    NoInstance(Fault),
}

/// A batch that is being mapped.
struct MapperBatch<'a> {
    events: &'a [contract::Event<'a>],
    wasted_max: Duration,
    answers: Answers,
}

impl Mapper {
    /// Creates a mapper that starts its instance when it is first needed. The plugin cannot send
    /// requests to servers: they would have effects there, and events of a test are not real.
    pub fn new(plugin: Plugin) -> Self {
        Self::with(plugin, RequestsOfPlugin::Refused)
    }

    /// Creates a mapper for real events: the plugin can send the requests that the settings allow.
    pub fn with_requests(plugin: Plugin) -> Self {
        Self::with(plugin, RequestsOfPlugin::Sent)
    }

    fn with(plugin: Plugin, requests: RequestsOfPlugin) -> Self {
        let instance_limits = plugin.instance_limits();
        Mapper {
            #[cfg(any(test, feature = "native-mapping"))]
            native: plugin.native_code(),
            plugin,
            instance: None,
            has_failed: false,
            outage: None,
            instance_limits,
            requests,
        }
    }

    /// Starts an instance before it is needed. If that fails, the first call returns the error.
    pub fn start_instance(&mut self) {
        if self.plugin.has_component() && self.instance.is_none() {
            self.instance = self.plugin.take_instance().ok();
        }
    }

    /// Ends the mapper, and returns its instance to the plugin.
    pub fn retire(mut self) {
        if let Some(instance) = self.instance.take() {
            self.plugin.give_back(instance);
        }
    }

    /// The memory of the instance in bytes, or 0 without an instance.
    pub fn memory_bytes(&self) -> usize {
        self.instance.as_ref().map_or(0, Instance::memory_bytes)
    }

    /// The plugin that decides.
    pub fn plugin(&self) -> &Plugin {
        &self.plugin
    }

    /// Maps a batch without a limit of wasted time.
    ///
    /// Each event gets outputs, or none (filtered), or a fault; or it waits for another call if the
    /// results of the events before it are large: see [`Decisions::decided_events`].
    pub fn map(&mut self, source: &str, events: &[Event<'_>]) -> Decisions {
        let decisions = self.map_within(source, events, &Patience::ENDLESS);
        decisions.unwrap_or_else(|none| Decisions::all_failed(events.len(), &none.fault))
    }

    /// Maps the first events of a batch until failures have wasted too much time. At least one
    /// event is decided, and each call has its whole time limit.
    ///
    /// # Errors
    ///
    /// Fails without a decision if no instance can be started. The events are not the cause and can
    /// be mapped later.
    pub fn map_within(
        &mut self,
        source: &str,
        events: &[Event<'_>],
        patience: &Patience,
    ) -> Result<Decisions, Unavailable> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(unavailable) =
            self.plugin.script().and_then(super::scripted::PluginScript::unavailable)
        {
            return Err(unavailable);
        }
        let events = &events[..events.len().min(patience.events_max)];
        let groups = match self.plugin.reads() {
            EventReads::Kind => EnvelopeGroups::by_type_and_name(events),
            EventReads::Envelope | EventReads::Text => EnvelopeGroups::ungrouped(events.len()),
        };
        #[cfg(any(test, feature = "native-mapping"))]
        if let Some(native) = &mut self.native {
            let answers = native.map(groups.asked.iter().map(|&event| &events[event]));
            return Ok(Decisions { groups, answers });
        }
        let with_text = self.plugin.reads() == EventReads::Text;
        let asked =
            groups.asked.iter().map(|&event| contract_event(&events[event], source, with_text));
        let asked: Vec<_> = asked.collect();
        let (wasted_max, answers) = (patience.wasted_max, Answers::default());
        let mut batch = MapperBatch { events: &asked, wasted_max, answers };
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
            _ => Ok(Decisions { groups, answers: batch.answers }),
        }
    }

    /// Maps the events of a batch at these positions.
    fn map_group(&mut self, group: Range<usize>, batch: &mut MapperBatch<'_>) {
        if batch.is_postponed(group.start) {
            return;
        }
        match self.call_plugin(group.clone(), batch) {
            Ok(outputs) => batch.answers.add_outputs(outputs, group.start),
            Err(NoAnswer::NoInstance(fault)) => batch.answers.postpone(group.start, fault),
            Err(NoAnswer::Fault(fault)) if group.len() == 1 => {
                batch.answers.faults.push((group.start, fault));
            }
            // Each group that reaches the deadline costs the whole time, while single events cost
            // almost nothing. So the group is not halved.
            Err(NoAnswer::Fault(Fault::Deadline(_))) => self.map_one_by_one(group, batch),
            Err(NoAnswer::Fault(_)) => {
                let middle = group.start + group.len() / 2;
                self.map_group(group.start..middle, batch);
                self.map_group(middle..group.end, batch);
            }
        }
    }

    fn map_one_by_one(&mut self, group: Range<usize>, batch: &mut MapperBatch<'_>) {
        group.for_each(|position| self.map_group(position..position + 1, batch));
    }

    /// Calls the plugin with some events. The time of a failed call counts as wasted, and so does
    /// the time to replace a failed instance.
    fn call_plugin(
        &mut self,
        group: Range<usize>,
        batch: &mut MapperBatch<'_>,
    ) -> Result<Vec<Output>, NoAnswer> {
        #[cfg(any(test, feature = "testing"))]
        if let Some(script) = self.plugin.script() {
            let events = &batch.events[group];
            let cpu_max =
                self.instance_limits.call_cpu_for(events.len(), events.iter().map(bytes_of).sum());
            let (spent, answer) = super::scripted::run_script(script, events, cpu_max);
            let check =
                |answer| check_answer(&self.plugin, &StreamOrder::Same, answer, events.len());
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
        let cpu_max = self.instance_limits.call_cpu_for(events.len(), bytes);
        let start = thread_cpu_time();
        let outputs = instance
            .map_events(events, start, cpu_max, self.requests)
            .and_then(|answer| check_answer(&self.plugin, &instance.order, answer, events.len()));
        self.has_failed = outputs.is_err();
        match outputs {
            Ok(outputs) => {
                self.instance =
                    Some(instance).filter(|instance| !instance.is_worn(&self.instance_limits));
                Ok(outputs)
            }
            Err(fault) => {
                drop(instance);
                batch.answers.wasted += thread_cpu_time().saturating_sub(start);
                Err(NoAnswer::Fault(fault))
            }
        }
    }

    /// Starts an instance, unless an attempt has just failed. Attempts back off, and use only a
    /// share of the CPU time.
    fn new_instance(&mut self, start: Duration) -> Result<Instance, Fault> {
        if let Some(outage) = &self.outage
            && Instant::now() < outage.retry_at
        {
            return Err(outage.fault.clone());
        }
        let made = self.plugin.take_instance();
        self.outage = made.as_ref().err().map(|fault| {
            let attempts = self.outage.as_ref().map_or(1, |outage| outage.attempts + 1);
            let pause = limits::PLUGIN_RESTART_BACKOFF
                .pause_after(attempts)
                .max(thread_cpu_time().saturating_sub(start) * limits::PLUGIN_RESTART_CPU_PAUSES)
                .min(limits::PLUGIN_RESTART_PAUSE_MAX);
            InstanceOutage { fault: fault.clone(), attempts, retry_at: Instant::now() + pause }
        });
        made
    }
}

impl Drop for Mapper {
    fn drop(&mut self) {
        self.plugin.report_dropped_lines();
    }
}

impl MapperBatch<'_> {
    /// Whether the event at this position and later ones wait for another call. The first event
    /// only waits if there is no instance, so each call makes progress.
    fn is_postponed(&mut self, position: usize) -> bool {
        let is_too_much = position > 0 && self.answers.wasted >= self.wasted_max;
        self.answers.is_postponed(position, is_too_much)
    }
}

/// The bytes of an event that the plugin receives.
fn bytes_of(event: &contract::Event<'_>) -> usize {
    let length = |text: Option<&str>| text.map_or(0, str::len);
    length(event.message_type) + length(event.name) + event.source.len() + event.text.len()
}

fn contract_event<'a>(
    event: &'a Event<'_>,
    source: &'a str,
    with_text: bool,
) -> contract::Event<'a> {
    contract::Event {
        message_type: event.envelope.message_type.as_deref(),
        name: event.envelope.name.as_deref(),
        source,
        text: if with_text { event.text } else { "" },
    }
}

/// Converts an instance's result into decisions, in the order of the events. `order` is the order
/// in which the instance declared the streams.
fn check_answer(
    plugin: &Plugin,
    order: &StreamOrder,
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
    order: &StreamOrder,
    output: contract::Output,
    events: usize,
) -> Result<Output, Fault> {
    let input = output.input as usize;
    if input >= events {
        return Err(WrongAnswer::NoSuchEvent { input, events }.into());
    }
    let decision = match output.decision {
        contract::Decision::Reject(reason) => {
            let reason = to_printable(&reason);
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
    order: &StreamOrder,
    target: contract::Target,
) -> Result<OutputTarget, WrongAnswer> {
    match target {
        contract::Target::Declared(own) => {
            let undeclared = || WrongAnswer::UndeclaredPosition(own);
            let position = order.of_plugin(own).ok_or_else(undeclared)?;
            match plugin.declared_at(position) {
                Some(DeclaredStream::Name(_)) => Ok(OutputTarget::Declared(position as usize)),
                Some(DeclaredStream::Pattern(pattern)) => {
                    Err(WrongAnswer::Pattern(pattern.clone()))
                }
                None => Err(undeclared()),
            }
        }
        contract::Target::Named(name) => {
            let name = StreamName::parse(&name)?;
            if plugin.covers(&name) {
                Ok(OutputTarget::Named(name))
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
