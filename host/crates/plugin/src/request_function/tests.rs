//! Runs functions in components.

use std::borrow::Cow;
use std::num::NonZero;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{DEFAULT_PLUGIN, Fault, InstanceLimits, LoadError, SignatureCheck};

/// The engine of all tests, with a small memory for each instance.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let limits = InstanceLimits { memory_bytes: 32 << 20, ..InstanceLimits::default() };
        Engine::with(None, limits, NonZero::<usize>::MIN).unwrap()
    })
}

fn load_bytes(bytes: Vec<u8>, settings: &str) -> Result<RequestFunction, FunctionLoadError> {
    let candidate = Candidate {
        bytes: Cow::Owned(bytes),
        signature: SignatureCheck::None,
        settings: None,
        origin: "a test".to_owned(),
        runner: None,
    };
    let slots = FunctionSlots::default();
    RequestFunction::load(engine(), &candidate, settings.into(), &Trust::default(), &slots)
}

/// Loads a source function of Segment.
fn load(code: &str) -> Result<RequestFunction, FunctionLoadError> {
    let settings = json!({"script": {"dialect": "segment-source", "settings": {"key": "s"}}});
    load_bytes(code.as_bytes().to_vec(), &settings.to_string())
}

fn request(body: &[u8]) -> FunctionRequest {
    FunctionRequest {
        method: "POST".to_owned(),
        url: "https://collect.example/v1/functions/shop?a=1".to_owned(),
        headers: vec![("x-kind".to_owned(), "é".to_owned())],
        body: body.to_vec(),
    }
}

/// What tests tell the function to do.
const CODE: &str = "
    async function onRequest(request, settings) {
      const { then, count } = request.json();
      if (then === 'loop') for (;;);
      if (then === 'recurse') { const f = () => f() + 1; f(); }
      if (then === 'fill') { const all = []; for (;;) all.push('x'.repeat(1 << 20) + all.length); }
      if (then === 'throw') throw new Error('no \\u001b such order');
      if (then === 'retry') throw new RetryError('later');
      for (let n = 0; n < count; n++) {
        Segment.track({ event: request.headers.get('x-kind'), userId: settings.key, properties: { n } });
      }
    }";

#[tokio::test]
async fn each_fault_costs_its_own_request() {
    let function = load(CODE).unwrap();
    let handle = |body: serde_json::Value| function.handle(request(body.to_string().as_bytes()));
    let two = handle(json!({"count": 2})).await.unwrap();
    let event =
        |n| format!(r#"{{"type":"track","event":"é","properties":{{"n":{n}}},"userId":"s"}}"#);
    assert_eq!(two, [event(0), event(1)]);
    assert_eq!(handle(json!({})).await.unwrap(), [""; 0]);
    let start = Instant::now();
    let [looping, good] = [json!({"then": "loop"}), json!({"count": 1})];
    let (looped, good) = tokio::join!(handle(looping), handle(good));
    assert!(matches!(looped, Err(FunctionError::Fault(Fault::Deadline(_)))), "{looped:?}");
    assert_eq!(good.unwrap(), [event(0)]);
    assert!(start.elapsed() < Duration::from_secs(20));
    let filled = handle(json!({"then": "fill"})).await;
    match filled {
        // The memory is full, or the time is over first.
        Err(FunctionError::Fault(Fault::Memory(_) | Fault::Deadline(_) | Fault::Trap(_))) => {}
        // QuickJS throws an error when it gets no memory.
        Err(FunctionError::Rejected(message)) => assert!(message.contains("memory"), "{message}"),
        other => panic!("{other:?}"),
    }
    for (then, expected) in [("recurse", "call stack"), ("throw", "Error: no  such order")] {
        match handle(json!({"then": then})).await {
            Err(FunctionError::Rejected(message)) => {
                assert!(message.contains(expected), "{message}");
            }
            other => panic!("{other:?}"),
        }
    }
    match handle(json!({"then": "retry"})).await {
        Err(FunctionError::Retry(message)) => assert!(message.starts_with("RetryError: later")),
        other => panic!("{other:?}"),
    }
    assert_eq!(handle(json!({"count": 1})).await.unwrap(), [event(0)]);
}

#[tokio::test]
async fn idle_instances_are_used_again_and_few_are_kept() {
    let code = "let n = 0; async function onRequest() {
        n += 1; Segment.track({ event: 'e', userId: 'u', properties: { n } }); }";
    let function = load(code).unwrap();
    let mut counts = Vec::new();
    for _ in 0..3 {
        counts.extend(function.handle(request(b"")).await.unwrap());
    }
    let third = r#"{"type":"track","event":"e","properties":{"n":3},"userId":"u"}"#;
    assert_eq!(counts[2], third);
    let many = (0..limits::FUNCTION_CALLS_OF_ONE_MAX).map(|_| {
        let function = function.clone();
        tokio::spawn(async move { function.handle(request(b"")).await.map(|events| events.len()) })
    });
    for call in many.collect::<Vec<_>>() {
        assert_eq!(call.await.unwrap().unwrap(), 1);
    }
    let kept: Vec<_> = (0..limits::FUNCTION_IDLE_MAX + 1)
        .map(|_| {
            function
                .0
                .plugin
                .take_instance()
                .unwrap()
                .is_worn(&InstanceLimits { calls: 1, ..*engine().instance_limits() })
        })
        .collect();
    // Those that were kept have handled requests, and the next one is new.
    assert!(!kept[limits::FUNCTION_IDLE_MAX], "{kept:?}");
}

#[test]
fn what_handles_no_requests_is_refused() {
    let mapping =
        load_bytes(DEFAULT_PLUGIN.to_vec(), r#"{"mappings":[{"event":"*","stream":"s"}]}"#);
    assert!(matches!(mapping, Err(FunctionLoadError::NoFunction)), "{mapping:?}");
    let other = load("async function onTrack(event) { return event; }");
    let shown = other.unwrap_err().to_string();
    assert!(shown.contains("found no onRequest: define it"), "{shown}");
    let broken = load("async function onRequest( {");
    assert!(matches!(broken, Err(FunctionLoadError::Load(LoadError::Script(_)))), "{broken:?}");
    let key = minisign_verify::PublicKey::from_base64(
        "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3",
    );
    let trust = Trust { public_key: Some(key.unwrap()), ..Trust::default() };
    let candidate = Candidate {
        bytes: Cow::Borrowed(CODE.as_bytes()),
        signature: SignatureCheck::None,
        settings: None,
        origin: "a test".to_owned(),
        runner: None,
    };
    let slots = FunctionSlots::default();
    let unsigned = RequestFunction::load(engine(), &candidate, "{}".into(), &trust, &slots);
    assert!(matches!(unsigned, Err(FunctionLoadError::Untrusted(_))), "{unsigned:?}");
}

proptest! {
    #[test]
    fn only_objects_are_events(texts in prop::collection::vec("[ {}\\[\\]\":,a1]{0,6}", 0..4)) {
        let is_object =
            |text: &String| serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(text).is_ok();
        let expected = texts.iter().all(is_object);
        prop_assert_eq!(check_events(&texts).is_ok(), expected);
    }
}
