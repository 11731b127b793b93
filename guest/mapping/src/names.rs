//! Finds what is known by a member's name.

use crate::json::unescape;
use crate::scan::Key;

/// Things by name, each name once.
#[derive(Debug, Clone)]
pub(crate) struct Names<T> {
    /// In alphabetical order.
    list: Vec<(Box<str>, T)>,
    /// Which lengths there are, as bits, so that most names of an event are
    /// passed over at once. Lengths from 63 on share the last bit.
    lengths: u64,
}

impl<T> Default for Names<T> {
    fn default() -> Self {
        Names { list: Vec::new(), lengths: 0 }
    }
}

impl<T> Names<T> {
    /// What has this name, made now if there is nothing yet. Places of others
    /// may change.
    pub(crate) fn entry(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        self.lengths |= length_bit(name);
        let place = match self.place(name) {
            Ok(place) => place,
            Err(place) => {
                self.list.insert(place, (name.into(), make()));
                place
            }
        };
        &mut self.list[place].1
    }

    /// The place of what has the name of this key.
    #[inline(always)]
    pub(crate) fn find(&self, key: &Key<'_>) -> Option<usize> {
        if key.has_escapes {
            return self.place(&unescape(key.name)).ok();
        }
        if self.lengths & length_bit(key.name) == 0 {
            return None;
        }
        self.place(key.name).ok()
    }

    #[inline]
    fn place(&self, name: &str) -> Result<usize, usize> {
        self.list.binary_search_by(|(other, _)| (**other).cmp(name))
    }

    pub(crate) fn at(&self, place: usize) -> &T {
        &self.list[place].1
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In alphabetical order, which is that of the places.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.list.iter().map(|(name, thing)| (&**name, thing))
    }
}

#[inline(always)]
fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}
