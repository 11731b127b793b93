//! A plugin that is asked about the same events and whose decisions go nowhere. It has a thread of
//! the lowest priority and a short queue; what finds no room is counted as skipped.

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
use super::{Admission, Decisions, Generation, Mapper, Plugin, Reads, Tally};
use standpipe_core::event::{Envelope, Event};

/// Batches that wait for a shadow: enough that its thread is not woken for each, and
/// at most some megabytes of events.
const SHADOW_BATCHES_QUEUED: usize = 4;

/// How long a run that ends waits for its shadow, which decides nothing.
const SHADOW_SETTLE_TIMEOUT: Duration = Duration::from_secs(5);

/// How often it looks.
const SHADOW_SETTLE_POLL: Duration = Duration::from_millis(5);

/// The least right to a processor that a thread can ask for.
const LOWEST_PRIORITY: i32 = 19;

/// A plugin that is asked about the same events as the active one, and not listened
/// to: what it decides is compared, and goes nowhere.
///
/// It runs on a thread of its own, which gets the processors' time that nobody else
/// wants. A worker hands it a copy of a batch where it has room for one, and goes on
/// without a word where it has none: so a shadow can hold up nothing, and what it
/// did not see is counted.
#[derive(Debug)]
pub struct Shadow {
    generation: Arc<Generation>,
    /// Whether it must be shown what events say.
    reads_text: bool,
    batches: Sender<Batch>,
    offered: AtomicU64,
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    comparison: Mutex<Comparison>,
    skipped: AtomicU64,
}

/// Events that a worker is through with, in memory of their own.
#[derive(Debug)]
struct Batch {
    source: String,
    texts: String,
    events: Vec<Kept>,
    active: Plugin,
    decisions: Decisions,
}

#[derive(Debug)]
struct Kept {
    line: u64,
    text: Range<usize>,
    message_type: Option<Word>,
    name: Option<Word>,
}

/// A word of an envelope: usually a part of the batch's texts.
#[derive(Debug)]
enum Word {
    Here(Range<usize>),
    Elsewhere(String),
}

impl Shadow {
    /// Begin to ask a plugin.
    ///
    /// # Errors
    ///
    /// The system grants no thread.
    pub fn start(generation: Arc<Generation>) -> io::Result<Self> {
        let (batches, received) = crossbeam_channel::bounded(SHADOW_BATCHES_QUEUED);
        let seen = Arc::<Seen>::default();
        let reads_text = generation.plugin().reads() == Reads::Text;
        let work = {
            let (generation, seen) = (Arc::clone(&generation), Arc::clone(&seen));
            move || work(&generation, &received, &seen)
        };
        thread::Builder::new().name("shadow".to_owned()).spawn(work)?;
        Ok(Shadow { generation, reads_text, batches, offered: AtomicU64::new(0), seen })
    }

    /// The plugin that is asked.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// What was compared so far.
    pub fn comparison(&self) -> Comparison {
        self.seen.comparison.lock().clone()
    }

    /// Wait, but not for ever, until it is through with what it has.
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

    /// Events that it was not asked about, since it had no room for them.
    pub fn skipped(&self) -> u64 {
        self.seen.skipped.load(Ordering::Relaxed)
    }

    /// Ask about a batch that the active plugin has decided about, if there is room.
    pub fn offer(&self, source: &str, events: &[Event<'_>], active: &Plugin, decisions: Decisions) {
        self.offered.fetch_add(events.len() as u64, Ordering::Relaxed);
        if self.batches.is_full() {
            self.seen.skipped.fetch_add(events.len() as u64, Ordering::Relaxed);
            return;
        }
        let with_text = self.reads_text || decisions.have_payloads();
        let (texts, events) = keep(events, with_text);
        let (source, active) = (source.to_owned(), active.clone());
        let batch = Batch { source, texts, events, active, decisions };
        if let Err(refused) = self.batches.try_send(batch) {
            let events = refused.into_inner().events.len();
            self.seen.skipped.fetch_add(events as u64, Ordering::Relaxed);
        }
    }
}

fn work(generation: &Generation, batches: &Receiver<Batch>, seen: &Seen) {
    // Where that is not granted, it is a thread like any other.
    let _ = setpriority_process(None, LOWEST_PRIORITY);
    let mut mapper = Mapper::new(generation.plugin().clone());
    for batch in batches {
        let events: Vec<_> = batch.events.iter().map(|kept| kept.event(&batch.texts)).collect();
        let start = Instant::now();
        let skip = |count: usize| seen.skipped.fetch_add(count as u64, Ordering::Relaxed);
        // A shadow delays nothing, so it waits for nothing either.
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
        let (now, left) = events.split_at(decisions.decided(asked));
        let tally = Tally::of_decisions(&decisions, now.len());
        generation.count(&batch.source, &tally, decisions.wasted());
        let (old, new) = ((&batch.active, &batch.decisions), (mapper.plugin(), &decisions));
        let mut comparison = seen.comparison.lock();
        comparison.add(&batch.source, now, old, new);
        skip(left.len());
    }
}

/// Copy what is to be kept of events; without their texts where nobody looks at them.
fn keep(events: &[Event<'_>], with_text: bool) -> (String, Vec<Kept>) {
    let bytes = if with_text { events.iter().map(|event| event.text.len()).sum() } else { 0 };
    let mut texts = String::with_capacity(bytes);
    let kept = events.iter().map(|event| {
        let start = texts.len();
        if with_text {
            texts.push_str(event.text);
        }
        let text = start..texts.len();
        let word = |word: &Option<Cow<'_, str>>| {
            word.as_deref().map(|word| match place(event.text, word).filter(|_| with_text) {
                Some(place) => Word::Here(start + place.start..start + place.end),
                None => Word::Elsewhere(word.to_owned()),
            })
        };
        let (message_type, name) = (word(&event.envelope.message_type), word(&event.envelope.name));
        Kept { line: event.line, text, message_type, name }
    });
    let kept = kept.collect();
    (texts, kept)
}

/// Where a word stands in a text that it may be borrowed from.
fn place(text: &str, word: &str) -> Option<Range<usize>> {
    let start = (word.as_ptr() as usize).checked_sub(text.as_ptr() as usize)?;
    let end = start.checked_add(word.len())?;
    (text.get(start..end)? == word).then_some(start..end)
}

impl Kept {
    fn event<'a>(&'a self, texts: &'a str) -> Event<'a> {
        let word = |word: &'a Option<Word>| {
            word.as_ref().map(|word| match word {
                Word::Here(place) => Cow::Borrowed(&texts[place.clone()]),
                Word::Elsewhere(word) => Cow::Borrowed(word.as_str()),
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
    use crate::{Admitted, BreakerSettings};
    use standpipe_core::event::scan;

    fn mapping(stream: &str) -> Plugin {
        let rows = [("track", "tracks"), ("*", stream)];
        let rows =
            rows.map(|(event, stream)| serde_json::json!({"event": event, "stream": stream}));
        Plugin::native(&serde_json::json!({"mappings": rows}).to_string()).unwrap()
    }

    fn shadow(plugin: Plugin) -> Shadow {
        let plugin = Admitted::without_component(plugin).unwrap();
        let generation =
            Generation::new(2, plugin, BreakerSettings::default(), NonZero::<usize>::MIN);
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
            let (texts, kept) = keep(&events, with_text);
            for (event, kept) in events.iter().zip(&kept) {
                let again = kept.event(&texts);
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
            shadow.offer("test", &events, &active, decisions);
        }
        shadow.settle();
        let comparison = shadow.comparison();
        assert!(comparison.compared() > 0);
        assert_eq!(comparison.compared() + shadow.skipped(), 2000);
        assert_eq!(comparison.changed(), comparison.compared());
    }
}
