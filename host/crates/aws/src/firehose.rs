//! Clients of Amazon Data Firehose, and what a delivery stream is.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::StalledStreamProtectionConfig;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::config::timeout::TimeoutConfig;

use super::http::{ResponseReader, with_response_reader};
use super::{AwsAccess, AwsError, AwsSession, StreamDescription, read_description};
use crate::limits;

/// Creates a client with this configuration and request timeout. `endpoint_url` overrides
/// the configuration and the environment.
///
/// It retries nothing: every attempt must be counted and paced in one place. Requests
/// can have their responses read by an [`ResponseReader`].
pub fn firehose_client(
    config: &SdkConfig,
    endpoint_url: Option<&str>,
    timeout: Duration,
) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(limits::CONNECT_TIMEOUT)
        .operation_timeout(timeout)
        .build();
    let mut builder = aws_sdk_firehose::config::Builder::from(config)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    if let Some(http) = config.http_client() {
        builder = builder.http_client(with_response_reader(http));
    }
    if let Some(url) = endpoint_url {
        builder = builder.endpoint_url(url);
    }
    Client::from_conf(builder.build())
}

/// Describes delivery streams with `DescribeDeliveryStream`.
#[derive(Debug, Clone)]
pub struct StreamInspector {
    client: Client,
    /// Loads new credentials when AWS refuses these.
    session: Option<AwsSession>,
}

impl StreamInspector {
    /// Describes streams with a client of [`firehose_client`].
    pub fn new(client: Client, session: Option<AwsSession>) -> Self {
        StreamInspector { client, session }
    }

    /// Describes streams with these credentials; `endpoint_url` overrides Firehose's own.
    pub fn with_access(access: &AwsAccess, endpoint_url: Option<&str>) -> Self {
        let client = firehose_client(&access.config, endpoint_url, limits::CREDENTIALS_TIMEOUT);
        StreamInspector::new(client, Some(access.session.clone()))
    }

    /// Ask about a stream once; about its destinations behind this one, where there are
    /// more of them.
    ///
    /// # Errors
    ///
    /// Firehose refuses or is not reached, or the response lacks something that each has.
    pub async fn describe(
        &self,
        stream: &str,
        destinations_after: Option<&str>,
    ) -> Result<StreamDescription, AwsError> {
        let described = Arc::<OnceLock<StreamDescription>>::default();
        let (name, kept) = (stream.to_owned(), Arc::clone(&described));
        let reader = ResponseReader::new(move |answer| {
            // Nobody else fills it: nothing is sent twice.
            let _ = kept.set(read_description(&name, answer)?);
            Ok(b"{}")
        });
        let operation = self
            .client
            .describe_delivery_stream()
            .delivery_stream_name(stream)
            .set_exclusive_start_destination_id(destinations_after.map(str::to_owned));
        let request = operation
            .customize()
            .mutate_request(move |request| request.add_extension(reader.clone()));
        let answer = request.send().await.map_err(|error| AwsError::of_sdk(&error));
        match answer {
            Ok(_) => described.get().cloned().ok_or_else(|| {
                // The client that has responses read was not on the way.
                AwsError::incomplete_response("the response was not read")
            }),
            Err(error) => {
                if let Some(session) =
                    self.session.as_ref().filter(|_| error.is_about_credentials())
                {
                    session.renew_early();
                }
                Err(error)
            }
        }
    }
}
