//! Tests that the default mapping as native code decides like the component. Otherwise, their
//! speeds could not be compared.

use std::fs;
use std::path::Path;

use serde_json::json;
use standpipe::config::{self, Overrides, PluginSource, Settings};
use standpipe_core::event::{Event, scan};
use standpipe_plugin_host::DEFAULT_PLUGIN;
use standpipe_plugin_host::{Engine, LoadError, Mapper, Plugin};
use standpipe_tests::events::Events;
use standpipe_tests::{case, workspace_directory};
use tempfile::TempDir;

const EVENTS: usize = 3000;
const BATCH: usize = 100;

#[test]
fn native_and_component_decide_the_same_in_all_cases() {
    let cache = TempDir::new().unwrap();
    let engine = Engine::new(Some(cache.path())).unwrap();
    let made_up = Events::new(7).into_ndjson(EVENTS);
    let (mut loaded, mut refused) = (0, 0);
    for folder in case::list_cases(&workspace_directory().join("tests/cases")) {
        let Some(settings) = read_case_settings(&folder) else { continue };
        let inputs = case::list_cases(&folder).into_iter().filter(|file| is_plain_input(file));
        let inputs = inputs.flat_map(|file| fs::read(file).unwrap());
        let input: Vec<_> = made_up.iter().copied().chain(inputs).collect();
        match load_both(&engine, &settings.plugin_settings) {
            (Ok(component), Ok(native)) => {
                assert_eq!(component.routes(), native.routes(), "{}", folder.display());
                assert_same_decisions(component, native, &input, &folder);
                loaded += 1;
            }
            (Err(component), Err(native)) => {
                assert_eq!(component.to_string(), native.to_string(), "{}", folder.display());
                refused += 1;
            }
            // Settings that read texts only work in the component.
            (Ok(_), Err(error)) if error.to_string().contains("native code routes by") => {}
            (component, native) => panic!("{}: {component:?}, {native:?}", folder.display()),
        }
    }
    assert!(loaded > 30 && refused > 0, "{loaded} settings are good, {refused} are not");
}

#[test]
fn more_outputs_than_an_event_may_have_are_a_fault_of_both() {
    let rows = (0..=standpipe_plugin_host::limits::PLUGIN_OUTPUTS_PER_EVENT_MAX)
        .map(|row| json!({"event": "a", "stream": format!("s{row}")}));
    let settings = json!({"fan_out": true, "mappings": rows.collect::<Vec<_>>()}).to_string();
    let (component, native) = load_both(&Engine::new(None).unwrap(), &settings);
    let input = b"{\"event\":\"b\"}\n{\"event\":\"a\"}\n{\"event\":\"c\"}\n";
    assert_same_decisions(component.unwrap(), native.unwrap(), input, Path::new("too many"));
}

fn load_both(
    engine: &Engine,
    settings: &str,
) -> (Result<Plugin, LoadError>, Result<Plugin, LoadError>) {
    (Plugin::load(engine, DEFAULT_PLUGIN, settings), Plugin::native(settings))
}

/// `None` if the host itself rejects them, or if they name another plugin.
fn read_case_settings(folder: &Path) -> Option<Settings> {
    let text = fs::read_to_string(folder.join("settings.toml")).unwrap();
    let settings = config::parse(&text).ok()?.check(folder, Overrides::default()).ok()?;
    (settings.plugin == PluginSource::BuiltIn).then_some(settings)
}

fn is_plain_input(file: &Path) -> bool {
    let name = file.file_name().unwrap().to_str().unwrap();
    name.starts_with("input") && name.ends_with(".ndjson")
}

fn assert_same_decisions(component: Plugin, native: Plugin, input: &[u8], folder: &Path) {
    assert!(component.streams().eq(native.streams()), "{}", folder.display());
    let (mut component, mut native) = (Mapper::new(component), Mapper::new(native));
    let events = (0..).zip(input.split(|&byte| byte == b'\n')).filter_map(|(index, line)| {
        let (text, envelope) = scan(line, standpipe_core::limits::EVENT_NESTING_MAX).ok()?;
        Some(Event { index, line: u64::from(index) + 1, text, envelope })
    });
    let events: Vec<_> = events.collect();
    for batch in events.chunks(BATCH) {
        let [component, native] =
            [&mut component, &mut native].map(|mapper| mapper.map("test", batch));
        for event in 0..batch.len() {
            assert_eq!(component.of(event), native.of(event), "{}", folder.display());
        }
    }
}
