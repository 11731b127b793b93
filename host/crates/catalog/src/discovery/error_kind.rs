//! Kinds of errors of a control plane.

use standpipe_aws::{AwsError, INVALID_RESPONSE};

/// The error of a response without a required member.
pub(super) fn missing_member(member: &str) -> AwsError {
    AwsError::incomplete_response(format!("the response has no {member}"))
}

/// Returns whether a permission is missing.
pub(crate) fn is_denied(error: &AwsError) -> bool {
    let codes = ["AccessDenied", "NotAuthorized", "UnauthorizedOperation"];
    codes.iter().any(|code| error.code.starts_with(code))
}

/// The advice to add to an error: the permission, if it is missing.
pub(super) fn permission_advice(error: &AwsError, action: &str) -> String {
    if is_denied(error) { format!(": allow {action}") } else { String::new() }
}

/// Returns whether the resource does not exist.
pub(crate) fn is_gone(error: &AwsError) -> bool {
    error.code == "ResourceNotFoundException"
}

/// Returns whether the response was incomplete, which says nothing about other streams.
pub(crate) fn is_incomplete(error: &AwsError) -> bool {
    error.code == INVALID_RESPONSE && !error.is_passing
}
