//! Finds the DynamoDB tables that feed Kinesis streams. No API lists the tables of a stream, so
//! each table is read.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};

use super::bounded_calls::call_for_each;
use super::control_plane::ControlPlane;
use super::error_kind::{is_gone, missing_member, permission_advice};
use super::{DiscoveryProgress, ReportProgress, list};
use crate::limits;
use crate::{Arn, StreamDescription, StreamOrigin};
use standpipe_aws::{AwsError, JsonFields};

pub(super) const OPERATION: &str = "DescribeKinesisStreamingDestination";

/// The states of a table's destination in which changes flow, or will flow soon.
const FLOWING: [&str; 3] = ["ACTIVE", "UPDATING", "ENABLING"];

/// Tables by the Kinesis streams that they feed.
#[derive(Debug, Default)]
pub(super) struct TablesByStream {
    pub(super) tables: BTreeMap<Arn, Vec<Arn>>,
    pub(super) warnings: Vec<String>,
    failed: Vec<(String, AwsError)>,
}

impl TablesByStream {
    /// Reads the destinations of all tables. Failures become warnings: the lineage then starts at
    /// the Kinesis stream.
    pub(super) async fn discover(
        control: &Arc<ControlPlane>,
        progress: ReportProgress<'_>,
    ) -> Self {
        let mut feeding = TablesByStream::default();
        let listed = match list::TABLES.read_all(control).await {
            Ok(listed) => listed,
            Err(error) => {
                feeding.warnings.push(unlisted_warning(&error));
                return feeding;
            }
        };
        if let Some(why) = listed.cut_off {
            feeding.warnings.push(format!("the list of DynamoDB tables is incomplete: {why}"));
        }
        let of = listed.names.len();
        let ask = |table: String| {
            let control = Arc::clone(control);
            async move { streams_fed_by(&table, &control, limits::CATALOG_ATTEMPTS_MAX).await }
        };
        let mut done = 0;
        let take = |table: String, answer| {
            feeding.add_table(table, answer);
            done += 1;
            progress(DiscoveryProgress::Tables { done, of });
        };
        call_for_each(listed.names, ask, take).await;
        feeding.tables.values_mut().for_each(|tables| tables.sort());
        feeding.warn_of_failed(of);
        feeding
    }

    fn add_table(&mut self, table: String, fed: Result<BTreeSet<Arn>, AwsError>) {
        match fed {
            Ok(fed) => {
                for stream in fed {
                    let fed_by = Arn {
                        service: "dynamodb".to_owned(),
                        resource: format!("table/{table}"),
                        ..stream.clone()
                    };
                    self.tables.entry(stream).or_default().push(fed_by);
                }
            }
            Err(error) if is_gone(&error) => (),
            Err(error) => self.failed.push((table, error)),
        }
    }

    fn warn_of_failed(&mut self, of: usize) {
        let Some((table, error)) = self.failed.first() else { return };
        let advice = permission_advice(error, "dynamodb:DescribeKinesisStreamingDestination");
        self.warnings.push(format!(
            "failed to read the targets of {} of {of} DynamoDB tables; the first is {table}: \
             {error}{advice}",
            self.failed.len()
        ));
    }
}

fn unlisted_warning(error: &AwsError) -> String {
    let advice = permission_advice(error, "dynamodb:ListTables");
    format!(
        "failed to list DynamoDB tables; lineage starts at the Kinesis streams: {error}{advice}"
    )
}

/// Reads the Kinesis streams that a table feeds, with at most this number of attempts.
pub(crate) async fn streams_fed_by(
    table: &str,
    control: &ControlPlane,
    attempts_max: u32,
) -> Result<BTreeSet<Arn>, AwsError> {
    let request = json!({"TableName": table});
    streams_fed(&control.call_api(attempts_max, OPERATION, &request).await?)
}

/// The Kinesis streams in a table's description.
///
/// # Errors
///
/// Fails if the response lacks a required member.
fn streams_fed(answer: &Value) -> Result<BTreeSet<Arn>, AwsError> {
    let destinations = JsonFields::new(answer).all_objects("KinesisDataStreamDestinations");
    let destinations =
        destinations.ok_or_else(|| missing_member("KinesisDataStreamDestinations"))?;
    let mut fed = BTreeSet::new();
    for to in destinations {
        let status = to.text("DestinationStatus");
        let status = status.ok_or_else(|| missing_member("DestinationStatus"))?;
        if FLOWING.contains(&status) {
            fed.insert(to.arn("StreamArn").ok_or_else(|| missing_member("StreamArn"))?);
        }
    }
    Ok(fed)
}

/// The Kinesis streams that feed delivery streams.
pub(super) fn kinesis_sources(
    streams: &[StreamDescription],
) -> impl Iterator<Item = (&StreamDescription, &Arn)> {
    streams.iter().filter_map(|stream| match &stream.origin {
        StreamOrigin::Kinesis { arn } => Some((stream, arn)),
        _ => None,
    })
}

/// Warns about Kinesis streams whose tables cannot be read, because a table only feeds streams of
/// its own account and region.
pub(super) fn foreign_source_warnings(streams: &[StreamDescription], region: &str) -> Vec<String> {
    let others = kinesis_sources(streams)
        .filter(|(stream, source)| source.account != stream.arn.account || source.region != region);
    let warning = |(stream, source): (&StreamDescription, &Arn)| {
        format!(
            "{} is fed by {source}, which is in another account or region: the tables that feed it cannot be read from here",
            stream.name
        )
    };
    others.map(warning).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const STREAM: &str = "arn:aws:kinesis:eu-west-1:123456789012:stream/s";

    #[test]
    fn tables_count_while_their_changes_flow() {
        for (status, counts) in [
            ("ACTIVE", true),
            ("UPDATING", true),
            ("ENABLING", true),
            ("DISABLED", false),
            ("DISABLING", false),
            ("ENABLE_FAILED", false),
        ] {
            let mut feeding = TablesByStream::default();
            let to = json!({"StreamArn": STREAM, "DestinationStatus": status});
            let answer = json!({"KinesisDataStreamDestinations": [to, to]});
            feeding.add_table("t".to_owned(), streams_fed(&answer));
            let tables: Vec<_> = feeding.tables.values().flatten().map(Arn::to_string).collect();
            let table = "arn:aws:dynamodb:eu-west-1:123456789012:table/t";
            assert_eq!(tables, vec![table; usize::from(counts)], "{status}");
        }
    }

    #[test]
    fn an_answer_without_its_members_is_not_that_nothing_is_fed() {
        let to = json!({"StreamArn": STREAM, "DestinationStatus": "ACTIVE"});
        let without = |key: &str| {
            let mut to = to.clone();
            to.as_object_mut().unwrap().remove(key);
            json!({"KinesisDataStreamDestinations": [to]})
        };
        for answer in [
            json!({}),
            json!({"KinesisDataStreamDestinations": null}),
            json!({"KinesisDataStreamDestinations": {}}),
            json!({"KinesisDataStreamDestinations": [to, 1]}),
            json!({"KinesisDataStreamDestinations": [{"StreamArn": "s", "DestinationStatus": "ACTIVE"}]}),
            without("StreamArn"),
            without("DestinationStatus"),
        ] {
            let error = streams_fed(&answer).expect_err(&answer.to_string());
            assert_eq!(error.code, "InvalidAnswer");
        }
        let none = streams_fed(&json!({"KinesisDataStreamDestinations": []}));
        assert_eq!(none, Ok(BTreeSet::new()));
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(key in "KinesisDataStreamDestinations|x", value in "[a-z\"{}\\[\\]:,0-9]{0,20}") {
            let value: Value = serde_json::from_str(&value).unwrap_or(Value::Null);
            let _ = streams_fed(&json!({key: [value]}));
        }
    }
}
