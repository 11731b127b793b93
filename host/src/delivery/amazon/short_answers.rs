//! Answers in which nothing failed, made short before the SDK reads them.
//!
//! For each accepted record Firehose sends an id of some 200 characters, which
//! nobody needs. The SDK would make a string of each, which costs a third of
//! what signing does.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use aws_smithy_types::config_bag::ConfigBag;
use bytes::Bytes;
use memchr::memmem;

/// An HTTP client that shortens answers.
#[derive(Debug)]
pub(super) struct ShortAnswers(pub(super) SharedHttpClient);

#[derive(Debug)]
struct Connector(SharedHttpConnector);

impl HttpClient for ShortAnswers {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector(self.0.http_connector(settings, components)))
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.0.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        HttpConnectorFuture::new(async move { shorten(answer.await?).await })
    }
}

async fn shorten(mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
    if !response.status().is_success() {
        return Ok(response);
    }
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let body = ByteStream::new(body).collect().await;
    let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
    let body = if nothing_failed(&body) { Bytes::from_static(NOTHING_FAILED) } else { body };
    *response.body_mut() = SdkBody::from(body);
    Ok(response)
}

const NOTHING_FAILED: &[u8] = b"{\"FailedPutCount\":0,\"RequestResponses\":[]}";

/// Whether an answer says so in just these bytes. They cannot be part of a
/// string, in which quotes are escaped; where it is said otherwise, the SDK
/// reads all of it.
fn nothing_failed(answer: &[u8]) -> bool {
    const SAID: &[u8] = b"\"FailedPutCount\":0";
    memmem::find(answer, SAID)
        .is_some_and(|at| matches!(answer.get(at + SAID.len()), Some(b',' | b'}')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_answers_without_failures_are_shortened() {
        for yes in [
            &br#"{"Encrypted":false,"FailedPutCount":0,"RequestResponses":[{"RecordId":"x"}]}"#[..],
            br#"{"RequestResponses":[{"RecordId":"x"}],"FailedPutCount":0}"#,
            NOTHING_FAILED,
        ] {
            assert!(nothing_failed(yes), "{}", yes.escape_ascii());
        }
        for no in [
            &br#"{"FailedPutCount":1,"RequestResponses":[{"ErrorMessage":"\"FailedPutCount\":0,"}]}"#[..],
            br#"{"FailedPutCount":01}"#,
            br#"{"FailedPutCount": 0}"#,
            br#"{"FailedPutCount":0"#,
            b"",
        ] {
            assert!(!nothing_failed(no), "{}", no.escape_ascii());
        }
    }
}
