//! A plugin that maps the same events, but whose decisions are only compared. It has a thread of
//! the lowest priority and a short queue. Events that do not fit are counted as skipped.

use std::borrow::Cow;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use parking_lot::Mutex;
use rustix::process::setpriority_process;

use super::compare::Comparison;
use super::stack::plugin_thread;
use super::{Admission, BatchTally, Decisions, EventReads, Generation, Mapper, Plugin};
use standpipe_core::event::{Envelope, Event};

/// Batches that wait for a shadow. The number is large enough that its thread is not woken for each
/// batch, and limits the queue to some megabytes of events.
const SHADOW_BATCHES_QUEUED: usize = 4;

/// How long a run waits for its shadow at the end. The shadow decides nothing, so the time is
/// short.
const SHADOW_SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the run checks the shadow's queue.
const SHADOW_SETTLE_POLL: Duration = Duration::from_millis(5);

/// The lowest scheduling priority of a thread.
const LOWEST_PRIORITY: i32 = 19;

/// A plugin that maps the same events as the active one, but whose decisions are only compared.
///
/// The shadow runs on its own thread at the lowest priority. A worker passes it a copy of a batch
/// if its queue has room, and otherwise counts the events as skipped. So a shadow does not delay
/// events.
#[derive(Debug)]
pub struct Shadow {
    generation: Arc<Generation>,
    /// Whether the shadow needs the texts of events.
    reads_text: bool,
    batches: Sender<ShadowBatch>,
    offered: AtomicU64,
    seen: Arc<ShadowProgress>,
}

#[derive(Debug, Default)]
struct ShadowProgress {
    comparison: Mutex<Comparison>,
    skipped: AtomicU64,
}

/// Events that a worker has processed, as a copy.
#[derive(Debug)]
struct ShadowBatch {
    source: String,
    texts: String,
    events: Vec<KeptEvent>,
    active: Plugin,
    decisions: Decisions,
}

#[derive(Debug)]
struct KeptEvent {
    line: u64,
    text: Range<usize>,
    message_type: Option<KeptWord>,
    name: Option<KeptWord>,
}

/// A word of an envelope. Usually it is a part of the batch's texts.
#[derive(Debug)]
enum KeptWord {
    Here(Range<usize>),
    Elsewhere(String),
}

impl Shadow {
    /// Starts the shadow's thread.
    ///
    /// # Errors
    ///
    /// Fails if the system cannot create the thread.
    pub fn start(generation: Arc<Generation>) -> io::Result<Self> {
        let (batches, received) = crossbeam_channel::bounded(SHADOW_BATCHES_QUEUED);
        let seen = Arc::<ShadowProgress>::default();
        let reads_text = generation.plugin().reads() == EventReads::Text;
        let work = {
            let (generation, seen) = (Arc::clone(&generation), Arc::clone(&seen));
            move || run_shadow(&generation, &received, &seen)
        };
        plugin_thread("shadow").spawn(work)?;
        Ok(Shadow { generation, reads_text, batches, offered: AtomicU64::new(0), seen })
    }

    /// The shadow's plugin.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The comparison so far.
    pub fn comparison(&self) -> Comparison {
        self.seen.comparison.lock().clone()
    }

    /// Waits until the shadow's queue is empty, up to a limit.
    #[expect(
        clippy::disallowed_methods,
        reason = "it has a deadline, and the shadow is not to be slowed down by waking others"
    )]
    pub fn settle(&self) {
        let deadline = Instant::now() + SHADOW_SETTLE_TIMEOUT;
        let is_through = || {
            let compared = self.seen.comparison.lock().compared();
            compared + self.skipped() == self.offered.load(Ordering::Relaxed)
        };
        while !is_through() && Instant::now() < deadline {
            thread::sleep(SHADOW_SETTLE_POLL);
        }
    }

    /// Events that were skipped because the queue was full.
    pub fn skipped(&self) -> u64 {
        self.seen.skipped.load(Ordering::Relaxed)
    }

    /// Submits a batch that the active plugin has decided, if there is room.
    pub fn submit(
        &self,
        source: &str,
        events: &[Event<'_>],
        active: &Plugin,
        decisions: Decisions,
    ) {
        self.offered.fetch_add(events.len() as u64, Ordering::Relaxed);
        if self.batches.is_full() {
            self.seen.skipped.fetch_add(events.len() as u64, Ordering::Relaxed);
            return;
        }
        let with_text = self.reads_text || decisions.have_payloads();
        let (texts, events) = copy_events(events, with_text);
        let (source, active) = (source.to_owned(), active.clone());
        let batch = ShadowBatch { source, texts, events, active, decisions };
        if let Err(refused) = self.batches.try_send(batch) {
            let events = refused.into_inner().events.len();
            self.seen.skipped.fetch_add(events as u64, Ordering::Relaxed);
        }
    }
}

fn run_shadow(generation: &Generation, batches: &Receiver<ShadowBatch>, seen: &ShadowProgress) {
    // If the system refuses, the thread has the usual priority.
    let _ = setpriority_process(None, LOWEST_PRIORITY);
    let mut mapper = Mapper::with_requests(generation.plugin().clone());
    for batch in batches {
        let events: Vec<_> = batch.events.iter().map(|kept| kept.to_event(&batch.texts)).collect();
        let start = Instant::now();
        let skip = |count: usize| seen.skipped.fetch_add(count as u64, Ordering::Relaxed);
        // A shadow must not delay events, so it does not wait either.
        let Admission::Ask(patience) = generation.breaker().admit(&batch.source, start) else {
            skip(events.len());
            continue;
        };
        let decisions = match mapper.map_within(&batch.source, &events, &patience) {
            Ok(decisions) => decisions,
            Err(unavailable) => {
                generation.note_unavailable("the shadow", &unavailable);
                skip(events.len());
                continue;
            }
        };
        generation.count_call(start.elapsed(), mapper.memory_bytes());
        let asked = events.len().min(patience.events_max);
        let (now, left) = events.split_at(decisions.decided_events(asked));
        let tally = BatchTally::of_decisions(&decisions, now.len());
        generation.count_batch(&batch.source, &tally, decisions.wasted_cpu());
        let (old, new) = ((&batch.active, &batch.decisions), (mapper.plugin(), &decisions));
        let mut comparison = seen.comparison.lock();
        comparison.add_batch(&batch.source, now, old, new);
        skip(left.len());
    }
}

/// Copies events, without their texts if neither plugin reads them.
fn copy_events(events: &[Event<'_>], with_text: bool) -> (String, Vec<KeptEvent>) {
    let bytes = if with_text { events.iter().map(|event| event.text.len()).sum() } else { 0 };
    let mut texts = String::with_capacity(bytes);
    let kept = events.iter().map(|event| {
        let start = texts.len();
        if with_text {
            texts.push_str(event.text);
        }
        let text = start..texts.len();
        let word = |word: &Option<Cow<'_, str>>| {
            word.as_deref().map(|word| match find_within(event.text, word).filter(|_| with_text) {
                Some(place) => KeptWord::Here(start + place.start..start + place.end),
                None => KeptWord::Elsewhere(word.to_owned()),
            })
        };
        let (message_type, name) = (word(&event.envelope.message_type), word(&event.envelope.name));
        KeptEvent { line: event.line, text, message_type, name }
    });
    let kept = kept.collect();
    (texts, kept)
}

/// The range of a word in a text, if the word is borrowed from the text.
fn find_within(text: &str, word: &str) -> Option<Range<usize>> {
    let start = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start.checked_add(word.len())?;
    (text.get(start..end)? == word).then_some(start..end)
}

impl KeptEvent {
    fn to_event<'a>(&'a self, texts: &'a str) -> Event<'a> {
        let word = |word: &'a Option<KeptWord>| {
            word.as_ref().map(|word| match word {
                KeptWord::Here(place) => Cow::Borrowed(&texts[place.clone()]),
                KeptWord::Elsewhere(word) => Cow::Borrowed(word.as_str()),
            })
        };
        let envelope = Envelope { message_type: word(&self.message_type), name: word(&self.name) };
        Event { index: 0, line: self.line, text: &texts[self.text.clone()], envelope }
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZero;

    use super::*;
    use crate::{AdmittedPlugin, CircuitBreakerSettings};
    use standpipe_core::event::scan;

    fn mapping(stream: &str) -> Plugin {
        let rows = [("track", "tracks"), ("*", stream)];
        let rows =
            rows.map(|(event, stream)| serde_json::json!({"event": event, "stream": stream}));
        Plugin::native(&serde_json::json!({"mappings": rows}).to_string()).unwrap()
    }

    fn shadow(plugin: Plugin) -> Shadow {
        let plugin = AdmittedPlugin::without_component(plugin).unwrap();
        let generation =
            Generation::new(2, plugin, CircuitBreakerSettings::default(), NonZero::<usize>::MIN);
        Shadow::start(Arc::new(generation)).unwrap()
    }

    #[test]
    fn what_is_kept_of_events_reads_as_they_do() {
        let texts =
            [r#"{"type":"track","event":"a"}"#, r#"{"type":"p\u0061ge","event":"ä"}"#, "{}"];
        let events = texts.map(|text| {
            let (text, envelope) = scan(text.as_bytes(), 10).unwrap();
            Event { index: 0, line: 7, text, envelope }
        });
        for with_text in [true, false] {
            let (texts, kept) = copy_events(&events, with_text);
            for (event, kept) in events.iter().zip(&kept) {
                let again = kept.to_event(&texts);
                assert_eq!(again.envelope, event.envelope);
                assert_eq!((again.line, again.text), (7, if with_text { event.text } else { "" }));
            }
        }
    }

    #[test]
    fn every_event_is_compared_or_skipped() {
        let (active, shadow) = (mapping("rest"), shadow(mapping("others")));
        let text = r#"{"type":"page"}"#;
        for line in 1..=2000 {
            let (text, envelope) = scan(text.as_bytes(), 10).unwrap();
            let events = [Event { index: 0, line, text, envelope }];
            let decisions = Mapper::new(active.clone()).map("test", &events);
            shadow.submit("test", &events, &active, decisions);
        }
        shadow.settle();
        let comparison = shadow.comparison();
        assert!(comparison.compared() > 0);
        assert_eq!(comparison.compared() + shadow.skipped(), 2000);
        assert_eq!(comparison.changed(), comparison.compared());
    }
}
