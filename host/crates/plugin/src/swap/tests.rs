//! Tests the life cycle of plugins in their roles, with scripted plugins: which plugin decides
//! after each call, what is kept for a rollback, and that a rejected candidate changes nothing.

use std::borrow::Cow;
use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::*;
use crate::cases::Cases;
use crate::scripted::{self, PluginScript, ScriptedAct, ScriptedEnd};
use crate::{
    CanarySettings, CircuitBreakerSettings, Engine, Generation, PluginRoles, PluginSettings, Trust,
    sha256_hex,
};
use standpipe_core::test_deadline::run_with_deadline;

/// A plugin for these tests: it sends every event to the stream of its name.
#[derive(Default)]
struct Fake {
    name: &'static str,
    /// The plugin rejects settings that contain this word.
    refuses: Option<&'static str>,
    /// Whether the plugin traps on every event.
    traps: bool,
    /// Whether the plugin has declared other streams since it was configured.
    has_redeclared: AtomicBool,
    /// How often the plugin was configured.
    configured: AtomicUsize,
    /// What happens during the next configuration of the plugin.
    meanwhile: Mutex<Option<Meanwhile>>,
}

type Meanwhile = Box<dyn FnOnce() + Send>;

impl PluginScript for Fake {
    fn act(&self, _source: &str, _text: &str) -> ScriptedAct {
        let end = match self.traps {
            true => ScriptedEnd::Trap,
            false => ScriptedEnd::Deliver(vec![self.name.to_owned()]),
        };
        ScriptedAct { cpu: Duration::ZERO, end }
    }

    fn spend(&self, _cpu: Duration) {}

    fn has_redeclared(&self) -> bool {
        self.has_redeclared.load(Ordering::Relaxed)
    }

    fn configure(&self, settings: &str) -> Result<Vec<String>, String> {
        self.has_redeclared.store(false, Ordering::Relaxed);
        self.configured.fetch_add(1, Ordering::Relaxed);
        if let Some(meanwhile) = self.meanwhile.lock().take() {
            meanwhile();
        }
        match self.refuses {
            Some(word) if settings.contains(word) => Err(format!("{word} is not allowed")),
            _ => Ok(vec![self.name.to_owned()]),
        }
    }
}

fn fake(name: &'static str) -> Fake {
    Fake { name, ..Fake::default() }
}

/// A candidate with this plugin and its own component.
fn candidate(fake: Fake) -> (Candidate, Arc<Fake>) {
    let fake = Arc::new(fake);
    let bytes = format!("script {}", fake.name).into_bytes();
    scripted::register_script(&bytes, Arc::clone(&fake) as Arc<dyn PluginScript>);
    let origin = format!("{}.wasm", fake.name);
    let candidate = Candidate {
        bytes: Cow::Owned(bytes),
        signature: SignatureCheck::None,
        runner: None,
        settings: None,
        origin,
    };
    (candidate, fake)
}

fn plain(name: &'static str) -> Candidate {
    candidate(fake(name)).0
}

fn with_settings(candidate: Candidate, settings: &str) -> Candidate {
    Candidate { settings: Some(settings.into()), ..candidate }
}

fn digest(candidate: &Candidate) -> String {
    sha256_hex(&candidate.bytes)
}

/// Trust settings that only permit this component.
fn pinned(candidate: &Candidate) -> Trust {
    Trust { sha256: Some(digest(candidate)), ..Trust::default() }
}

fn settings() -> SwapperSettings {
    let workers = NonZero::new(2).unwrap();
    SwapperSettings { workers, breaker: CircuitBreakerSettings::default() }
}

/// Creates a swapper with this first plugin.
fn start(first: &Candidate, policy: LoadPolicy) -> Swapper {
    let engine = Engine::new(None).unwrap();
    Swapper::start(engine, settings(), first, policy).unwrap()
}

/// Whether nothing has been published since `before`.
fn is_unchanged(swapper: &Swapper, before: &Arc<PluginRoles>) -> bool {
    Arc::ptr_eq(&swapper.roles().load(), before)
}

/// The active component.
fn active(swapper: &Swapper) -> String {
    swapper.report().active.origin
}

/// The active plugin, the plugins in the other roles, and the number of the latest generation.
fn roles(swapper: &Swapper) -> (String, Option<String>, Option<String>, Option<String>) {
    let report = swapper.report();
    (
        report.active.origin,
        report.previous.map(|previous| previous.origin),
        report.canary.map(|canary| canary.plugin.origin),
        report.shadow.map(|shadow| shadow.plugin.origin),
    )
}

fn cases(stream: &str) -> LoadPolicy {
    let text = format!(
        r#"{{"cases":[{{"name":"one","event":{{}},"expect":[{{"stream":"{stream}"}}]}}]}}"#
    );
    let cases = Cases::parse(text.as_bytes()).unwrap();
    LoadPolicy { cases: Some(Arc::new(cases)), ..LoadPolicy::default() }
}

#[test]
fn a_refused_candidate_changes_nothing_but_a_counter() {
    let first = plain("first");
    let trap = candidate(Fake { traps: true, ..fake("trap") }).0;
    let picky = candidate(Fake { refuses: Some("bad"), ..fake("picky") }).0;
    let no_component = Candidate { bytes: Cow::Owned(b"<text>".to_vec()), ..plain("none") };
    for (step, candidate, policy) in [
        (
            SwapStep::Trust,
            plain("other"),
            LoadPolicy { trust: pinned(&first), ..LoadPolicy::default() },
        ),
        (SwapStep::Compile, no_component, LoadPolicy::default()),
        (SwapStep::Configure, with_settings(picky, r#"{"a":"bad"}"#), LoadPolicy::default()),
        (SwapStep::Samples, trap, LoadPolicy::default()),
        (SwapStep::Cases, plain("third"), cases("elsewhere")),
    ] {
        let swapper = start(&first, LoadPolicy::default());
        let before = swapper.roles().load();
        let refused = swapper.swap_with_policy(&candidate, policy).unwrap_err();
        assert_eq!(refused.step, step, "{refused}");
        assert_eq!(refused.digest.as_deref(), Some(&*digest(&candidate)));
        assert!(is_unchanged(&swapper, &before), "{step:?} published something");
        let report = swapper.report();
        assert_eq!((report.active.generation, report.swaps), (1, 0));
        assert_eq!(report.refused.values().sum::<u64>(), 1);
        assert_eq!(report.refused[step.word()], 1);
        assert_eq!(report.last_refused.unwrap().step, step.word());
        // The policy of a rejected candidate does not apply to later ones.
        assert!(matches!(swapper.swap(&plain("second")), Ok(Swapped::Taken(2))));
    }
}

#[test]
fn a_plugin_that_takes_over_is_another_generation_and_keeps_the_one_before() {
    let (first, second) = (plain("first"), plain("second"));
    let swapper = start(&first, LoadPolicy::default());
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, None, None));
    assert_eq!(swapper.swap(&second).unwrap(), Swapped::Taken(2));
    let before = Some("first.wasm".to_owned());
    assert_eq!(roles(&swapper), ("second.wasm".into(), before.clone(), None, None));
    let before = swapper.roles().load();
    assert_eq!(swapper.swap(&second).unwrap(), Swapped::Unchanged(2));
    assert!(is_unchanged(&swapper, &before));
    // The same component with other settings is another plugin.
    let other = with_settings(second, r#"{"a":1}"#);
    assert_eq!(swapper.swap(&other).unwrap(), Swapped::Taken(3));
    assert_eq!(swapper.report().swaps, 2);
}

#[test]
fn what_has_passed_its_steps_is_not_configured_again() {
    let (first, script) = candidate(fake("first"));
    let swapper = start(&first, LoadPolicy::default());
    assert_eq!(script.configured.load(Ordering::Relaxed), 1);
    swapper.swap(&plain("second")).unwrap();
    swapper.swap(&first).unwrap();
    assert_eq!(active(&swapper), "first.wasm");
    assert_eq!(script.configured.load(Ordering::Relaxed), 1);
}

#[test]
fn a_rollback_is_withdrawn_once_and_by_number() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    assert!(matches!(swapper.roll_back(None), Err(RoleChangeError::NoPrevious)));
    swapper.swap(&plain("second")).unwrap();
    let refused = swapper.roll_back(Some(1)).unwrap_err();
    assert!(
        matches!(refused, RoleChangeError::OtherGeneration { named: 1, active: 2 }),
        "{refused}"
    );
    assert_eq!(swapper.roll_back(Some(2)).unwrap(), Swapped::Taken(3));
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, None, None));
    assert_eq!(swapper.report().withdrawn, Some(2));
    // A repeated call does not restore the withdrawn plugin.
    assert_eq!(swapper.roll_back(None).unwrap(), Swapped::Unchanged(3));
    assert_eq!(swapper.roll_back(Some(2)).unwrap(), Swapped::Unchanged(3));
    assert_eq!(active(&swapper), "first.wasm");
    swapper.swap(&plain("second")).unwrap();
    assert_eq!(swapper.report().withdrawn, None);
    assert_eq!(swapper.roll_back(None).unwrap(), Swapped::Taken(5));
}

#[test]
fn a_rollback_brings_back_settings_and_keeps_the_trust() {
    let (first, second) = (plain("first"), plain("second"));
    let own = LoadPolicy { settings: r#"{"a":1}"#.into(), ..LoadPolicy::default() };
    let swapper = start(&first, own);
    let pin = LoadPolicy { trust: pinned(&second), ..LoadPolicy::default() };
    swapper.swap_with_policy(&second, pin).unwrap();
    let refused = swapper.roll_back(None).unwrap_err();
    assert!(matches!(refused, RoleChangeError::Untrusted(_)), "{refused}");
    assert_eq!(active(&swapper), "second.wasm");
    // The previous plugin is still available once it is trusted.
    swapper.swap_with_policy(&second, LoadPolicy::default()).unwrap();
    assert_eq!(swapper.roll_back(None).unwrap(), Swapped::Taken(3));
    assert_eq!(swapper.policy().settings.text(), r#"{"a":1}"#);
    assert_eq!(swapper.policy().trust, Trust::default());
}

#[test]
fn a_canary_is_beside_the_active_plugin_until_another_one_takes_over() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    assert!(matches!(swapper.end_canary(), Err(RoleChangeError::NoCanary)));
    assert!(matches!(swapper.promote_canary(), Err(RoleChangeError::NoCanary)));
    assert_eq!(swapper.try_canary(&plain("canary"), CanarySettings::default()).unwrap(), 2);
    swapper.start_shadow(&plain("shadow")).unwrap();
    let beside = (Some("canary.wasm".to_owned()), Some("shadow.wasm".to_owned()));
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, beside.0, beside.1.clone()));
    // A rejected candidate does not replace the current one.
    let trap = candidate(Fake { traps: true, ..fake("trap") }).0;
    assert_eq!(
        swapper.try_canary(&trap, CanarySettings::default()).unwrap_err().step,
        SwapStep::Samples
    );
    assert_eq!(swapper.report().canary.unwrap().plugin.generation, 2);
    // A swap ends the canary, which was compared with the former active plugin, but not the shadow.
    swapper.swap(&plain("second")).unwrap();
    let before = Some("first.wasm".to_owned());
    assert_eq!(roles(&swapper), ("second.wasm".into(), before, None, beside.1));
}

#[test]
fn a_promoted_canary_decides_with_the_settings_that_it_was_tried_with() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    let canary = with_settings(plain("canary"), r#"{"a":1}"#);
    swapper.try_canary(&canary, CanarySettings::default()).unwrap();
    assert_eq!(swapper.promote_canary().unwrap(), 3);
    let before = Some("first.wasm".to_owned());
    assert_eq!(roles(&swapper), ("canary.wasm".into(), before, None, None));
    assert_eq!(swapper.policy().settings.text(), r#"{"a":1}"#);
    assert_eq!(swapper.roll_back(None).unwrap(), Swapped::Taken(4));
    assert_eq!(active(&swapper), "first.wasm");
}

#[test]
fn a_canary_that_may_not_decide_is_not_promoted() {
    let (first, canary) = (plain("first"), plain("canary"));
    let trust = Trust { canary_sha256: Some(digest(&canary)), ..pinned(&first) };
    let swapper = start(&first, LoadPolicy { trust, ..LoadPolicy::default() });
    swapper.try_canary(&canary, CanarySettings::default()).unwrap();
    let refused = swapper.promote_canary().unwrap_err();
    assert!(matches!(refused, RoleChangeError::Untrusted(_)), "{refused}");
    let beside = Some("canary.wasm".to_owned());
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, beside, None));
}

#[test]
fn what_new_terms_do_not_trust_ends() {
    let (first, canary, shadow) = (plain("first"), plain("canary"), plain("shadow"));
    let swapper = start(&first, LoadPolicy::default());
    swapper.try_canary(&canary, CanarySettings::default()).unwrap();
    swapper.start_shadow(&shadow).unwrap();
    let trust = Trust { canary_sha256: Some(digest(&canary)), ..pinned(&first) };
    let unchanged = swapper.swap_with_policy(&first, LoadPolicy { trust, ..LoadPolicy::default() });
    assert_eq!(unchanged.unwrap(), Swapped::Unchanged(1));
    let beside = Some("canary.wasm".to_owned());
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, beside, None));
    let report = swapper.report();
    assert_eq!(report.refused[SwapStep::Trust.word()], 1);
    assert!(report.last_refused.unwrap().reason.contains("the shadow ends"));
}

#[test]
fn a_canary_that_fails_too_often_is_out_for_good() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    let settings = CanarySettings { percent: 50.0, error_rate_max: 0.1, events_min: 100 };
    swapper.try_canary(&plain("canary"), settings).unwrap();
    let canary = swapper.roles().load().canary.clone().unwrap();
    canary.count_batch(99, 99);
    assert!(!canary.is_out(), "it was judged by too few events");
    canary.count_batch(891, 0);
    assert!(!canary.is_out(), "99 of 990 are no more than a tenth");
    canary.count_batch(10, 10);
    assert!(canary.is_out(), "109 of 1000 are more than a tenth");
    canary.count_batch(1_000_000, 0);
    assert!(canary.is_out(), "it came back");
    assert!(swapper.report().canary.unwrap().is_out);
}

#[test]
fn a_changed_secret_configures_each_role_anew() {
    const OLD: &str = r#"{"key":"old"}"#;
    const NEW: &str = r#"{"key":"new"}"#;
    const WRITTEN: &str = r#"{"key":"secret:k"}"#;
    let old = || PluginSettings::resolved(WRITTEN, OLD.to_owned());
    let swapper = start(&plain("first"), LoadPolicy { settings: old(), ..LoadPolicy::default() });
    swapper.swap(&plain("second")).unwrap();
    swapper.try_canary(&plain("canary"), CanarySettings::default()).unwrap();
    swapper.start_shadow(&plain("shadow")).unwrap();
    let in_roles = roles(&swapper);
    let before = swapper.roles().load();
    swapper.refresh(&|written| (written == WRITTEN).then(old));
    assert!(is_unchanged(&swapper, &before), "nothing has changed");
    let new = |written: &str| {
        (written == WRITTEN).then(|| PluginSettings::resolved(WRITTEN, NEW.to_owned()))
    };
    swapper.refresh(&new);
    assert_eq!(roles(&swapper), in_roles, "a role has changed");
    let stage = swapper.roles().load();
    let text = |generation: &Generation| generation.plugin().settings().text().to_owned();
    assert_eq!(text(&stage.active), NEW);
    assert_eq!(text(stage.canary.as_ref().unwrap().generation()), NEW);
    assert_eq!(text(stage.shadow.as_ref().unwrap().generation()), NEW);
    assert_eq!(swapper.report().swaps, 1, "a refresh is not a swap");
    // The plugin of the rollback also has the new secret.
    swapper.roll_back(None).unwrap();
    assert_eq!(active(&swapper), "first.wasm");
    assert_eq!(text(&swapper.roles().load().active), NEW);
}

#[test]
fn a_secret_that_a_plugin_refuses_leaves_it_as_it_is() {
    let (first, script) = candidate(Fake { refuses: Some("new"), ..fake("first") });
    let written = PluginSettings::resolved(r#"{"key":"secret:k"}"#, r#"{"key":"old"}"#.into());
    let swapper = start(&first, LoadPolicy { settings: written, ..LoadPolicy::default() });
    let before = swapper.roles().load();
    let new = |written: &str| Some(PluginSettings::resolved(written, r#"{"key":"new"}"#.into()));
    swapper.refresh(&new);
    assert_eq!(script.configured.load(Ordering::Relaxed), 2);
    assert!(is_unchanged(&swapper, &before));
    let stage = swapper.roles().load();
    assert_eq!(stage.active.plugin().settings().text(), r#"{"key":"old"}"#);
    assert_eq!(swapper.report().refused[SwapStep::Configure.word()], 1);
}

#[test]
fn a_plugin_that_declares_other_streams_goes_on_as_another_generation() {
    run_with_deadline(renew_beside_a_check);
}

fn renew_beside_a_check() {
    let (first, own) = candidate(fake("first"));
    let swapper = start(&first, LoadPolicy::default());
    swapper.try_canary(&plain("canary"), CanarySettings::default()).unwrap();
    assert_eq!(swapper.renew().unwrap(), Swapped::Unchanged(1));
    own.has_redeclared.store(true, Ordering::Relaxed);
    // The validation of a candidate has priority.
    let (second, script) = candidate(fake("second"));
    let (renewing, renewed) = (swapper.clone(), Arc::new(Mutex::new(None)));
    let renew = {
        let renewed = Arc::clone(&renewed);
        move || *renewed.lock() = renewing.renew().ok()
    };
    *script.meanwhile.lock() = Some(Box::new(renew));
    swapper.check(&second).unwrap();
    assert_eq!(*renewed.lock(), Some(Swapped::Unchanged(1)));
    assert_eq!(swapper.renew().unwrap(), Swapped::Taken(3));
    let beside = Some("canary.wasm".to_owned());
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, beside, None));
    assert_eq!(swapper.renew().unwrap(), Swapped::Unchanged(3));
}

#[test]
fn a_shadow_is_compared_until_it_ends() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    assert!(matches!(swapper.end_shadow(), Err(RoleChangeError::NoShadow)));
    swapper.start_shadow(&plain("shadow")).unwrap();
    let stage = swapper.roles().load();
    let (text, envelope) = standpipe_core::event::scan(b"{}", 8).unwrap();
    let events = [standpipe_core::event::Event { index: 0, line: 1, text, envelope }];
    let decisions = crate::Mapper::new(stage.active.plugin().clone()).map("web", &events);
    stage.shadow.as_ref().unwrap().submit("web", &events, stage.active.plugin(), decisions);
    let ended = swapper.end_shadow().unwrap();
    assert_eq!((ended.skipped, ended.comparison.compared()), (0, 1));
    assert_eq!(ended.comparison.changed(), 1, "it sends events elsewhere");
    assert_eq!(roles(&swapper), ("first.wasm".into(), None, None, None));
    assert!(matches!(swapper.end_shadow(), Err(RoleChangeError::NoShadow)));
}

#[test]
fn a_check_leaves_everything_as_it_is() {
    let swapper = start(&plain("first"), LoadPolicy::default());
    let before = swapper.roles().load();
    assert_eq!(&**swapper.check(&plain("second")).unwrap().digest(), digest(&plain("second")));
    let trap = candidate(Fake { traps: true, ..fake("trap") }).0;
    assert_eq!(swapper.check(&trap).unwrap_err().step, SwapStep::Samples);
    assert!(is_unchanged(&swapper, &before));
    assert_eq!(swapper.report().refused.values().sum::<u64>(), 0, "nobody offered it");
}
