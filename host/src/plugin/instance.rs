//! One instance in its Store, and the calls into it.

use std::time::Duration;

use wasmtime::{Store, Trap};

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::bindings::{Plugin as Bindings, PluginPre};
use super::log::Rate;
use super::sandbox::{DeadlinePassed, Sandbox, thread_cpu_time};
use super::{Engine, Fault};
use crate::limits;

pub(super) struct Instance {
    store: Store<Sandbox>,
    bindings: Bindings,
    calls: u64,
}

impl Instance {
    pub(super) fn new(
        engine: &Engine,
        pre: &PluginPre<Sandbox>,
        rate: &Rate,
    ) -> Result<Self, Fault> {
        let mut store = Store::new(engine.wasmtime(), Sandbox::new(rate));
        store.limiter(|sandbox| &mut sandbox.bounds);
        store.set_hostcall_fuel(limits::PLUGIN_ANSWER_BYTES_MAX);
        store.epoch_deadline_callback(|context| context.data().on_tick());
        start_clock(&mut store, limits::PLUGIN_CONFIGURE_CPU_MAX);
        match pre.instantiate(&mut store) {
            Ok(bindings) => Ok(Instance { store, bindings, calls: 0 }),
            Err(error) => Err(fault(&store, &error, limits::PLUGIN_CONFIGURE_CPU_MAX)),
        }
    }

    /// The inner error is the plugin's own.
    pub(super) fn configure(
        &mut self,
        settings: &str,
    ) -> Result<Result<contract::Setup, String>, Fault> {
        start_clock(&mut self.store, limits::PLUGIN_CONFIGURE_CPU_MAX);
        let mapper = self.bindings.standpipe_mapping_mapper();
        let answer = mapper.call_configure(&mut self.store, settings);
        answer.map_err(|error| fault(&self.store, &error, limits::PLUGIN_CONFIGURE_CPU_MAX))
    }

    pub(super) fn map(
        &mut self,
        events: &[contract::Event<'_>],
        cpu_max: Duration,
    ) -> Result<Vec<contract::Output>, Fault> {
        self.calls += 1;
        start_clock(&mut self.store, cpu_max);
        let mapper = self.bindings.standpipe_mapping_mapper();
        let answer = mapper.call_map_events(&mut self.store, events);
        answer.map_err(|error| fault(&self.store, &error, cpu_max))
    }

    /// Whether it should make room for a fresh one.
    pub(super) fn is_worn(&self) -> bool {
        self.calls >= limits::PLUGIN_CALLS_MAX || self.store.data().bounds.is_bloated()
    }
}

/// Must precede every call: a deadline that was not set traps at once.
fn start_clock(store: &mut Store<Sandbox>, cpu_max: Duration) {
    store.data_mut().deadline = thread_cpu_time() + cpu_max;
    store.set_epoch_deadline(1);
}

fn fault(store: &Store<Sandbox>, error: &wasmtime::Error, cpu_max: Duration) -> Fault {
    if error.is::<DeadlinePassed>() {
        return Fault::Deadline(cpu_max.as_millis());
    }
    if store.data().bounds.refused {
        return Fault::Memory(limits::PLUGIN_MEMORY_BYTES_MAX >> 20);
    }
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    let last_words = store.data().log.last_words();
    let said =
        if last_words.is_empty() { String::new() } else { format!("; it said: {last_words}") };
    Fault::Trap((cause + &said).chars().take(limits::DETAIL_BYTES_MAX / 4).collect())
}
