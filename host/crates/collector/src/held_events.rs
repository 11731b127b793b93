//! Events in the spool whose source is not in the settings. They are counted and not returned, and
//! read again at the next start. The number of remembered names is limited.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Events that the spool keeps because their source is not in the settings.
///
/// They are not passed on: see [`SourceNames`](standpipe_core::event::SourceNames). The next start
/// reads them again.
#[derive(Debug, Default)]
pub struct HeldEvents {
    events: AtomicU64,
    /// The first of their sources.
    sources: Mutex<BTreeSet<String>>,
}

impl HeldEvents {
    /// Holds events of a source. The log names each source once.
    pub(super) fn hold_events(&self, source: &str, events: u64) {
        self.events.fetch_add(events, Ordering::Relaxed);
        let source =
            &source[..source.floor_char_boundary(standpipe_core::limits::DETAIL_BYTES_MAX)];
        let mut sources = self.sources.lock();
        if sources.len() < standpipe_core::limits::UNKNOWN_SOURCES_NAMED_MAX
            && !sources.contains(source)
        {
            tracing::warn!(
                "holding events of the source {source:?} in the spool: no [[sources]] entry has this name, so the role to \
                 deliver them with is unknown. Put the source back (with enabled = false it accepts nothing new), or set \
                 formerly = [{source:?}] in the source that replaces it, and restart"
            );
            sources.insert(source.to_owned());
        }
    }

    /// Returns the number of held events.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Returns their sources, up to a limit.
    pub fn sources(&self) -> Vec<String> {
        let sources = self.sources.lock();
        sources.iter().cloned().collect()
    }
}
