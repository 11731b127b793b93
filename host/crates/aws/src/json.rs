//! A small client for AWS services with the JSON protocol. It replaces SDK crates that take minutes
//! to build for a single kind of request. It signs like the SDK, makes at most three attempts, and
//! logs no bodies.

use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::http::{HttpConnector, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use serde_json::Value;
use zeroize::Zeroizing;

use super::transient::is_transient;
use super::{AwsAccess, AwsError, AwsSettings, advice_of_failure};
use crate::limits;
use standpipe_core::backoff::{Backoff, Jitter};
use standpipe_core::error_chain;

/// The pauses before a request is sent again.
const BACKOFF: Backoff =
    Backoff::new(Duration::from_millis(200), Duration::from_millis(400), Jitter::None);
const ATTEMPTS: u32 = 3;

/// A client for AWS services with the JSON protocol, for a few simple requests.
///
/// AWS's own crates for Secrets Manager and Systems Manager take minutes to build, for one kind of
/// request each. This client signs with the same code as they do. Bodies are never logged.
#[derive(Debug)]
pub struct JsonClient {
    access: AwsAccess,
    connector: SharedHttpConnector,
    service: JsonService,
    url: String,
}

/// An AWS service with the JSON protocol.
#[derive(Debug, Clone, Copy)]
pub struct JsonService {
    /// The service's name in signatures and host names.
    pub name: &'static str,
    /// The prefix of operation names.
    pub target: &'static str,
    /// The version of the service's protocol.
    pub version: &'static str,
}

impl JsonClient {
    /// Creates a client with these credentials; `endpoint_url` overrides the service's own.
    pub fn new(
        access: AwsAccess,
        connector: SharedHttpConnector,
        service: JsonService,
        settings: &AwsSettings,
        endpoint_url: Option<&str>,
    ) -> Self {
        let region = access.config.region().map(ToString::to_string).unwrap_or_default();
        let url = match endpoint_url {
            Some(url) => url.trim_end_matches('/').to_owned() + "/",
            None => own_url(service.name, &region, settings),
        };
        JsonClient { access, connector, service, url }
    }

    /// Calls an operation, with up to three attempts.
    ///
    /// # Errors
    ///
    /// Fails if the service returns an error or cannot be reached.
    pub async fn call(&self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        for failures in 1..ATTEMPTS {
            match self.attempt(operation, input).await {
                Err(error) if error.is_passing => {
                    tracing::debug!("retrying the request to {}: {error}", self.service.name);
                }
                answer => return answer,
            }
            tokio::time::sleep(BACKOFF.pause_after(failures)).await;
        }
        self.attempt(operation, input).await
    }

    /// Calls an operation with a single request, for callers with their own rate limit and retries.
    ///
    /// # Errors
    ///
    /// Fails in the same cases as [`call`](Self::call).
    pub async fn attempt(&self, operation: &str, input: &Value) -> Result<Value, AwsError> {
        self.attempt_within(limits::CREDENTIALS_TIMEOUT, operation, input).await
    }

    /// Calls an operation with one request, and waits up to `patience` for the response: a request can ask the service
    /// to wait for something.
    ///
    /// # Errors
    ///
    /// As for [`call`](Self::call).
    pub async fn attempt_within(
        &self,
        patience: Duration,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let correction = self.access.clock.correction_seconds();
        match self.send_request(patience, operation, input).await {
            // The service rejected the request because of its time, and the response has just
            // corrected the clock.
            Err(_) if self.access.clock.correction_seconds() != correction => {
                self.send_request(patience, operation, input).await
            }
            answer => answer,
        }
    }

    async fn send_request(
        &self,
        patience: Duration,
        operation: &str,
        input: &Value,
    ) -> Result<Value, AwsError> {
        let request = self.sign_request(operation, input).await?;
        let answer = tokio::time::timeout(patience, async {
            let answer = self.connector.call(request).await.map_err(|error| {
                let advice = advice_of_failure(&error);
                AwsError { advice, ..AwsError::transient("CannotConnect", error_chain(&error)) }
            })?;
            let status = answer.status().as_u16();
            Ok((status, read_body(answer.into_body()).await?))
        });
        let answer = answer.await.unwrap_or_else(|_| {
            let words = format!("no response within {patience:?}");
            Err(AwsError::transient("Timeout", words))
        });
        let (status, body) = answer?;
        let is_skewed = self.access.clock.correction_seconds() != 0;
        read_answer(status, &body, is_skewed).inspect_err(|error| {
            if error.code.starts_with("ExpiredToken") {
                self.access.session.renew_early();
            }
        })
    }

    async fn sign_request(&self, operation: &str, input: &Value) -> Result<HttpRequest, AwsError> {
        let failed = |code, error: &dyn fmt::Display| AwsError::new(code, error.to_string());
        let identity = self.access.session.provide_credentials().await;
        let identity = identity.map_err(|error| AwsError {
            is_passing: is_transient(&error),
            ..failed("NoCredentials", &error_chain(&error))
        })?;
        let identity = identity.into();
        let region = self.access.config.region().map(AsRef::as_ref).unwrap_or_default();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(region)
            .name(self.service.name)
            .time(self.access.clock.now())
            .settings(SigningSettings::default())
            .build()
            .expect("nothing of it is missing")
            .into();
        let body = input.to_string();
        let target = format!("{}.{operation}", self.service.target);
        let content_type = format!("application/x-amz-json-{}", self.service.version);
        let headers = [("content-type", &*content_type), ("x-amz-target", &*target)];
        let signable = SignableRequest::new(
            "POST",
            &self.url,
            headers.into_iter(),
            SignableBody::Bytes(body.as_bytes()),
        );
        let signed = signable.and_then(|request| sign(request, &parameters));
        let signed = signed.map_err(|error| failed("InvalidRequest", &error))?;
        let (instructions, _) = signed.into_parts();
        let mut request = ::http::Request::post(&self.url).header("content-length", body.len());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(SdkBody::from(body));
        let mut request = request.map_err(|error| failed("InvalidRequest", &error))?;
        instructions.apply_to_request_http1x(&mut request);
        HttpRequest::try_from(request).map_err(|error| failed("InvalidRequest", &error))
    }
}

/// The URL according to AWS's endpoint rules, for the public partitions. In other partitions, the
/// URL must be set.
fn own_url(service: &str, region: &str, settings: &AwsSettings) -> String {
    let fips = if settings.use_fips == Some(true) { "-fips" } else { "" };
    let suffix = match (settings.use_dual_stack == Some(true), region.starts_with("cn-")) {
        (false, false) => "amazonaws.com",
        (false, true) => "amazonaws.com.cn",
        (true, false) => "api.aws",
        (true, true) => "api.amazonwebservices.com.cn",
    };
    format!("https://{service}{fips}.{region}.{suffix}/")
}

async fn read_body(body: SdkBody) -> Result<Zeroizing<Vec<u8>>, AwsError> {
    let (mut stream, mut bytes) = (ByteStream::new(body), Zeroizing::new(Vec::new()));
    while let Some(part) = stream.next().await {
        let part = part.map_err(|error| AwsError::of_lost_response(&error))?;
        bytes.extend_from_slice(&part);
    }
    Ok(bytes)
}

fn read_answer(status: u16, body: &[u8], is_skewed: bool) -> Result<Value, AwsError> {
    let read: Option<Value> = serde_json::from_slice(body).ok();
    if status == 200 {
        // The response of each operation is an object.
        let object = read.filter(Value::is_object);
        return object.ok_or_else(|| AwsError::incomplete_response("it is not a JSON object"));
    }
    let word = |keys: &[&str]| {
        keys.iter().find_map(|key| Some(read.as_ref()?.get(key)?.as_str()?.to_owned()))
    };
    let code = word(&["__type", "code"]).unwrap_or_default();
    // The name of a shape may precede the code.
    let code = code.rsplit('#').next().unwrap_or_default();
    let message = word(&["message", "Message"]).unwrap_or_default();
    Err(AwsError::of_refusal(status, code, &message, is_skewed))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_those_of_the_partition() {
        let url = |region: &str, fips, dual| {
            let settings =
                AwsSettings { use_fips: fips, use_dual_stack: dual, ..AwsSettings::default() };
            own_url("ssm", region, &settings)
        };
        assert_eq!(url("eu-west-1", None, None), "https://ssm.eu-west-1.amazonaws.com/");
        assert_eq!(url("cn-north-1", None, None), "https://ssm.cn-north-1.amazonaws.com.cn/");
        assert_eq!(url("us-east-1", Some(true), None), "https://ssm-fips.us-east-1.amazonaws.com/");
        assert_eq!(url("us-east-1", None, Some(true)), "https://ssm.us-east-1.api.aws/");
    }

    #[test]
    fn answers_are_told_apart() {
        assert_eq!(read_answer(200, b"{\"a\":1}", false).unwrap()["a"], 1);
        for (status, body, code, is_passing) in [
            (200, &b"<html>"[..], "InvalidAnswer", true),
            (200, b"", "InvalidAnswer", true),
            (200, b"null", "InvalidAnswer", true),
            (200, b"[]", "InvalidAnswer", true),
            (200, b"{\"a\":1", "InvalidAnswer", true),
            (204, b"", "HTTP 204", false),
            (
                400,
                b"{\"__type\":\"com.amazonaws#AccessDeniedException\"}",
                "AccessDeniedException",
                false,
            ),
            (
                400,
                b"{\"__type\":\"ThrottlingException\",\"message\":\"m\"}",
                "ThrottlingException",
                true,
            ),
            (500, b"{\"__type\":\"InternalServiceError\"}", "InternalServiceError", true),
            (502, b"", "HTTP 502", true),
            (404, b"[]", "HTTP 404", false),
        ] {
            let error = read_answer(status, body, false).unwrap_err();
            assert_eq!((&*error.code, error.is_passing), (code, is_passing), "{status}");
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100..600_u16, body in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = read_answer(status, &body, true);
        }
    }
}
