//! Classifies 64 bytes at a time as bit masks, with SIMD if the target supports it.

use wide::u8x16;

/// The number of bytes in a block: as many as a mask has bits.
pub(super) const BYTES: usize = u64::BITS as usize;

/// The possible meaning of a block's bytes, as masks: one bit per byte, the first byte in the
/// lowest bit. Strings are not known here, so bytes in strings are marked too.
pub(super) struct Classes {
    pub(super) quotes: u64,
    pub(super) backslashes: u64,
    pub(super) commas: u64,
    pub(super) colons: u64,
    /// Brackets of objects and arrays, opening and closing.
    pub(super) brackets: u64,
    pub(super) whitespace: u64,
    /// Bytes below 0x20.
    pub(super) controls: u64,
}

impl Classes {
    #[inline(always)]
    pub(super) fn of(block: &[u8; BYTES]) -> Self {
        let (quarters, _) = block.as_chunks();
        let quarters = std::array::from_fn(|n| u8x16::from(quarters[n]));
        let is = |byte| move |it: u8x16| it.simd_eq(u8x16::splat(byte));
        let is_control = |it: u8x16| it.min(u8x16::splat(0x1f)).simd_eq(it);
        // The brackets of arrays are 0x20 below those of objects.
        let is_bracket = |it: u8x16| {
            let folded = it | u8x16::splat(0x20);
            is(b'{')(folded) | is(b'}')(folded)
        };
        let mut classes = Classes {
            quotes: lane_mask(quarters, is(b'"')),
            backslashes: 0,
            commas: lane_mask(quarters, is(b',')),
            colons: lane_mask(quarters, is(b':')),
            brackets: lane_mask(quarters, is_bracket),
            whitespace: lane_mask(quarters, is(b' ')),
            controls: 0,
        };
        // Converting lanes to a mask takes most of the time, and few blocks contain the other
        // bytes.
        let [a, b, c, d] = quarters.map(|it| is(b'\\')(it) | is_control(it));
        if (a | b | c | d).any() {
            let is_blank = |it| is(b'\t')(it) | is(b'\n')(it) | is(b'\r')(it);
            classes.backslashes = lane_mask(quarters, is(b'\\'));
            classes.whitespace |= lane_mask(quarters, is_blank);
            classes.controls = lane_mask(quarters, is_control);
        }
        classes
    }
}

#[inline(always)]
fn lane_mask(quarters: [u8x16; 4], is_so: impl Fn(u8x16) -> u8x16) -> u64 {
    let [a, b, c, d] = quarters.map(|quarter| u64::from(is_so(quarter).to_bitmask()));
    a | b << 16 | c << 32 | d << 48
}
