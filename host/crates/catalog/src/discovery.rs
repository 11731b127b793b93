//! Reads the delivery streams of an account and a region.
//!
//! AWS allows five calls per second of each operation, for all callers together. Therefore, calls
//! are rate-limited, and throttled calls are retried. So `N` streams take `N / 4` seconds, which is
//! minutes for thousands of streams.
//!
//! Partial failures:
//! - If the first page of the list fails, it is an error.
//! - A list that ends early is used, but it is incomplete: nothing is deleted because of it.
//! - A stream that was deleted after it was listed is not a failure.
//! - Streams that cannot be described are listed as unread. If none can, it is an error:
//!   permissions or the network are the cause then, not the streams.
//! - Without DynamoDB or STS there are warnings.

mod bounded_calls;
mod control_plane;
mod describe;
mod endpoints;
mod error_kind;
mod list;
mod retry;
mod tables;

pub use endpoints::{ServiceUrls, region_of_zone, share_endpoint};

pub(crate) use error_kind::{is_denied, is_gone};
pub(crate) use list::{STREAMS, TABLES};
pub(crate) use tables::streams_fed_by;

use std::env;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::filter::{FilterError, StreamFilter};
use super::{Inventory, UnreadableStream};
use control_plane::ControlPlane;
use describe::{DescribedStreams, StreamDescriber};
use error_kind::permission_advice;
use list::ListedNames;
use standpipe_aws::{
    self as aws, AwsAccess, AwsError, AwsSettings, ConnectError, JsonClient, JsonService,
    OnUnreachable, StreamInspector,
};
use standpipe_core::secret::SecretResolver;
use tables::TablesByStream;

/// Time for STS to return the account of the credentials, which is optional.
const CATALOG_CALLER_TIMEOUT: Duration = Duration::from_secs(15);

const FIREHOSE: JsonService =
    JsonService { name: "firehose", target: "Firehose_20150804", version: "1.1" };
const DYNAMODB: JsonService =
    JsonService { name: "dynamodb", target: "DynamoDB_20120810", version: "1.0" };

/// Settings for reading the streams.
#[derive(Debug, Clone)]
pub struct DiscoverySettings {
    /// Credentials, region, and the URLs of DynamoDB and STS.
    pub aws: AwsSettings,
    /// A URL that replaces Firehose's own endpoint.
    pub firehose_url: Option<String>,
    /// Which streams to read.
    pub filter: StreamFilter,
    /// Whether to look for the DynamoDB tables behind Kinesis streams.
    pub walks_tables: bool,
    /// Calls per second of each operation. Default:
    /// [`CATALOG_CALLS_PER_SECOND`](crate::limits::CATALOG_CALLS_PER_SECOND). AWS throttles more
    /// than 5; only an emulator permits more.
    pub calls_per_second: f64,
}

/// Why nothing could be read.
#[derive(Debug, Error)]
pub enum DiscoveryError {
    /// AWS cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The streams could not be listed.
    #[error(
        "failed to list the delivery streams: {error}{}",
        permission_advice(error, "firehose:ListDeliveryStreams")
    )]
    List {
        /// The error.
        error: AwsError,
    },
    /// None of the listed streams could be described.
    #[error(
        "failed to describe any of {count} delivery streams; the first is {}: {}{}",
        first.name, first.cause, if *is_denied { ": allow firehose:DescribeDeliveryStream" } else { "" }
    )]
    NothingRead {
        /// The number of streams.
        count: usize,
        /// The first stream, and its error.
        first: UnreadableStream,
        /// Whether access was denied for all of them.
        is_denied: bool,
    },
    /// A pattern needs too many steps.
    #[error(transparent)]
    Filter(#[from] FilterError),
}

/// The progress of discovery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiscoveryProgress {
    /// This number of streams is listed.
    Listed(usize),
    /// This number of the selected streams has been described.
    Described {
        /// The number so far.
        done: usize,
        /// The total number.
        of: usize,
    },
    /// This number of DynamoDB tables has been read.
    Tables {
        /// The number so far.
        done: usize,
        /// The total number.
        of: usize,
    },
}

/// Receives the progress of discovery.
pub type ReportProgress<'a> = &'a (dyn Fn(DiscoveryProgress) + Send + Sync);

/// Reads the delivery streams of an account and a region.
#[derive(Debug)]
pub struct InventoryReader {
    pub(super) access: AwsAccess,
    pub(super) firehose: Arc<ControlPlane>,
    pub(super) descriptions: Arc<StreamDescriber>,
    pub(super) dynamodb: Arc<ControlPlane>,
    pub(super) filter: StreamFilter,
    pub(super) walks_tables: bool,
}

impl InventoryReader {
    /// Finds credentials, and tests them.
    ///
    /// # Errors
    ///
    /// Fails if there are no credentials, or if the region is missing.
    pub async fn open(
        settings: DiscoverySettings,
        secrets: &Arc<dyn SecretResolver>,
    ) -> Result<Self, DiscoveryError> {
        let DiscoverySettings { aws, firehose_url, filter, walks_tables, calls_per_second } =
            settings;
        let http = aws::http_client(&aws.transport, &**secrets).await?;
        let access = aws::connect(&aws, &http, secrets, OnUnreachable::Fail).await?;
        let control = async |service: JsonService, url: &Option<String>, operations: &[_]| {
            let url = url.clone().or_else(|| url_of_surroundings(&access, service.name));
            let connector = aws::http_connector(&aws.transport, &**secrets, &access.clock).await?;
            let client = JsonClient::new(access.clone(), connector, service, &aws, url.as_deref());
            Ok::<_, ConnectError>(Arc::new(ControlPlane::new(client, operations, calls_per_second)))
        };
        let firehose = control(FIREHOSE, &firehose_url, &[STREAMS.operation]).await?;
        let of_tables = [TABLES.operation, tables::OPERATION];
        let dynamodb = control(DYNAMODB, &aws.endpoints.dynamodb, &of_tables).await?;
        let inspector = StreamInspector::with_access(&access, firehose_url.as_deref());
        let descriptions = StreamDescriber::new(inspector, calls_per_second);
        Ok(InventoryReader { access, firehose, descriptions, dynamodb, filter, walks_tables })
    }

    /// Returns the region that it reads.
    pub fn region(&self) -> &str {
        self.access.config.region().map(AsRef::as_ref).unwrap_or_default()
    }

    /// Reads all streams that the patterns select.
    ///
    /// # Errors
    ///
    /// Fails if the streams cannot be listed, or if none of them can be described.
    pub async fn read_inventory(
        &self,
        progress: ReportProgress<'_>,
    ) -> Result<Inventory, DiscoveryError> {
        let listed = STREAMS.read_all(&self.firehose).await;
        let ListedNames { names, cut_off, .. } =
            listed.map_err(|error| DiscoveryError::List { error })?;
        progress(DiscoveryProgress::Listed(names.len()));
        let (kept, filtered) = self.split_by_filter(names)?;
        let described = DescribedStreams::describe_all(&self.descriptions, kept, progress).await;
        if let (true, Some(first)) = (described.streams.is_empty(), described.unread.first()) {
            let count = described.unread.len();
            let is_denied = described.denied == count;
            return Err(DiscoveryError::NothingRead { count, first: first.clone(), is_denied });
        }
        let mut inventory = Inventory {
            region: self.region().to_owned(),
            streams: described.streams,
            filtered,
            unread: described.unread,
            vanished: described.vanished,
            is_complete: cut_off.is_none(),
            ..Inventory::default()
        };
        if let Some(why) = cut_off {
            inventory.warnings.push(format!("the list of delivery streams is incomplete: {why}"));
        }
        self.find_account(&mut inventory).await;
        self.find_tables(&mut inventory, progress).await;
        Ok(inventory)
    }

    /// Splits names into those that the patterns select, and the others, which are sorted.
    fn split_by_filter(
        &self,
        names: Vec<String>,
    ) -> Result<(Vec<String>, Vec<String>), FilterError> {
        let (mut kept, mut filtered) = (Vec::new(), Vec::new());
        for name in names {
            if self.filter.keeps_name(&name)? { kept.push(name) } else { filtered.push(name) }
        }
        filtered.sort();
        Ok((kept, filtered))
    }

    async fn find_account(&self, inventory: &mut Inventory) {
        let caller = tokio::time::timeout(CATALOG_CALLER_TIMEOUT, self.access.caller_identity());
        let (of_caller, cause) = match caller.await {
            Ok(Ok(caller)) => (Some(caller.account), None),
            Ok(Err(error)) => (None, Some(error.to_string())),
            Err(_) => (None, Some(format!("no answer in {CATALOG_CALLER_TIMEOUT:?}"))),
        };
        inventory.warnings.extend(cause.map(|cause| {
            format!("failed to get the account from STS: {cause}; using the account in the streams' ARNs")
        }));
        let of_streams = inventory.streams.iter().map(|stream| stream.arn.account.clone());
        inventory.account = of_caller.into_iter().chain(of_streams).find(|it| is_account(it));
    }

    /// Finds the tables behind Kinesis streams, if there are Kinesis streams: each table costs a
    /// call.
    async fn find_tables(&self, inventory: &mut Inventory, progress: ReportProgress<'_>) {
        if !self.walks_tables || tables::kinesis_sources(&inventory.streams).next().is_none() {
            return;
        }
        let feeding = TablesByStream::discover(&self.dynamodb, progress).await;
        inventory.tables = feeding.tables;
        inventory.warnings.extend(feeding.warnings);
        inventory
            .warnings
            .extend(tables::foreign_source_warnings(&inventory.streams, &inventory.region));
    }
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the URL that AWS's SDKs take from the environment, or from the shared files.
fn url_of_surroundings(access: &AwsAccess, service: &str) -> Option<String> {
    let own = env::var(format!("AWS_ENDPOINT_URL_{}", service.to_ascii_uppercase()));
    let own = own.ok().filter(|url| !url.is_empty());
    own.or_else(|| access.config.endpoint_url().map(str::to_owned))
}
