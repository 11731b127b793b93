//! An HTTP client that looks at Firehose's answers before the SDK does.
//!
//! The SDK gives required members that an answer lacks a value: a missing count of
//! failures is 0, and no results are an empty list. Nor could it be seen afterwards.
//! So each request carries what its answer must account for, and an answer with a
//! status of success that does not becomes an error here. Errors pass as they are.
//!
//! What an answer to `PutRecordBatch` says is left with the request, and the SDK gets
//! one without results: it would make a string of each record's id.

use std::sync::{Arc, OnceLock};

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

use super::answer::{InvalidAnswer, check_description, read_put_answer};
use crate::Answer;
use standpipe_core::event::StreamName;

/// What the answer to a request must account for, as an extension of the request.
#[derive(Debug, Clone)]
pub(super) enum Expected {
    /// The fate of so many records, which is left here.
    Fates { records: usize, answer: Arc<OnceLock<Answer>> },
    /// What this stream is.
    Description(StreamName),
}

/// An HTTP client that lets complete answers through alone.
#[derive(Debug)]
pub(super) struct CheckedAnswers(pub(super) SharedHttpClient);

#[derive(Debug)]
struct Connector(SharedHttpConnector);

impl HttpClient for CheckedAnswers {
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
        let expected = request.extension::<Expected>().cloned();
        let response = self.0.call(request);
        HttpConnectorFuture::new(async move {
            let response = response.await?;
            match expected.filter(|_| response.status().is_success()) {
                Some(expected) => expected.check(response).await,
                None => Ok(response),
            }
        })
    }
}

impl Expected {
    async fn check(self, mut response: HttpResponse) -> Result<HttpResponse, ConnectorError> {
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body).collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
        let checked = self.read(body);
        let body = checked.map_err(|error| ConnectorError::other(error.into(), None))?;
        *response.body_mut() = SdkBody::from(body);
        Ok(response)
    }

    /// What the SDK is to read.
    fn read(self, body: Bytes) -> Result<Bytes, InvalidAnswer> {
        match self {
            Expected::Fates { records, answer } => {
                // Nobody else fills it: nothing is sent twice.
                let _ = answer.set(read_put_answer(&body, records)?);
                Ok(Bytes::from_static(b"{\"FailedPutCount\":0,\"RequestResponses\":[]}"))
            }
            Expected::Description(stream) => {
                check_description(&body, &stream)?;
                Ok(body)
            }
        }
    }
}
