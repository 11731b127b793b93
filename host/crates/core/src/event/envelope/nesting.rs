//! The open objects and arrays as a stack of bits. Nothing is allocated below 64 levels.

/// The open objects and arrays as a stack of bits: 1 is an object. Nothing is allocated below 64
/// levels.
#[derive(Default)]
pub(super) struct Nesting {
    levels: usize,
    /// The kinds of the innermost levels, the innermost one in the lowest bit.
    kinds: u64,
    /// The values of `kinds` when levels 64, 128 and so on were opened.
    outer: Vec<u64>,
}

impl Nesting {
    #[inline(always)]
    pub(super) fn levels(&self) -> usize {
        self.levels
    }

    /// Whether the innermost level is an object.
    #[inline(always)]
    pub(super) fn in_object(&self) -> bool {
        self.kinds & 1 == 1
    }

    /// Whether the innermost level is an array that is a member of the outermost
    /// object, or an object that is an item of such an array.
    #[inline(always)]
    pub(super) fn in_items(&self) -> bool {
        (self.levels == 2) & (self.kinds == 0b10) | (self.levels == 3) & (self.kinds == 0b101)
    }

    /// Opens or closes a level. Returns false if a bracket closes the other kind.
    ///
    /// Branch prediction cannot predict brackets, so this function computes both results and
    /// selects one.
    #[inline(always)]
    pub(super) fn open_or_close(&mut self, opens: bool, object: bool) -> bool {
        let fits = opens | (self.in_object() == object);
        let opened = self.kinds << 1 | u64::from(object);
        let closed = self.kinds >> 1;
        let pick = u64::from(opens).wrapping_neg();
        let before = std::mem::replace(&mut self.kinds, closed ^ (opened ^ closed) & pick);
        let level = self.levels + usize::from(opens);
        self.levels = (level + usize::from(opens)).saturating_sub(1);
        if level.is_multiple_of(64) {
            self.spill_kinds(opens, before);
        }
        fits
    }

    #[cold]
    fn spill_kinds(&mut self, opens: bool, before: u64) {
        if opens {
            self.outer.push(before);
        } else {
            self.kinds = self.outer.pop().unwrap_or_default();
        }
    }
}
