//! Distinguishes transient failures to find credentials (no connection, no response in time, 5xx,
//! throttling) from those that a person must fix.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_sts::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sts::operation::assume_role::AssumeRoleError;
use aws_sdk_sts::operation::assume_role_with_web_identity::AssumeRoleWithWebIdentityError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::ConnectorError;

use standpipe_core::{error_chain, error_sources};

/// Whether credentials may be found later without a change of settings: their source was
/// unreachable, did not respond in time, or failed. Missing or rejected credentials are not
/// transient.
pub(super) fn is_transient(error: &CredentialsError) -> bool {
    let is_absent = |source: &&(dyn Error + 'static)| {
        let error = source.downcast_ref::<CredentialsError>();
        error.is_some_and(|error| matches!(error, CredentialsError::CredentialsNotLoaded(_)))
    };
    if error_sources(error).any(|source| is_absent(&source)) || is_about_trust(error) {
        return false;
    }
    error_sources(error).any(|source| {
        matches!(
            source.downcast_ref::<CredentialsError>(),
            Some(CredentialsError::ProviderTimedOut(_))
        ) || source
            .downcast_ref::<ConnectorError>()
            .is_some_and(|error| error.is_io() || error.is_timeout())
            || source.downcast_ref::<SdkError<AssumeRoleError>>().is_some_and(is_passing)
            || source
                .downcast_ref::<SdkError<AssumeRoleWithWebIdentityError>>()
                .is_some_and(is_passing)
    })
}

/// Whether certificates or a proxy cause the error, which a change of settings must fix.
fn is_about_trust(error: &CredentialsError) -> bool {
    let words = error_chain(error);
    ["UnknownIssuer", "invalid peer certificate", "CaUsedAsEndEntity", "authorization required"]
        .iter()
        .any(|word| words.contains(word))
}

fn is_passing<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    match error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
        SdkError::ResponseError(response) => is_passing_status(response.raw()),
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or_default();
            is_passing_status(service.raw())
                || code.contains("Throttl")
                || code == "RequestLimitExceeded"
        }
        _ => false,
    }
}

fn is_passing_status(response: &HttpResponse) -> bool {
    let status = response.status().as_u16();
    status >= 500 || status == 429
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_was_not_reached_passes_and_what_is_missing_or_refused_does_not() {
        let lost = |error: ConnectorError| CredentialsError::provider_error(error);
        let io = || io::Error::from(io::ErrorKind::ConnectionRefused).into();
        for (error, expected) in [
            (CredentialsError::provider_timed_out(std::time::Duration::from_secs(5)), true),
            (lost(ConnectorError::io(io())), true),
            (lost(ConnectorError::timeout(io())), true),
            (lost(ConnectorError::user(io())), false),
            (lost(ConnectorError::io("invalid peer certificate: UnknownIssuer".into())), false),
            (CredentialsError::not_loaded(ConnectorError::io(io())), false),
            (CredentialsError::provider_error(lost(ConnectorError::io(io()))), true),
            (
                CredentialsError::provider_error(CredentialsError::not_loaded(io::Error::other(
                    "x",
                ))),
                false,
            ),
            (CredentialsError::invalid_configuration("wrong"), false),
            (CredentialsError::provider_error("AccessDenied"), false),
        ] {
            assert_eq!(is_transient(&error), expected, "{}", error_chain(&error));
        }
    }
}
