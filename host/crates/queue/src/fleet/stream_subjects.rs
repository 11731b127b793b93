//! The subjects of a stream of JetStream, which the records and the components of a fleet are stored in.

use std::collections::BTreeMap;
use std::error::Error;
use std::time::SystemTime;

use async_nats::jetstream::context::Context;
use async_nats::jetstream::response::Response;
use serde::Deserialize;

use crate::{QueueError, QueueErrorKind};
use standpipe_core::{clock, error_chain};

/// The subjects of a stream, and the time of its server, which also dates the messages.
#[derive(Deserialize)]
pub(super) struct StreamSubjects {
    state: SubjectCounts,
    /// The time of the response.
    ts: String,
}

#[derive(Deserialize)]
struct SubjectCounts {
    /// The subjects with the number of their messages. None if there are none.
    #[serde(default)]
    subjects: BTreeMap<String, u64>,
}

impl StreamSubjects {
    pub(super) fn subjects(&self) -> impl Iterator<Item = &String> {
        self.state.subjects.keys()
    }

    pub(super) fn time(&self) -> Result<SystemTime, QueueError> {
        clock::parse_rfc3339(&self.ts).map(SystemTime::from).ok_or_else(|| {
            let message = format!("the time of the NATS server is {:?}", self.ts);
            QueueError::new(QueueErrorKind::Transient, "Time", message)
        })
    }
}

/// Reads which subjects that match a filter have messages.
pub(super) async fn read_subjects(
    context: &Context,
    stream: &str,
    filter: &str,
) -> Result<StreamSubjects, QueueError> {
    let request = serde_json::json!({ "subjects_filter": filter });
    let response = context.request(format!("STREAM.INFO.{stream}"), &request).await;
    match response.map_err(|error| transient_error("Subjects", &error))? {
        Response::Ok(subjects) => Ok(subjects),
        Response::Err { error } => Err(transient_error("Subjects", &error)),
    }
}

pub(super) fn transient_error(code: &str, error: &(dyn Error + 'static)) -> QueueError {
    QueueError::new(QueueErrorKind::Transient, code, error_chain(error))
}
