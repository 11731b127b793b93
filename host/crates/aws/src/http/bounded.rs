//! Limits the size of every response, for all services and statuses.

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use thiserror::Error;

use crate::limits;

/// The response is longer than any response of AWS.
#[derive(Debug, Clone, Copy, Error, PartialEq, Eq)]
#[error(
    "the response has more than {} bytes, the most that AWS sends: check the endpoints under [aws], and the \
     proxies in between",
    limits::AWS_RESPONSE_BYTES_MAX
)]
pub struct ResponseTooLong;

/// Limits the size of a response's body.
pub(super) fn limit_body(mut response: HttpResponse) -> HttpResponse {
    let body = std::mem::replace(response.body_mut(), SdkBody::taken());
    let bounded = Limited::new(body, limits::AWS_RESPONSE_BYTES_MAX).map_err(name_limit);
    *response.body_mut() = SdkBody::from_body_1_x(bounded);
    response
}

fn name_limit(error: BoxError) -> BoxError {
    if error.is::<LengthLimitError>() { ResponseTooLong.into() } else { error }
}

#[cfg(test)]
mod tests {
    use aws_smithy_runtime_api::http::StatusCode;
    use aws_smithy_types::byte_stream::ByteStream;

    use super::*;
    use crate::error_chain;

    async fn read(bytes: usize, status: u16) -> Result<usize, String> {
        let status = StatusCode::try_from(status).unwrap();
        let response = limit_body(HttpResponse::new(status, SdkBody::from(vec![b' '; bytes])));
        let body = ByteStream::new(response.into_body()).collect().await;
        body.map(|body| body.into_bytes().len()).map_err(|error| error_chain(&error))
    }

    #[tokio::test]
    async fn answers_end_at_the_limit_whatever_their_status() {
        for status in [200, 403, 502] {
            let most = limits::AWS_RESPONSE_BYTES_MAX;
            assert_eq!(read(most, status).await, Ok(most));
            let error = read(most + 1, status).await.unwrap_err();
            assert!(error.contains(&format!("more than {most} bytes")), "{error}");
        }
    }
}
