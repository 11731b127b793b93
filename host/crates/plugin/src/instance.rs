//! An instance in its store, and the calls into it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::component::ComponentExportIndex;
use wasmtime::{Store, Trap};

use super::bindings::exports::standpipe::mapping::mapper as contract;
use super::bindings::{Plugin as Bindings, PluginPre};
use super::declared::StreamOrder;
use super::log::LogRate;
use super::request_function::{FunctionRequest, RequestFailure};
use super::routes::{PluginRoute, ROUTES};
use super::sandbox::{DeadlinePassed, Sandbox, thread_cpu_time};
use super::stack::with_plugin_stack;
use super::ticker::RunningCall;
use super::web::{CallUsage, RequestsOfPlugin};
use super::{Engine, Fault, InstanceLimits};
use crate::limits;

/// The engine's error text if a result exceeds its limit. The error's type is not public.
const ANSWER_TOO_LARGE: &str = "fuel allocated for hostcalls has been exhausted";

pub(super) struct Instance {
    store: Store<Sandbox>,
    component_instance: wasmtime::component::Instance,
    bindings: Bindings,
    calls: u64,
    made: Instant,
    /// The order in which the instance declared the streams of its plugin.
    pub(super) order: StreamOrder,
}

impl Instance {
    pub(super) fn new(
        engine: &Engine,
        pre: &PluginPre<Sandbox>,
        rate: &LogRate,
    ) -> Result<Self, Fault> {
        let configure_cpu = engine.instance_limits().configure_cpu;
        let (mut store, _running) = new_store(engine, rate);
        match with_plugin_stack(|| instantiate(&mut store, pre)) {
            Ok((component_instance, bindings)) => {
                let (made, order) = (Instant::now(), StreamOrder::default());
                Ok(Instance { store, component_instance, bindings, calls: 0, made, order })
            }
            Err(error) => Err(fault_of_call(&store, &error, configure_deadline(configure_cpu))),
        }
    }

    /// The inner error is the plugin's own message.
    pub(super) fn configure(
        &mut self,
        settings: &str,
        cpu_max: Duration,
    ) -> Result<Result<contract::Setup, String>, Fault> {
        let _running = start_clock(&mut self.store, thread_cpu_time(), cpu_max);
        let mapper = self.bindings.standpipe_mapping_mapper();
        let answer = with_plugin_stack(|| mapper.call_configure(&mut self.store, settings));
        answer.map_err(|error| fault_of_call(&self.store, &error, configure_deadline(cpu_max)))
    }

    /// Calls the plugin with events. The time limit starts at `start` of the thread's CPU time.
    pub(super) fn map_events(
        &mut self,
        events: &[contract::Event<'_>],
        start: Duration,
        cpu_max: Duration,
        requests: RequestsOfPlugin,
    ) -> Result<Vec<contract::Output>, Fault> {
        self.calls += 1;
        let _running = start_clock(&mut self.store, start, cpu_max);
        self.store.data_mut().call_usage = CallUsage::new(requests);
        let mapper = self.bindings.standpipe_mapping_mapper();
        let answer = with_plugin_stack(|| mapper.call_map_events(&mut self.store, events));
        answer.map_err(|error| {
            fault_of_call(&self.store, &error, Fault::Deadline(cpu_max.as_millis()))
        })
    }

    /// Calls the function of the optional interface that handles requests. The inner error is the
    /// plugin's own.
    pub(super) fn handle_request(
        &mut self,
        function: &ComponentExportIndex,
        request: &FunctionRequest,
        cpu_max: Duration,
    ) -> Result<Result<Vec<String>, RequestFailure>, Fault> {
        self.calls += 1;
        let _running = start_clock(&mut self.store, thread_cpu_time(), cpu_max);
        self.store.data_mut().call_usage = CallUsage::new(RequestsOfPlugin::Sent);
        with_plugin_stack(|| self.call_handle_request(function, request)).map_err(|error| {
            fault_of_call(&self.store, &error, Fault::Deadline(cpu_max.as_millis()))
        })
    }

    fn call_handle_request(
        &mut self,
        function: &ComponentExportIndex,
        request: &FunctionRequest,
    ) -> wasmtime::Result<Result<Vec<String>, RequestFailure>> {
        type Returned = (Result<Vec<String>, RequestFailure>,);
        let function = self
            .component_instance
            .get_typed_func::<(&FunctionRequest,), Returned>(&mut self.store, function)?;
        let (answer,) = function.call(&mut self.store, (request,))?;
        Ok(answer)
    }

    /// The routes that the plugin reports with these settings, or none if it does not export them.
    /// Calls a separate instance, which maps no events.
    pub(super) fn routes(
        engine: &Engine,
        pre: &PluginPre<Sandbox>,
        rate: &LogRate,
        settings: &str,
    ) -> Result<Option<Vec<PluginRoute>>, Fault> {
        let cpu_max = engine.instance_limits().configure_cpu;
        let component = pre.instance_pre().component();
        let Some(interface) = component.get_export_index(None, ROUTES) else { return Ok(None) };
        let Some(function) = component.get_export_index(Some(&interface), "routes") else {
            return Ok(None);
        };
        let (mut store, _running) = new_store(engine, rate);
        let asked =
            with_plugin_stack(|| call_routes(&mut store, pre, &function, settings, cpu_max));
        asked.map(Some).map_err(|error| fault_of_call(&store, &error, configure_deadline(cpu_max)))
    }

    /// Whether the instance must be replaced.
    pub(super) fn is_worn(&self, instance_limits: &InstanceLimits) -> bool {
        self.calls >= instance_limits.calls
            || self.store.data().bounds.is_bloated()
            || self.made.elapsed() >= instance_limits.age
    }

    /// The size of all memories of the instance, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.store.data().bounds.memory_bytes
    }
}

/// Creates a store for a new instance.
fn new_store(engine: &Engine, rate: &LogRate) -> (Store<Sandbox>, RunningCall) {
    let InstanceLimits { memory_bytes, answer_bytes, configure_cpu, .. } =
        *engine.instance_limits();
    let sandbox = Sandbox::new(rate, memory_bytes, engine.ticker(), Arc::clone(engine.network()));
    let mut store = Store::new(engine.wasmtime(), sandbox);
    store.limiter(|sandbox| &mut sandbox.bounds);
    store.set_hostcall_fuel(answer_bytes);
    store.epoch_deadline_callback(|context| context.data().on_tick());
    let running = start_clock(&mut store, thread_cpu_time(), configure_cpu);
    (store, running)
}

/// Creates an instance, whose bindings contain the exports that each plugin has.
fn instantiate(
    store: &mut Store<Sandbox>,
    pre: &PluginPre<Sandbox>,
) -> wasmtime::Result<(wasmtime::component::Instance, Bindings)> {
    let instance = pre.instance_pre().instantiate(&mut *store)?;
    let bindings = Bindings::new(&mut *store, &instance)?;
    Ok((instance, bindings))
}

fn call_routes(
    store: &mut Store<Sandbox>,
    pre: &PluginPre<Sandbox>,
    function: &ComponentExportIndex,
    settings: &str,
    cpu_max: Duration,
) -> wasmtime::Result<Vec<PluginRoute>> {
    let (instance, bindings) = instantiate(store, pre)?;
    let _running = start_clock(store, thread_cpu_time(), cpu_max);
    let mapper = bindings.standpipe_mapping_mapper();
    // The plugin has accepted these settings before.
    let _ = mapper.call_configure(&mut *store, settings)?;
    let routes = instance.get_typed_func::<(), (Vec<PluginRoute>,)>(&mut *store, function)?;
    let _running = start_clock(store, thread_cpu_time(), cpu_max);
    let (routes,) = routes.call(&mut *store, ())?;
    Ok(routes)
}

/// Starts the deadline of a call. Every call needs one: without a deadline it traps at once.
fn start_clock(store: &mut Store<Sandbox>, start: Duration, cpu_max: Duration) -> RunningCall {
    store.data().log.begin_call();
    store.data_mut().call_usage = CallUsage::default();
    store.data_mut().deadline = start.saturating_add(cpu_max);
    store.set_epoch_deadline(1);
    store.data().ticker.start_call()
}

fn configure_deadline(cpu_max: Duration) -> Fault {
    Fault::ConfigureDeadline(cpu_max.as_millis())
}

/// The fault of a failed call. It is `deadline` if the call exceeded its CPU time.
fn fault_of_call(store: &Store<Sandbox>, error: &wasmtime::Error, deadline: Fault) -> Fault {
    if error.is::<DeadlinePassed>() {
        return deadline;
    }
    if store.data().bounds.refused {
        return Fault::Memory(store.data().bounds.memory_bytes_max >> 20);
    }
    let cause = match error.downcast_ref::<Trap>() {
        Some(trap) => trap.to_string(),
        None => error.root_cause().to_string(),
    };
    if cause.contains(ANSWER_TOO_LARGE) {
        return Fault::AnswerSize(store.hostcall_fuel() >> 20);
    }
    let mut detail: String = cause.chars().take(limits::PLUGIN_CAUSE_CHARACTERS_MAX).collect();
    let printed = store.data().log.stderr_of_call(limits::PLUGIN_PRINTED_BYTES_MAX);
    if !printed.is_empty() {
        detail.push_str("; it printed: ");
        detail.push_str(&printed);
    }
    Fault::Trap(detail)
}
