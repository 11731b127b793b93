//! Has the plugin in use configured anew, where a fresh instance declares other streams than
//! before. Called by the worker that found it.

use std::fmt;

/// Has the plugin in use configured anew, on the thread of the worker that asks for it.
///
/// A worker does so where a fresh instance declares other streams than the plugin did
/// when it was taken, as at midnight where a name is made of the date. It has no instance
/// then, and so nothing else to do.
pub struct Renewal(Box<dyn Fn() + Send + Sync>);

impl Renewal {
    /// This does it, or finds that there is nothing to do.
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
