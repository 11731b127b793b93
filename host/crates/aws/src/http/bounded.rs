//! Answers have an end, whoever gives them: what is read of one is bounded here for
//! every service, whether it succeeds or fails. What they say of the time is noticed.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::config_bag::ConfigBag;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thiserror::Error;

use crate::Clock;
use crate::limits;

/// An answer that is longer than any of AWS.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "the answer has more than {} bytes, which is more than AWS answers: check the endpoints under [aws], and the \
     proxies in between",
    limits::AWS_ANSWER_BYTES_MAX
)]
pub struct AnswerTooLong;

/// An HTTP client whose answers are bounded.
#[derive(Debug)]
pub(super) struct Client(pub(super) SharedHttpClient, pub(super) Clock);

#[derive(Debug)]
struct Connector<C>(C, Clock);

/// A connector whose answers are bounded.
pub(super) fn connector(
    connector: impl HttpConnector + 'static,
    clock: Clock,
) -> SharedHttpConnector {
    SharedHttpConnector::new(Connector(connector, clock))
}

impl HttpClient for Client {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        connector(self.0.http_connector(settings, components), self.1.clone())
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

impl<C: HttpConnector> HttpConnector for Connector<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (response, clock) = (self.0.call(request), self.1.clone());
        HttpConnectorFuture::new(async move {
            let response = response.await?;
            clock.observe(&response);
            Ok(bound(response))
        })
    }
}

fn bound(mut response: HttpResponse) -> HttpResponse {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bounded = Limited::new(body, limits::AWS_ANSWER_BYTES_MAX).map_err(name_limit);
    *response.body_mut() = SdkBody::from_body_1_x(bounded);
    response
}

fn name_limit(error: BoxError) -> BoxError {
    if error.is::<LengthLimitError>() { AnswerTooLong.into() } else { error }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;
    use crate::error_chain;

    async fn read(bytes: usize, status: u16) -> Result<usize, String> {
        let status = StatusCode::try_from(status).unwrap();
        let response = bound(HttpResponse::new(status, SdkBody::from(vec![b' '; bytes])));
        let body = ByteStream::new(response.into_body()).collect().await;
        body.map(|body| body.into_bytes().len()).map_err(|error| error_chain(&error))
    }

    #[tokio::test]
    async fn answers_end_at_the_limit_whatever_their_status() {
        for status in [200, 403, 502] {
            let most = limits::AWS_ANSWER_BYTES_MAX;
            assert_eq!(read(most, status).await, Ok(most));
            let error = read(most + 1, status).await.unwrap_err();
            assert!(error.contains(&format!("more than {most} bytes")), "{error}");
        }
    }
}
