//! What an error of a control plane says.

use standpipe_aws::{AwsError, INVALID_RESPONSE};

/// Whether the policy does not allow it.
pub(crate) fn is_denied(error: &AwsError) -> bool {
    let codes = ["AccessDenied", "NotAuthorized", "UnauthorizedOperation"];
    codes.iter().any(|code| error.code.starts_with(code))
}

/// Whether what was asked about is not there.
pub(crate) fn is_gone(error: &AwsError) -> bool {
    error.code == "ResourceNotFoundException"
}

/// Whether an answer was not complete, which says nothing of other streams.
pub(crate) fn is_incomplete(error: &AwsError) -> bool {
    error.code == INVALID_RESPONSE && !error.is_passing
}
