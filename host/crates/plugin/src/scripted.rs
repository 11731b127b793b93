//! A plugin that follows a script, in place of a component. Simulations need exactly repeatable
//! faults and costs, and tests of swaps need plugins without a compiler.

#[cfg(test)]
use std::cell::RefCell;
#[cfg(test)]
use std::collections::HashMap;
#[cfg(test)]
use std::sync::Arc;
use std::time::Duration;

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::{Fault, Unavailable};

/// Determines what a plugin does with an event.
pub trait PluginScript: Send + Sync {
    /// Returns what the plugin does with the event of this text.
    fn act(&self, source: &str, text: &str) -> ScriptedAct;

    /// Counts the CPU time of a call.
    fn spend(&self, cpu: Duration);

    /// Returns why no instance can be started now, and for how long, if that is so.
    fn unavailable(&self) -> Option<Unavailable> {
        None
    }

    /// Whether a new instance declares other streams than the plugin did.
    fn has_redeclared(&self) -> bool {
        false
    }

    /// Reads settings (JSON text), and declares streams. By default, the plugin may name any
    /// stream.
    ///
    /// # Errors
    ///
    /// Fails if the plugin rejects the settings, with this message.
    fn configure(&self, _settings: &str) -> Result<Vec<String>, String> {
        Ok(vec!["*".to_owned()])
    }
}

#[cfg(test)]
thread_local! {
    /// The scripts that replace components on this thread, by the components' bytes.
    static SCRIPTS: RefCell<HashMap<Vec<u8>, Arc<dyn PluginScript>>> = RefCell::default();
}

/// Registers a script that is loaded on this thread in place of the component with these bytes.
#[cfg(test)]
pub(crate) fn register_script(component: &[u8], script: Arc<dyn PluginScript>) {
    SCRIPTS.with_borrow_mut(|scripts| scripts.insert(component.to_vec(), script));
}

/// The script that replaces a component, if there is one.
#[cfg(test)]
pub(crate) fn registered_script(component: &[u8]) -> Option<Arc<dyn PluginScript>> {
    SCRIPTS.with_borrow(|scripts| scripts.get(component).cloned())
}

/// What a scripted plugin does with an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptedAct {
    /// The CPU time of the event.
    pub cpu: Duration,
    /// How the call ends.
    pub end: ScriptedEnd,
}

/// The result of a scripted plugin for an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptedEnd {
    /// The event's text goes to these streams. Without streams, the event is filtered.
    Deliver(Vec<String>),
    /// The event is rejected with this reason.
    Reject(&'static str),
    /// The plugin traps.
    Trap,
}

/// Runs a batch, as an instance would. Also returns its CPU time.
pub(super) fn run_script(
    script: &dyn PluginScript,
    events: &[contract::Event<'_>],
    cpu_max: Duration,
) -> (Duration, Result<Vec<contract::Output>, Fault>) {
    let (mut outputs, mut spent) = (Vec::new(), Duration::ZERO);
    for (input, event) in (0..).zip(events) {
        let ScriptedAct { cpu, end } = script.act(event.source, event.text);
        spent += cpu;
        if spent > cpu_max {
            script.spend(cpu_max);
            return (cpu_max, Err(Fault::Deadline(cpu_max.as_millis())));
        }
        let mut decide = |decision| outputs.push(contract::Output { input, decision });
        match end {
            ScriptedEnd::Deliver(streams) => {
                for stream in streams {
                    let target = contract::Target::Named(stream);
                    let payload = contract::Payload::Original;
                    decide(contract::Decision::Deliver(contract::Delivery { target, payload }));
                }
            }
            ScriptedEnd::Reject(reason) => decide(contract::Decision::Reject(reason.to_owned())),
            ScriptedEnd::Trap => {
                script.spend(spent);
                return (spent, Err(Fault::Trap("scripted".to_owned())));
            }
        }
    }
    script.spend(spent);
    (spent, Ok(outputs))
}

/// A closure is a script without costs whose instances are always available.
impl<F: Fn(&str, &str) -> ScriptedAct + Send + Sync> PluginScript for F {
    fn act(&self, source: &str, text: &str) -> ScriptedAct {
        self(source, text)
    }

    fn spend(&self, _cpu: Duration) {}
}
