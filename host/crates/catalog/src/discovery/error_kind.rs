//! What an error of a control plane says.

use standpipe_aws::{AwsError, INVALID_RESPONSE};

/// The error of an answer that lacks what each has.
pub(super) fn missing_member(member: &str) -> AwsError {
    AwsError::incomplete_response(format!("the response has no {member}"))
}

/// Whether the policy does not allow it.
pub(crate) fn is_denied(error: &AwsError) -> bool {
    let codes = ["AccessDenied", "NotAuthorized", "UnauthorizedOperation"];
    codes.iter().any(|code| error.code.starts_with(code))
}

/// What to add to the text of an error: the permission, if that is what is missing.
pub(super) fn permission_advice(error: &AwsError, action: &str) -> String {
    if is_denied(error) { format!(": allow {action}") } else { String::new() }
}

/// Whether what was asked about is not there.
pub(crate) fn is_gone(error: &AwsError) -> bool {
    error.code == "ResourceNotFoundException"
}

/// Whether an answer was not complete, which says nothing of other streams.
pub(crate) fn is_incomplete(error: &AwsError) -> bool {
    error.code == INVALID_RESPONSE && !error.is_passing
}
