//! An HTTP client, or its connector, that handles responses before any other code sees them.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;

use super::bounded::limit_body;
use super::checked::ResponseReader;
use crate::AwsClock;

/// A wrapper of `inner` that handles its responses.
#[derive(Debug)]
pub(super) struct Intercepted<C> {
    pub(super) inner: C,
    pub(super) handling: ResponseHandling,
}

/// How to handle each response.
#[derive(Debug, Clone)]
pub(super) enum ResponseHandling {
    /// Limit the size of the body, and correct this clock by the `Date` of an error response.
    Bound(AwsClock),
    /// Read the response with the [`ResponseReader`] of its request, if there is one.
    Read,
}

impl HttpClient for Intercepted<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Intercepted { inner, handling: self.handling.clone() })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_base_client_config(components, config)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        config: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.inner.validate_final_config(components, config)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.inner.connector_metadata()
    }
}

impl<C: HttpConnector> HttpConnector for Intercepted<C> {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let reader = request.extension::<ResponseReader>().cloned();
        let response = self.inner.call(request);
        match (&self.handling, reader) {
            (ResponseHandling::Bound(clock), _) => {
                let clock = clock.clone();
                HttpConnectorFuture::new(async move {
                    let response = response.await?;
                    clock.observe_response(&response);
                    Ok(limit_body(response))
                })
            }
            (ResponseHandling::Read, Some(reader)) => {
                HttpConnectorFuture::new(async { reader.read_response(response.await?).await })
            }
            (ResponseHandling::Read, None) => response,
        }
    }
}
