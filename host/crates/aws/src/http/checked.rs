//! Checks successful responses before the SDK reads them.
//!
//! The SDK fills in required members that a response lacks: a missing count of failures becomes 0,
//! and missing results an empty list. Afterwards, this cannot be detected. Therefore, each request
//! contains a function that reads its response. If the function rejects the response, the request
//! fails. Error responses are not changed.
//!
//! The creator of the function gets the result, and the SDK gets a replacement body: otherwise, it
//! would create a string for each record's id.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;

use crate::InvalidResponse;

/// Reads the body of a request's response, and returns the replacement for the SDK. It is an
/// extension of the request.
#[derive(Clone)]
pub struct ResponseReader(Arc<Read>);

type Read = dyn Fn(&[u8]) -> Result<&'static [u8], InvalidResponse> + Send + Sync;

impl ResponseReader {
    /// Creates a reader with this function.
    pub fn new(
        read: impl Fn(&[u8]) -> Result<&'static [u8], InvalidResponse> + Send + Sync + 'static,
    ) -> Self {
        ResponseReader(Arc::new(read))
    }

    /// Reads a successful response. Other responses are not changed.
    pub(super) async fn read_response(
        self,
        mut response: HttpResponse,
    ) -> Result<HttpResponse, ConnectorError> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let body = std::mem::replace(response.body_mut(), SdkBody::taken());
        let body = ByteStream::new(body).collect().await;
        let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
        let for_sdk = (self.0)(&body).map_err(|error| ConnectorError::other(error.into(), None))?;
        *response.body_mut() = SdkBody::from(Bytes::from_static(for_sdk));
        Ok(response)
    }
}

impl fmt::Debug for ResponseReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResponseReader")
    }
}
