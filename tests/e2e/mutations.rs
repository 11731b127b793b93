//! Tests that for arbitrary bytes of a component, the host reports an error, or has a plugin that
//! respects its limits.

use std::num::NonZero;
use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;
use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_plugin_host::{CompiledComponent, Engine, InstanceLimits, inspect};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| {
    let instance_limits =
        InstanceLimits { configure_cpu: Duration::from_millis(50), ..InstanceLimits::default() };
    Engine::with(None, instance_limits, NonZero::<usize>::MIN).unwrap()
});

/// A change to the bytes of a component. Positions are shares of its length.
#[derive(Debug, Clone)]
enum Change {
    Cut(f64),
    /// Types, imports and exports are near the end of the component, and code is in the middle.
    Set(f64, u8),
    Remove(f64, usize),
    Insert(f64, Vec<u8>),
    Repeat(f64, usize),
}

fn any_change() -> impl Strategy<Value = Change> {
    prop_oneof![
        (0.0..1.0).prop_map(Change::Cut),
        (0.0..1.0, any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (0.95..1.0, any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (0.0..0.05, any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        (0.0..1.0, 1..2000_usize).prop_map(|(at, count)| Change::Remove(at, count)),
        (0.0..1.0, prop::collection::vec(any::<u8>(), 1..20))
            .prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        (0.0..1.0, 1..2000_usize).prop_map(|(at, count)| Change::Repeat(at, count)),
    ]
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let place = |at: &f64| (bytes.len() as f64 * at) as usize;
        match self {
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Set(at, byte) => {
                let place = place(at);
                bytes.splice(place..(place + 1).min(bytes.len()), [*byte]);
            }
            Change::Remove(at, count) => {
                let place = place(at);
                bytes.drain(place..(place + count).min(bytes.len()));
            }
            Change::Insert(at, inserted) => {
                let place = place(at);
                bytes.splice(place..place, inserted.iter().copied());
            }
            Change::Repeat(at, count) => {
                let place = place(at);
                let part = bytes[place..(place + count).min(bytes.len())].to_vec();
                bytes.splice(place..place, part);
            }
        }
    }
}

const SETTINGS: &str = r#"{"mappings":[{"event":"*","stream":"s"}]}"#;

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn changed_components_are_refused_or_work(changes in prop::collection::vec(any_change(), 1..4)) {
        let mut bytes = DEFAULT_PLUGIN.to_vec();
        changes.iter().for_each(|change| change.apply(&mut bytes));
        match CompiledComponent::new(&ENGINE, &bytes) {
            Err(error) => prop_assert!(error.to_string().len() < 10_000, "{error}"),
            Ok(compiled) => {
                let _ = compiled.configure(SETTINGS);
            }
        }
    }

    #[test]
    fn any_bytes_are_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..300), is_component: bool) {
        if is_component {
            bytes.splice(0..0, *b"\0asm\x0d\0\x01\0");
        }
        let _ = inspect(&ENGINE, &bytes);
        // Text is a script, which fails when it is evaluated.
        let compiled = CompiledComponent::new(&ENGINE, &bytes);
        prop_assert!(compiled.and_then(|compiled| compiled.configure(SETTINGS)).is_err());
    }
}
