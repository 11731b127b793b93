//! Clients of Amazon Data Firehose, and descriptions of delivery streams.

use std::error::Error;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_firehose::Client;
use aws_sdk_firehose::config::StalledStreamProtectionConfig;
use aws_sdk_firehose::config::retry::RetryConfig;
use aws_sdk_firehose::config::timeout::TimeoutConfig;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

use super::http::{ResponseReader, with_response_reader};
use super::{
    AwsAccess, AwsError, AwsSession, InvalidResponse, StreamDescription, read_description,
    refuses_credentials,
};
use crate::limits;

/// Creates a client with this configuration and request timeout. `endpoint_url` overrides
/// the configuration and the environment.
///
/// The client does not retry, because every attempt must be counted and paced in one place. A
/// request can have its own [`ResponseReader`].
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

/// Sends a request whose response is read by a function, and not by the SDK, which reads `stand_in`
/// instead. If AWS rejects the credentials, the session loads new ones.
///
/// # Errors
///
/// Fails if the request failed, or if the function rejects its response.
pub async fn send_with_reader<T, O, E, F>(
    session: &AwsSession,
    stand_in: &'static [u8],
    read: impl Fn(&[u8]) -> Result<T, InvalidResponse> + Send + Sync + 'static,
    send: impl FnOnce(ResponseReader) -> F,
) -> Result<T, AwsError>
where
    T: Clone + Send + Sync + 'static,
    E: ProvideErrorMetadata + Error + 'static,
    F: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
{
    let response = Arc::<OnceLock<T>>::default();
    let kept = Arc::clone(&response);
    let reader = ResponseReader::new(move |body| {
        // Only this request fills it, because nothing is sent twice.
        let _ = kept.set(read(body)?);
        Ok(stand_in)
    });
    match send(reader).await {
        Ok(_) => response.get().cloned().ok_or_else(|| {
            // The request did not go through the client that reads responses.
            AwsError::incomplete_response("the response was not read")
        }),
        Err(error) => {
            let error = AwsError::of_sdk(&error);
            if refuses_credentials(&error.code) {
                session.renew_early();
            }
            Err(error)
        }
    }
}

/// Describes delivery streams with `DescribeDeliveryStream`.
#[derive(Debug, Clone)]
pub struct StreamInspector {
    client: Client,
    session: AwsSession,
}

impl StreamInspector {
    /// Describes streams with a client of [`firehose_client`] that has these credentials.
    pub fn new(client: Client, session: AwsSession) -> Self {
        StreamInspector { client, session }
    }

    /// Describes streams with these credentials. `endpoint_url` overrides Firehose's own endpoint.
    pub fn with_access(access: &AwsAccess, endpoint_url: Option<&str>) -> Self {
        let client = firehose_client(&access.config, endpoint_url, limits::CREDENTIALS_TIMEOUT);
        StreamInspector::new(client, access.session.clone())
    }

    /// Describes a stream with one attempt. `after` is the destination after which to continue, if
    /// there are more of them.
    ///
    /// # Errors
    ///
    /// Fails if Firehose returns an error or cannot be reached, or if the response lacks a required
    /// member.
    pub async fn describe(
        &self,
        stream: &str,
        destinations_after: Option<&str>,
    ) -> Result<StreamDescription, AwsError> {
        let name = stream.to_owned();
        let read = move |body: &[u8]| read_description(&name, body);
        let operation = self
            .client
            .describe_delivery_stream()
            .delivery_stream_name(stream)
            .set_exclusive_start_destination_id(destinations_after.map(str::to_owned))
            .customize();
        send_with_reader(&self.session, b"{}", read, |reader| {
            operation.mutate_request(move |request| request.add_extension(reader.clone())).send()
        })
        .await
    }
}
