//! A connection of the bench's own Firehose: it counts the records of a body in pieces, stores
//! nothing, and responds like Firehose.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, LazyLock};

use memchr::memmem;

use super::EndpointShared;
use crate::bench::process::thread_cpu_time;

/// The text before each record in a request's body. Base64 contains no quotes, so it occurs nowhere
/// else.
const MARK: &[u8] = b"\"Data\":";

/// Bytes of a body that are processed together.
const PIECE_BYTES: usize = 64 * 1024;

/// The length of AWS's record ids, in characters.
const RECORD_ID_CHARS: usize = 224;

/// The size of the result for one record.
const ANSWER_FOR_RECORD_BYTES: usize = "{\"RecordId\":\"\"},".len() + RECORD_ID_CHARS;

/// The results for all records of the largest request, each with its comma.
static ANSWERS: LazyLock<String> = LazyLock::new(|| {
    let answer = format!("{{\"RecordId\":\"{}\"}},", "0a1B2c3D".repeat(RECORD_ID_CHARS / 8));
    answer.repeat(standpipe_delivery::limits::REQUEST_RECORDS_MAX)
});

/// A description of a stream for which automatic aggregation is safe.
const DESCRIPTION: &str = r#"{"DeliveryStreamDescription":{"DeliveryStreamName":"bench",
"DeliveryStreamARN":"arn:aws:firehose:us-east-1:111122223333:deliverystream/bench",
"DeliveryStreamStatus":"ACTIVE","DeliveryStreamType":"DirectPut","VersionId":"1","HasMoreDestinations":false,
"Destinations":[{"DestinationId":"destinationId-000000000001","ExtendedS3DestinationDescription":{
"RoleARN":"arn:aws:iam::111122223333:role/bench","BucketARN":"arn:aws:s3:::bench","BufferingHints":{},
"CompressionFormat":"UNCOMPRESSED","EncryptionConfiguration":{}}}]}}"#;

const REFUSAL: &str =
    r#"{"__type":"ValidationException","message":"more records than a request may have"}"#;

/// The connection of a client, which sends one request after the other.
pub(super) struct Connection {
    reader: BufReader<TcpStream>,
    shared: Arc<EndpointShared>,
    piece: Vec<u8>,
}

struct RequestHead {
    body_bytes: usize,
    describes: bool,
}

impl Connection {
    pub(super) fn new(stream: TcpStream, shared: Arc<EndpointShared>) -> Self {
        // Only affects the time of a response.
        let _ = stream.set_nodelay(true);
        Connection { reader: BufReader::new(stream), shared, piece: vec![0; PIECE_BYTES] }
    }

    /// Serves requests until the client disconnects.
    pub(super) fn serve(mut self) {
        let mut counted = std::time::Duration::ZERO;
        while let Ok(1..) = self.reader.fill_buf().map(<[u8]>::len) {
            self.shared.begin_request();
            let answered = self.answer_request();
            let now = thread_cpu_time();
            self.shared.end_request(now - counted);
            counted = now;
            if answered.is_none() {
                return;
            }
        }
    }

    /// Serves one request. Returns `None` if the client has disconnected, or does not send HTTP.
    fn answer_request(&mut self) -> Option<()> {
        let head = self.read_head()?;
        let records = self.read_body(head.body_bytes)?;
        if head.describes {
            return self.write_response("200 OK", &[DESCRIPTION]);
        }
        if records > standpipe_delivery::limits::REQUEST_RECORDS_MAX {
            return self.write_response("400 Bad Request", &[REFUSAL]);
        }
        self.shared.take_records(records as u64);
        // There is no comma after the last result.
        let answers = &ANSWERS[..(records * ANSWER_FOR_RECORD_BYTES).saturating_sub(1)];
        let before = r#"{"Encrypted":false,"FailedPutCount":0,"RequestResponses":["#;
        self.write_response("200 OK", &[before, answers, "]}"])
    }

    fn read_head(&mut self) -> Option<RequestHead> {
        let mut head = RequestHead { body_bytes: 0, describes: false };
        let mut line = String::new();
        loop {
            line.clear();
            self.reader.read_line(&mut line).ok().filter(|&read| read > 0)?;
            let line = line.trim_end();
            if line.is_empty() {
                return Some(head);
            }
            let Some((name, value)) = line.split_once(':') else { continue };
            if name.eq_ignore_ascii_case("content-length") {
                head.body_bytes = value.trim().parse().ok()?;
            } else if name.eq_ignore_ascii_case("x-amz-target") {
                head.describes = value.ends_with("DescribeDeliveryStream");
            }
        }
    }

    /// Counts the records of a body. Only a piece of it is in memory at a time.
    fn read_body(&mut self, body_bytes: usize) -> Option<usize> {
        let (mut records, mut kept, mut left) = (0, 0, body_bytes);
        while left > 0 {
            let end = (kept + left).min(self.piece.len());
            self.reader.read_exact(&mut self.piece[kept..end]).ok()?;
            left -= end - kept;
            records += memmem::find_iter(&self.piece[..end], MARK).count();
            // A mark may continue in the next piece. The kept bytes are shorter than a whole one.
            kept = end.min(MARK.len() - 1);
            self.piece.copy_within(end - kept..end, 0);
        }
        Some(records)
    }

    fn write_response(&mut self, status: &str, body: &[&str]) -> Option<()> {
        let length: usize = body.iter().map(|part| part.len()).sum();
        let mut answer = format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\n\
             x-amzn-requestid: bench\r\ncontent-length: {length}\r\n\r\n"
        );
        body.iter().for_each(|part| answer.push_str(part));
        self.reader.get_mut().write_all(answer.as_bytes()).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_counted_wherever_pieces_end() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let mut connection =
            Connection::new(listener.accept().unwrap().0, Arc::<EndpointShared>::default());
        let body: Vec<u8> =
            (0..50).flat_map(|record| [MARK, &vec![b'x'; record]].concat()).collect();
        for piece_bytes in MARK.len()..64 {
            connection.piece = vec![0; piece_bytes];
            client.write_all(&body).unwrap();
            assert_eq!(connection.read_body(body.len()), Some(50), "{piece_bytes}");
        }
    }

    #[test]
    fn answers_are_those_of_amazon_in_form() {
        for records in [0, 1, standpipe_delivery::limits::REQUEST_RECORDS_MAX] {
            let answers = &ANSWERS[..(records * ANSWER_FOR_RECORD_BYTES).saturating_sub(1)];
            let answers: serde_json::Value = serde_json::from_str(&format!("[{answers}]")).unwrap();
            let answers = answers.as_array().unwrap();
            assert_eq!(answers.len(), records);
            let id = |answer: &serde_json::Value| answer["RecordId"].as_str().unwrap().len();
            assert!(answers.iter().all(|answer| id(answer) == RECORD_ID_CHARS));
        }
        assert!(serde_json::from_str::<serde_json::Value>(DESCRIPTION).is_ok());
    }
}
