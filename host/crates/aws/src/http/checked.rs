//! Looks at successful responses before the SDK does.
//!
//! The SDK gives required members that a response lacks a value: a missing count of
//! failures is 0, and no results are an empty list. Nor could it be seen afterwards.
//! So each request carries a function that reads its response, and what that does not
//! believe becomes an error here. Errors pass as they are.
//!
//! What the function has read stays with its creator, and the SDK gets what the
//! function gives it: it would make a string of each record's id.

use std::fmt;
use std::sync::Arc;

use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use bytes::Bytes;

use crate::InvalidResponse;

/// Reads the body of a request's response, and gives what the SDK is to read in its place.
/// It is an extension of the request.
#[derive(Clone)]
pub struct ResponseReader(Arc<Read>);

type Read = dyn Fn(&[u8]) -> Result<&'static [u8], InvalidResponse> + Send + Sync;

impl ResponseReader {
    /// Read with this function.
    pub fn new(
        read: impl Fn(&[u8]) -> Result<&'static [u8], InvalidResponse> + Send + Sync + 'static,
    ) -> Self {
        ResponseReader(Arc::new(read))
    }

    /// Reads a response that succeeded; others pass as they are.
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
