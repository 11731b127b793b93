//! Configures the active plugin again when a fresh instance declares other streams than before. Called
//! by the worker that noticed it.

use std::fmt;

/// Configures the active plugin again, on the thread of the worker that calls it.
///
/// A worker does so when a fresh instance declares other streams than the plugin did at first, such
/// as names made of the date after midnight. It has no instance then, and so nothing else to do.
pub struct Renewal(Box<dyn Fn() + Send + Sync>);

impl Renewal {
    /// A renewal that calls this, which may find nothing to do.
    pub fn new(renew: impl Fn() + Send + Sync + 'static) -> Self {
        Renewal(Box::new(renew))
    }

    pub(super) fn renew(&self) {
        (self.0)();
    }
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Renewal")
    }
}
