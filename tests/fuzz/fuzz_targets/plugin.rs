//! Loads arbitrary bytes as a component, which ends with a plugin or an error.
//!
//! The first byte determines what the others are: a component, or changes to the built-in plugin's
//! component, each with a position of three bytes and a value.
#![no_main]

use std::num::NonZero;
use std::sync::LazyLock;
use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use standpipe_plugin_host::{CompiledComponent, DEFAULT_PLUGIN, Engine, InstanceLimits, inspect};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let instance_limits =
        InstanceLimits { configure_cpu: Duration::from_millis(50), ..InstanceLimits::default() };
    Engine::with(None, instance_limits, NonZero::<usize>::MIN).expect("an engine")
});

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    let bytes = match kind % 3 {
        0 => rest.to_vec(),
        1 => [b"\0asm\x0d\0\x01\0", rest].concat(),
        _ => change_component(rest),
    };
    if inspect(&ENGINE, &bytes).is_ok()
        && let Ok(compiled) = CompiledComponent::new(&ENGINE, &bytes)
    {
        let _ = compiled.configure("{}");
    }
});

fn change_component(changes: &[u8]) -> Vec<u8> {
    let mut bytes = DEFAULT_PLUGIN.to_vec();
    for change in changes.chunks_exact(4) {
        let place = u32::from_be_bytes([0, change[0], change[1], change[2]]) as usize;
        let length = bytes.len();
        bytes[place % length] = change[3];
    }
    bytes
}
