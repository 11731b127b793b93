//! A plugin that decides the events of some users, selected by a hash that is the same on every
//! machine. If it fails on or rejects too many events, it is permanently stopped.

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use super::Generation;
use crate::limits;
use standpipe_core::event::{Event, Outline, string};
use standpipe_core::limits::EVENT_NESTING_MAX;

/// Keys that identify an event's user, in order of preference.
const USER_KEYS: [&str; 3] = ["userId", "anonymousId", "messageId"];

/// The settings of a canary.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CanarySettings {
    /// The share of users whose events the canary decides, from 0 to 100.
    pub percent: f64,
    /// The maximum share of events, from 0 to 1, that the canary may fail on or reject.
    pub error_rate_max: f64,
    /// Events that the canary must process before it is judged.
    pub events_min: u64,
}

/// A new plugin that decides the events of some users, while the active one decides all others.
///
/// An event that the canary fails on goes to the active plugin, so a canary loses no event. If it
/// fails on or rejects too many events, it is permanently stopped.
#[derive(Debug)]
pub struct Canary {
    generation: Arc<Generation>,
    settings: CanarySettings,
    /// The share of users, out of 2^64.
    threshold: u64,
    is_out: AtomicBool,
    events: AtomicU64,
    errors: AtomicU64,
}

impl Default for CanarySettings {
    fn default() -> Self {
        CanarySettings {
            percent: limits::CANARY_PERCENT,
            error_rate_max: limits::CANARY_ERROR_RATE_MAX,
            events_min: limits::CANARY_EVENTS_MIN,
        }
    }
}

impl Canary {
    /// Creates a canary that starts now.
    pub fn new(generation: Arc<Generation>, settings: CanarySettings) -> Self {
        let threshold = (settings.percent / 100.0 * 2_f64.powi(64)) as u64;
        Canary {
            generation,
            settings,
            threshold,
            is_out: AtomicBool::new(false),
            events: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    /// The canary's plugin.
    pub fn generation(&self) -> &Arc<Generation> {
        &self.generation
    }

    /// The canary's settings.
    pub fn settings(&self) -> &CanarySettings {
        &self.settings
    }

    /// Whether the canary has failed too often and was stopped.
    pub fn is_out(&self) -> bool {
        self.is_out.load(Ordering::Relaxed)
    }

    /// Whether the canary decides an event. This is the same for all events of a user, on every
    /// machine.
    pub fn takes(&self, event: &Event<'_>) -> bool {
        let user = user_of(event.text);
        let digest = Sha256::digest(user.as_bytes());
        let start = digest.first_chunk().expect("32 bytes have a first 8");
        u64::from_be_bytes(*start) < self.threshold
    }

    /// Counts a batch of the canary's events. Events that it failed on or rejected are errors.
    pub fn count_batch(&self, events: u64, errors: u64) {
        let events = self.events.fetch_add(events, Ordering::Relaxed) + events;
        let errors = self.errors.fetch_add(errors, Ordering::Relaxed) + errors;
        let is_too_bad = errors as f64 > events as f64 * self.settings.error_rate_max;
        if events >= self.settings.events_min
            && is_too_bad
            && !self.is_out.swap(true, Ordering::Relaxed)
        {
            tracing::error!(
                "canary stopped: it failed on or rejected {errors} of {events} events; the active plugin decides about \
                 all events again"
            );
        }
    }
}

/// The user of an event, or its whole text if it names no user.
fn user_of(text: &str) -> Cow<'_, str> {
    let outline = Outline::of_members(text.as_bytes(), EVENT_NESTING_MAX, usize::MAX);
    let Ok(outline) = outline else { return Cow::Borrowed(text) };
    let mut found = [const { None }; USER_KEYS.len()];
    outline.for_each_member(|member| {
        if let Some(at) = USER_KEYS.iter().position(|key| member.name() == *key) {
            found[at] = string(outline.at(member.value)).filter(|user| !user.is_empty());
        }
    });
    found.into_iter().flatten().next().unwrap_or(Cow::Borrowed(text))
}
