//! Tests the settings of `[plugin]`: trust, limits, breaker, canary and shadow, each at its limit
//! and above.

use std::path::Path;
use std::time::Duration;

use standpipe_core::settings::{SecretManager, SettingsChecker};

use super::*;
use crate::{CanarySettings, CircuitBreakerSettings, InstanceLimits};

fn mistakes(check: impl FnOnce(&mut TableChecker<'_>)) -> Vec<String> {
    let mut checker = SettingsChecker::new(Path::new(""), SecretManager::None);
    check(&mut checker.table("plugin"));
    checker.into_mistakes()
}

#[test]
fn defaults_are_those_of_what_they_configure() {
    let found = mistakes(|check| {
        assert_eq!(RawPluginLimits::default().check(check), InstanceLimits::default());
        assert_eq!(RawBreaker::default().check(check), CircuitBreakerSettings::default());
        assert_eq!(RawCanary::default().check(check), CanarySettings::default());
        assert_eq!(RawPlugin::default().check_trust(check), Trust::default());
    });
    assert_eq!(found, [""; 0]);
}

#[test]
fn the_bounds_of_an_instance_are_taken_and_one_beyond_is_not() {
    let raw = |bytes, calls| RawPluginLimits {
        memory_bytes: Some(bytes),
        max_calls: Some(calls),
        max_age: Some("7d".to_owned()),
        ..RawPluginLimits::default()
    };
    let found = mistakes(|check| {
        let instance_limits = raw(1 << 32, 1).check(check);
        assert_eq!(instance_limits.age, Duration::from_secs(7 * 24 * 3600));
        assert_eq!((instance_limits.memory_bytes, instance_limits.calls), (1 << 32, 1));
        raw((1 << 32) + 1, 0).check(&mut check.table("limits"));
    });
    assert_eq!(
        found,
        [
            "[plugin.limits] memory_bytes is 4294967297: write a number from 1048576 to 4294967296",
            "[plugin.limits] max_calls is 0: write 1 or more",
        ]
    );
}

#[test]
fn pins_of_all_roles_are_checked() {
    let shadow = RawShadow { sha256: Some("A".repeat(64)), ..RawShadow::default() };
    let canary = RawCanary { sha256: Some("A".repeat(63)), ..RawCanary::default() };
    let raw = RawPlugin { shadow: Some(shadow), canary: Some(canary), ..RawPlugin::default() };
    let found = mistakes(|check| {
        assert_eq!(raw.check_trust(check).shadow_sha256, Some("a".repeat(64)));
    });
    assert_eq!(found.len(), 1);
    assert!(found[0].starts_with("[plugin.canary] sha256 is not a SHA-256"), "{found:?}");
}

#[test]
fn shares_have_bounds() {
    let found = mistakes(|check| {
        let breaker = RawBreaker { failing_cpu: Some(0.009), ..RawBreaker::default() };
        breaker.check(&mut check.table("breaker"));
        let canary = RawCanary { max_error_rate: Some(1.5), ..RawCanary::default() };
        canary.check(&mut check.table("canary"));
    });
    assert_eq!(
        found,
        [
            "[plugin.breaker] failing_cpu is 0.009: write a share from 0.01 to 1, such as 0.5 for half of the workers' \
             time",
            "[plugin.canary] max_error_rate is 1.5: write a share from 0 to 1, such as 0.05 for 5 %",
        ]
    );
}

#[test]
fn settings_inside_of_another_file_are_read_the_same() {
    #[derive(serde::Deserialize)]
    struct Own {
        plugin: RawPlugin,
    }
    let read = |text: &str| toml::from_str::<Own>(text).map(|own| own.plugin);
    let text = "[plugin.settings]\nday = 2026-11-29\nlist = [08:30:00, 1, 2.5, true, 'x', { a = 18446744073709551615 }]\n\
                [plugin.canary.settings]\nday = 2026-11-29T08:30:00Z\n[plugin.shadow.settings]\n";
    let plugin = read(text).unwrap();
    assert_eq!(
        serde_json::Value::Object(plugin.settings),
        serde_json::json!({
            "day": "2026-11-29",
            "list": ["08:30:00", 1, 2.5, true, "x", {"a": 18_446_744_073_709_551_615_u64}],
        })
    );
    let canary = plugin.canary.unwrap().settings.unwrap();
    assert_eq!(canary["day"], "2026-11-29T08:30:00Z");
    assert_eq!(plugin.shadow.unwrap().settings.unwrap().len(), 0);
    for wrong in [
        "[plugin.settings]\na = inf",
        "[plugin.canary.settings]\na = [nan]",
        "[plugin]\nsettings = 7",
    ] {
        assert!(read(wrong).is_err(), "{wrong}");
    }
}
