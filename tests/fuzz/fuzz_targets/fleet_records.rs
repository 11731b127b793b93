//! Any record of a fleet: what is read is valid, and is read again as it was written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use standpipe_queue::fleet::{ActiveRecord, CandidateRecord, FleetRecord, HostRecord};

fn check_record<R: FleetRecord + PartialEq + std::fmt::Debug>(bytes: &[u8]) {
    let Ok(record) = R::parse(bytes) else { return };
    // Escapes can make the text that is written longer than the limit.
    let Ok(written) = record.encode() else { return };
    assert_eq!(R::parse(&written).expect("it was written here"), record);
}

fuzz_target!(|bytes: &[u8]| {
    check_record::<ActiveRecord>(bytes);
    check_record::<CandidateRecord>(bytes);
    check_record::<HostRecord>(bytes);
});
