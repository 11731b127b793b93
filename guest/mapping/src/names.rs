//! A map from member names to values.

use crate::json::unescape_string;
use crate::scan::MemberKey;

/// Values by name, without duplicates.
#[derive(Debug, Clone)]
pub(crate) struct MemberNames<T> {
    /// The names in alphabetical order.
    list: Vec<(Box<str>, T)>,
    /// The existing lengths as bits, so that most names of an event are skipped at once. Lengths
    /// from 63 share the last bit.
    lengths: u64,
}

impl<T> Default for MemberNames<T> {
    fn default() -> Self {
        MemberNames { list: Vec::new(), lengths: 0 }
    }
}

impl<T> MemberNames<T> {
    /// Returns the value of a name, which is created if it is missing. The positions of other
    /// values may change.
    pub(crate) fn entry(&mut self, name: &str, make: impl FnOnce() -> T) -> &mut T {
        self.lengths |= length_bit(name);
        let place = match self.find_place(name) {
            Ok(place) => place,
            Err(place) => {
                self.list.insert(place, (name.into(), make()));
                place
            }
        };
        &mut self.list[place].1
    }

    /// The position of the value with this key's name.
    #[inline(always)]
    pub(crate) fn find(&self, key: &MemberKey<'_>) -> Option<usize> {
        if key.has_escapes {
            return self.find_place(&unescape_string(key.name)).ok();
        }
        if self.lengths & length_bit(key.name) == 0 {
            return None;
        }
        self.find_place(key.name).ok()
    }

    #[inline]
    fn find_place(&self, name: &str) -> Result<usize, usize> {
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

    /// The values in alphabetical order, which is the order of their positions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.list.iter().map(|(name, thing)| (&**name, thing))
    }
}

#[inline(always)]
fn length_bit(name: &str) -> u64 {
    1 << name.len().min(63)
}
