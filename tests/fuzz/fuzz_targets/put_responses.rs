//! Any response to `PutRecordBatch`: reading it ends, and an accepted response is a JSON object
//! with the count, one result for each record, and as many error codes as it counts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use standpipe_delivery::read_put_answer;

fuzz_target!(|input: (u8, &[u8])| {
    let (records, answer) = input;
    let records = usize::from(records);
    let Ok(read) = read_put_answer(answer, records) else { return };
    // Members that are not read may contain invalid escapes.
    let Ok(tree) = serde_json::from_slice::<Value>(answer) else {
        assert!(answer.contains(&b'\\'), "not JSON");
        return;
    };
    assert_eq!(tree["FailedPutCount"].as_u64(), Some(read.refused.len() as u64));
    let results = tree["RequestResponses"].as_array().expect("a list of results");
    assert_eq!(results.len(), records);
    for (position, result) in results.iter().enumerate() {
        let has = |key: &str| result[key].as_str().is_some_and(|text| !text.is_empty());
        let is_refused = read.refused.iter().any(|(at, _)| *at == position);
        assert_eq!((has("RecordId"), has("ErrorCode")), (!is_refused, is_refused));
    }
});
