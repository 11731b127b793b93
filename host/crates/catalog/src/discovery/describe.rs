//! Describes each listed delivery stream. The result is read, denied, deleted or unreadable. The
//! number of pages is limited.

use std::sync::Arc;

use standpipe_aws::{AwsError, StreamInspector};
use standpipe_core::rate_limiter::RateLimiter;

use super::bounded_calls::call_for_each;
use super::error_kind::{is_denied, is_gone};
use super::retry::call_with_retries;
use super::{DiscoveryProgress, ReportProgress};
use crate::limits;
use crate::{StreamDescription, UnreadableStream};

/// Maximum pages of destinations of one stream, which currently has one destination.
const CATALOG_DESTINATION_PAGES_MAX: usize = 100;

/// Describes delivery streams at the rate that AWS permits.
#[derive(Debug)]
pub(crate) struct StreamDescriber {
    inspector: StreamInspector,
    limiter: RateLimiter,
}

impl StreamDescriber {
    pub(super) fn new(inspector: StreamInspector, per_second: f64) -> Arc<Self> {
        Arc::new(StreamDescriber { inspector, limiter: RateLimiter::per_second(per_second) })
    }

    /// Describes a stream with at most this number of attempts, with its first destinations or
    /// those after the given one.
    pub(crate) async fn describe_page(
        &self,
        attempts_max: u32,
        name: &str,
        destinations_after: Option<&str>,
    ) -> Result<StreamDescription, AwsError> {
        let call = || self.inspector.describe(name, destinations_after);
        call_with_retries(&self.limiter, attempts_max, "DescribeDeliveryStream", call).await
    }

    /// Describes a stream with all of its destinations, page by page. Currently, there is one.
    async fn describe_all_pages(&self, name: &str) -> Result<StreamDescription, AwsError> {
        let attempts_max = limits::CATALOG_ATTEMPTS_MAX;
        let mut stream = self.describe_page(attempts_max, name, None).await?;
        for _ in 1..CATALOG_DESTINATION_PAGES_MAX {
            let Some(last) = last_destination_id(&stream)? else { return Ok(stream) };
            let page = self.describe_page(attempts_max, name, Some(&last)).await?;
            if last_destination_id(&page)?.as_ref() == Some(&last) {
                return Err(endless_pages_error());
            }
            stream.destinations.extend(page.destinations);
            stream.has_more_destinations = page.has_more_destinations;
        }
        if stream.has_more_destinations { Err(endless_pages_error()) } else { Ok(stream) }
    }
}

/// The destination after which there are more, or `None` for the last page.
fn last_destination_id(stream: &StreamDescription) -> Result<Option<String>, AwsError> {
    if !stream.has_more_destinations {
        return Ok(None);
    }
    let last = stream.destinations.last().map(|last| &last.id).filter(|id| !id.is_empty());
    let last = last.ok_or_else(|| {
        final_error(
            "the response says that there are more destinations, without the ID to continue after",
        )
    })?;
    Ok(Some(last.clone()))
}

fn endless_pages_error() -> AwsError {
    final_error("the list of its destinations does not end")
}

/// An error that is not retried.
fn final_error(problem: &str) -> AwsError {
    AwsError { is_passing: false, ..AwsError::incomplete_response(problem) }
}

/// The results of describing streams.
#[derive(Debug, Default)]
pub(super) struct DescribedStreams {
    pub(super) streams: Vec<StreamDescription>,
    pub(super) unread: Vec<UnreadableStream>,
    pub(super) vanished: Vec<String>,
    /// How many of the unread streams are denied.
    pub(super) denied: usize,
}

impl DescribedStreams {
    /// Describes each of these streams. The results are sorted by name.
    pub(super) async fn describe_all(
        descriptions: &Arc<StreamDescriber>,
        names: Vec<String>,
        progress: ReportProgress<'_>,
    ) -> Self {
        let of = names.len();
        let (mut described, mut done) = (DescribedStreams::default(), 0);
        let ask = |name: String| {
            let descriptions = Arc::clone(descriptions);
            async move { descriptions.describe_all_pages(&name).await }
        };
        let take = |name, answer| {
            described.add_answer(name, answer);
            done += 1;
            progress(DiscoveryProgress::Described { done, of });
        };
        call_for_each(names, ask, take).await;
        described.streams.sort_by(|one, other| one.name.cmp(&other.name));
        described.unread.sort_by(|one, other| one.name.cmp(&other.name));
        described.vanished.sort();
        described
    }

    fn add_answer(&mut self, name: String, answer: Result<StreamDescription, AwsError>) {
        match answer {
            Ok(stream) => self.streams.push(stream),
            Err(error) if is_gone(&error) => self.vanished.push(name),
            Err(error) => {
                self.denied += usize::from(is_denied(&error));
                self.unread.push(UnreadableStream { name, cause: error.to_string() });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use standpipe_aws::{Destination, DestinationKind};

    use super::*;

    #[test]
    fn more_destinations_are_behind_the_last_one() {
        let stream = |has_more_destinations: bool, id: &str| {
            let destination =
                Destination { id: id.to_owned(), ..Destination::stand_in(DestinationKind::S3) };
            let stream = StreamDescription::stand_in("s", vec![destination]);
            StreamDescription { has_more_destinations, ..stream }
        };
        assert_eq!(last_destination_id(&stream(true, "d1")), Ok(Some("d1".to_owned())));
        assert_eq!(last_destination_id(&stream(false, "d1")), Ok(None));
        let error = last_destination_id(&stream(true, "")).unwrap_err();
        assert!(error.to_string().contains("more destinations") && !error.is_passing);
    }
}
