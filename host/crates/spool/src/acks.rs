//! The acknowledged items of a segment, as stored in its acknowledgement file.
//!
//! The file consists of blocks of 64 bytes, whose last four bytes are a checksum. A block never
//! crosses a page or a sector, so it is written completely or not at all. A block of zeros has
//! never been written. The first block is the [`SegmentSummary`], which is written when the segment
//! is complete. Each other block contains the bits of 480 items.

use std::ops::Range;

use super::frame::read_u32;
use crate::limits;

const BLOCK: usize = 64;
const BLOCK_DATA: usize = BLOCK - 4;
const BLOCK_ITEMS: u32 = BLOCK_DATA as u32 * 8;

/// The maximum size of such a file.
pub(super) const ACKS_BYTES_MAX: usize =
    (1 + limits::SPOOL_SEGMENT_ITEMS_MAX.div_ceil(BLOCK_ITEMS) as usize) * BLOCK;

/// The size of such a file for this number of items.
pub(super) fn acks_bytes(items: u32) -> u64 {
    (1 + u64::from(items.div_ceil(BLOCK_ITEMS))) * BLOCK as u64
}

/// The state of a segment at its completion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentSummary {
    /// The length of the frame file.
    pub(super) end: u64,
    /// The number of bytes that were released.
    pub(super) punched: u64,
    pub(super) items: u32,
}

/// The acknowledgements of one segment.
#[derive(Debug)]
pub(super) struct Acks {
    segment: u64,
    /// The contents of the file. Checksums are only valid outside of the dirty blocks.
    image: Vec<u8>,
    /// The blocks to write.
    dirty: Range<usize>,
    items: u32,
    acked: u32,
}

impl Acks {
    pub(super) fn new(segment: u64) -> Self {
        Self { segment, image: Vec::new(), dirty: 0..0, items: 0, acked: 0 }
    }

    /// Loads the contents of a file. Also returns the number of corrupt blocks, whose
    /// acknowledgements are discarded.
    pub(super) fn load(segment: u64, mut image: Vec<u8>) -> (Self, u64) {
        let mut corrupt = u64::from(!image.len().is_multiple_of(BLOCK));
        image.truncate(image.len() / BLOCK * BLOCK);
        for (index, block) in image.chunks_exact_mut(BLOCK).enumerate() {
            let is_valid = read_u32(block, BLOCK_DATA) == block_checksum(segment, index, block);
            if !is_valid && block.iter().any(|byte| *byte != 0) {
                corrupt += 1;
                block.fill(0);
            }
        }
        (Self { image, ..Self::new(segment) }, corrupt)
    }

    /// The state of the segment at its completion, if the segment is complete.
    pub(super) fn summary(&self) -> Option<SegmentSummary> {
        let block = self.image.get(..BLOCK).filter(|block| block[0] == 1)?;
        let long = |at| u64::from(read_u32(block, at)) | u64::from(read_u32(block, at + 4)) << 32;
        let summary =
            SegmentSummary { end: long(4), punched: long(12), items: read_u32(block, 20) };
        let is_possible =
            summary.items <= limits::SPOOL_SEGMENT_ITEMS_MAX && summary.punched <= summary.end;
        is_possible.then_some(summary)
    }

    /// Sets the state of the segment when it is complete.
    pub(super) fn set_summary(&mut self, summary: SegmentSummary) {
        let block = self.block_mut(0);
        block[0] = 1;
        block[4..12].copy_from_slice(&summary.end.to_le_bytes());
        block[12..20].copy_from_slice(&summary.punched.to_le_bytes());
        block[20..24].copy_from_slice(&summary.items.to_le_bytes());
    }

    /// Sets the number of items. The bits of the new items say which are acknowledged.
    pub(super) fn set_items(&mut self, items: u32) {
        self.acked += (self.items..items).filter(|item| self.is_acked(*item)).count() as u32;
        self.items = items;
    }

    pub(super) fn items(&self) -> u32 {
        self.items
    }

    pub(super) fn unacked(&self) -> u32 {
        self.items - self.acked
    }

    /// Whether all of these items are acknowledged.
    pub(super) fn are_acked(&self, mut items: Range<u32>) -> bool {
        items.all(|item| self.is_acked(item))
    }

    /// The acknowledged items in a range.
    pub(super) fn acked_in(&self, items: Range<u32>) -> Vec<u32> {
        if self.acked == 0 {
            return Vec::new();
        }
        (0..items.end - items.start).filter(|at| self.is_acked(items.start + at)).collect()
    }

    /// Acknowledges items. Returns how many of them were not acknowledged before.
    pub(super) fn acknowledge(&mut self, items: impl Iterator<Item = u32>) -> u32 {
        let acked_before = self.acked;
        for item in items {
            if item < self.items && !self.is_acked(item) {
                let (block, byte, mask) = bit_position(item);
                self.block_mut(block)[byte] |= mask;
                self.acked += 1;
            }
        }
        self.acked - acked_before
    }

    /// Writes the dirty blocks. If that fails, the next call writes them.
    pub(super) fn write_dirty<E>(
        &mut self,
        overwrite: impl FnOnce(u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        if self.dirty.is_empty() {
            return Ok(());
        }
        for index in self.dirty.clone() {
            let block = &mut self.image[index * BLOCK..][..BLOCK];
            let checksum = block_checksum(self.segment, index, block);
            block[BLOCK_DATA..].copy_from_slice(&checksum.to_le_bytes());
        }
        let bytes = self.dirty.start * BLOCK..self.dirty.end * BLOCK;
        overwrite(bytes.start as u64, &self.image[bytes])?;
        self.dirty = 0..0;
        Ok(())
    }

    fn is_acked(&self, item: u32) -> bool {
        let (block, byte, mask) = bit_position(item);
        self.image.get(block * BLOCK + byte).is_some_and(|byte| byte & mask != 0)
    }

    /// A mutable block, which becomes dirty.
    fn block_mut(&mut self, index: usize) -> &mut [u8] {
        self.dirty = match self.dirty.is_empty() {
            true => index..index + 1,
            false => self.dirty.start.min(index)..self.dirty.end.max(index + 1),
        };
        let end = (index + 1) * BLOCK;
        if self.image.len() < end {
            self.image.resize(end, 0);
        }
        &mut self.image[end - BLOCK..end]
    }
}

/// The block, the byte and the bit of an item.
fn bit_position(item: u32) -> (usize, usize, u8) {
    let within = item % BLOCK_ITEMS;
    ((1 + item / BLOCK_ITEMS) as usize, (within / 8) as usize, 1 << (within % 8))
}

fn block_checksum(segment: u64, index: usize, block: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&segment.to_le_bytes());
    hasher.update(&(index as u64).to_le_bytes());
    hasher.update(&block[..BLOCK_DATA]);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contents of the file after these items were acknowledged one by one.
    fn file(items: u32, acked: &[u32]) -> Vec<u8> {
        let (mut acks, mut file) = (Acks::new(7), Vec::new());
        acks.set_items(items);
        for item in acked {
            acks.acknowledge(std::iter::once(*item));
            write(&mut acks, &mut file);
        }
        file
    }

    fn write(acks: &mut Acks, file: &mut Vec<u8>) {
        let written: Result<(), ()> = acks.write_dirty(|offset, bytes| {
            let offset = offset as usize;
            file.resize(file.len().max(offset + bytes.len()), 0);
            file[offset..offset + bytes.len()].copy_from_slice(bytes);
            Ok(())
        });
        written.unwrap();
    }

    #[test]
    fn what_was_written_is_read() {
        let acked = [0, 7, 8, 479, 480, 2000, 2999];
        let (mut acks, corrupt) = Acks::load(7, file(3000, &acked));
        acks.set_items(3000);
        assert_eq!((corrupt, acks.unacked()), (0, 3000 - 7));
        assert_eq!(acks.acked_in(0..3000), acked);
        assert_eq!(acks.acked_in(479..482), [0, 1]);
        assert_eq!(acks.acknowledge([7, 9, 3000].into_iter()), 1);
        assert_eq!(acks.summary(), None);
    }

    #[test]
    fn a_corrupt_block_takes_its_own_items_only() {
        let good = file(2000, &[1, 500, 1500]);
        for byte in 0..good.len() {
            let mut bytes = good.clone();
            bytes[byte] ^= 0x10;
            let (mut acks, corrupt) = Acks::load(7, bytes);
            acks.set_items(2000);
            let acked = acks.acked_in(0..2000);
            assert!(corrupt == 1 && acked.len() >= 2, "{byte}: {acked:?}");
            assert!(acked.iter().all(|item| [1, 500, 1500].contains(item)), "{byte}: {acked:?}");
        }
        let (mut other, corrupt) = Acks::load(8, good);
        other.set_items(2000);
        assert_eq!((corrupt, other.unacked()), (3, 2000));
    }

    #[test]
    fn what_could_not_be_written_goes_with_the_next() {
        let (mut acks, mut file) = (Acks::new(7), Vec::new());
        acks.set_items(5000);
        acks.acknowledge(4000..4001);
        assert_eq!(acks.write_dirty(|_, _| Err(())), Err(()));
        assert!(!acks.dirty.is_empty());
        acks.acknowledge(3..4);
        acks.set_summary(SegmentSummary { end: 1 << 40, punched: 5, items: 5000 });
        write(&mut acks, &mut file);
        let (mut again, corrupt) = Acks::load(7, file);
        again.set_items(5000);
        assert_eq!((corrupt, again.acked_in(0..5000)), (0, vec![3, 4000]));
        assert_eq!(again.summary(), Some(SegmentSummary { end: 1 << 40, punched: 5, items: 5000 }));
    }
}
