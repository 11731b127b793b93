//! An HTTP client, or a connector of one, whose responses a function handles before
//! anybody else sees them.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

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
use aws_smithy_types::config_bag::ConfigBag;

/// What becomes of a response.
pub(super) type Handled =
    Pin<Box<dyn Future<Output = Result<HttpResponse, ConnectorError>> + Send>>;

/// Handles the response to one request.
pub(super) type ResponseHandler = Box<dyn FnOnce(HttpResponse) -> Handled + Send>;

/// Says what handles the response to a request, before that is sent; none if nothing does.
pub(super) type HandlerOf = Arc<dyn Fn(&HttpRequest) -> Option<ResponseHandler> + Send + Sync>;

/// `inner`, with its responses handled.
pub(super) struct Intercepted<C> {
    pub(super) inner: C,
    pub(super) handler_of: HandlerOf,
}

impl HttpClient for Intercepted<SharedHttpClient> {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(Intercepted { inner, handler_of: Arc::clone(&self.handler_of) })
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
        let handler = (self.handler_of)(&request);
        let response = self.inner.call(request);
        match handler {
            None => response,
            Some(handle) => HttpConnectorFuture::new(async move { handle(response.await?).await }),
        }
    }
}

impl<C: fmt::Debug> fmt::Debug for Intercepted<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Intercepted").field("inner", &self.inner).finish_non_exhaustive()
    }
}
