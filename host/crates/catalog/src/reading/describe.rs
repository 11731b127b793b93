//! Describes each listed delivery stream: read, denied, vanished or unreadable. Pages are bounded.

use std::sync::Arc;

use serde_json::json;

use super::control::{Control, is_denied, is_gone};
use super::description::{Page, read_page};
use super::each::ask_each;
use super::{Progress, Tell};
use crate::limits;
use crate::{Stream, Unread};
use standpipe_aws::JsonError;

pub(super) const OPERATION: &str = "DescribeDeliveryStream";

/// What has come of asking about streams.
#[derive(Debug, Default)]
pub(super) struct Described {
    pub(super) streams: Vec<Stream>,
    pub(super) unread: Vec<Unread>,
    pub(super) vanished: Vec<String>,
    /// How many of those unread are denied.
    pub(super) denied: usize,
}

impl Described {
    /// Ask about each of these streams. Sorted by name.
    pub(super) async fn read(control: &Arc<Control>, names: Vec<String>, tell: Tell<'_>) -> Self {
        let of = names.len();
        let (mut described, mut done) = (Described::default(), 0);
        let ask = |name: String| {
            let control = Arc::clone(control);
            async move { describe(&control, &name).await }
        };
        let take = |name, answer| {
            described.take(name, answer);
            done += 1;
            tell(Progress::Described { done, of });
        };
        ask_each(names, ask, take).await;
        described.streams.sort_by(|one, other| one.name.cmp(&other.name));
        described.unread.sort_by(|one, other| one.name.cmp(&other.name));
        described.vanished.sort();
        described
    }

    fn take(&mut self, name: String, answer: Result<Result<Stream, String>, JsonError>) {
        match answer {
            Ok(Ok(stream)) => self.streams.push(stream),
            Ok(Err(cause)) => self.unread.push(Unread { name, cause }),
            Err(error) if is_gone(&error) => self.vanished.push(name),
            Err(error) => {
                self.denied += usize::from(is_denied(&error));
                self.unread.push(Unread { name, cause: error.to_string() });
            }
        }
    }
}

/// Ask about a stream, page by page: it has one today.
async fn describe(control: &Control, name: &str) -> Result<Result<Stream, String>, JsonError> {
    let answer = control.ask(OPERATION, &json!({"DeliveryStreamName": name})).await?;
    let Page { mut stream, mut next } = match read_page(name, &answer) {
        Ok(page) => page,
        Err(cause) => return Ok(Err(cause)),
    };
    for _ in 1..limits::CATALOG_DESTINATION_PAGES_MAX {
        let Some(start) = next.take() else { return Ok(Ok(stream)) };
        let request = json!({"DeliveryStreamName": name, "ExclusiveStartDestinationId": start});
        let answer = control.ask(OPERATION, &request).await?;
        match read_page(name, &answer) {
            Ok(page) if page.next.as_ref() == Some(&start) => return Ok(Err(endless())),
            Ok(page) => {
                next = page.next;
                stream.destinations.extend(page.stream.destinations);
            }
            Err(cause) => return Ok(Err(cause)),
        }
    }
    Ok(if next.is_none() { Ok(stream) } else { Err(endless()) })
}

fn endless() -> String {
    "the list of its destinations has no end".to_owned()
}
