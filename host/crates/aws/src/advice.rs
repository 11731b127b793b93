//! Advice for operators when AWS rejects a request, based on its code and message, or when no
//! connection can be made. This module contains only texts; it does not decide about retries.

use std::error::Error;

/// The advice for a request that AWS rejects with this code and message. `is_skewed` means that the
/// time in the response differs by minutes from the clock of this machine.
pub fn advice_of_refusal(code: &str, message: &str, is_skewed: bool) -> Option<&'static str> {
    if is_about_time(code, message) || is_skewed && is_about_signature(code) {
        return Some(
            "this machine's clock is wrong: set it, and check its time synchronisation, such as chrony or \
             systemd-timesyncd; until then requests are signed with the time that AWS reports",
        );
    }
    let is_denied = matches!(code, "AccessDeniedException" | "AccessDenied");
    let has = |words: &str| is_denied && message.contains(words);
    if has("resource-based policy") || has("resource policy") {
        return Some(
            "a resource policy denies it, although these credentials may allow it: change that \
             policy",
        );
    }
    if has("VPC endpoint policy") {
        return Some(
            "the policy of the VPC endpoint denies it: change that policy, or `endpoint_url` under [aws]",
        );
    }
    if has("service control policy") || has("resource control policy") {
        return Some(
            "a policy of the AWS organisation denies it: ask who administers the organisation",
        );
    }
    if has("permissions boundary") || has("session policy") {
        return Some(
            "the permissions boundary or the session policy of these credentials denies it: change \
             that policy",
        );
    }
    advice_of_code(code)
}

/// Whether AWS rejects a request because of the time of its signature.
fn is_about_time(code: &str, message: &str) -> bool {
    matches!(code, "RequestTimeTooSkewed" | "RequestExpired" | "RequestInTheFuture")
        || message.contains("Signature expired")
        || message.contains("Signature not yet current")
}

/// Whether a wrong clock may be the reason for this code.
fn is_about_signature(code: &str) -> bool {
    matches!(
        code,
        "InvalidSignatureException"
            | "SignatureDoesNotMatch"
            | "AuthFailure"
            | "HTTP 401"
            | "HTTP 403"
    )
}

/// The advice for this code of AWS. `None` for codes that no setting causes.
pub fn advice_of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
            "the policy of these credentials does not allow it: change the policy, or `role_arn` or `profile` \
             under [aws]"
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            "the credentials have expired: renew `session_token` under [aws] or AWS_SESSION_TOKEN, or use \
             `role_arn` or `profile`, which are renewed automatically"
        }
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            "AWS does not know the access key: check `access_key_id`, `session_token` and `region` under [aws]"
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignature" => {
            "the signature does not match: check `secret_access_key` and `region` under [aws]"
        }
        "InvalidSourceException" => {
            "the stream decompresses records of CloudWatch Logs and accepts no others: turn that off, or let the plugin \
             name another stream"
        }
        "InvalidKMSResourceException" => {
            "the stream's KMS key cannot be used: check that it is enabled, and the grants of Firehose"
        }
        "OptInRequired" | "RegionDisabledException" => {
            "the region is not enabled for the account: check `region` and `sts_region` under [aws]"
        }
        "ResourceNotFoundException" => "check its name, and `region` under [aws]",
        "HTTP 407" => {
            "the proxy refuses the credentials: check the user and the password of `proxy` under [aws]"
        }
        _ => return None,
    })
}

/// Whether credentials require a login to IAM Identity Center that is missing or has expired. Based
/// on the text of the error, whose types are private to AWS's crate.
pub(super) fn is_without_login(error: &(dyn Error + 'static)) -> bool {
    let words = super::error_chain(error);
    ["cached SSO token", "SSO token has expired", "sso/cache", "Session token not found or invalid"]
        .iter()
        .any(|word| words.contains(word))
}

/// The advice for a failed connection. Based on the text of the error, because the types that
/// distinguish the reasons are private to lower layers.
pub fn advice_of_failure(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let words = super::error_chain(error);
    let has = |word: &str| words.contains(word);
    Some(if is_without_login(error) {
        "not logged in to IAM Identity Center (SSO): run `aws sso login`"
    } else if has("UnknownIssuer") || has("invalid peer certificate") || has("CaUsedAsEndEntity") {
        "the endpoint's certificate is not trusted: check `ca_bundle` and `endpoint_url` under [aws]"
    } else if has("tunnel error") || has("proxy") {
        "the proxy refuses the connection: check `proxy` under [aws], or HTTPS_PROXY"
    } else if has("dns error") || has("connect") || has("Connect") {
        "the endpoint cannot be reached: check `region`, `endpoint_url`, `sts_endpoint_url`, `endpoints` and `proxy` under \
         [aws]"
    } else {
        return None;
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_clock_is_not_taken_for_a_wrong_key() {
        let expired = "Signature expired: 20260101T000000Z is now earlier than 20260101T001000Z (20260101T001500Z - 5 min.)";
        let early = "Signature not yet current: 20260101T003000Z is still later than 20260101T001500Z (20260101T001000Z + 5 min.)";
        for (code, message, is_skewed, is_clock) in [
            ("InvalidSignatureException", expired, false, true),
            ("SignatureDoesNotMatch", early, false, true),
            ("RequestTimeTooSkewed", "The difference is too large", false, true),
            ("SignatureDoesNotMatch", "does not match", true, true),
            ("SignatureDoesNotMatch", "does not match", false, false),
            ("AccessDeniedException", "no", true, false),
            ("UnrecognizedClientException", "invalid token", true, false),
        ] {
            let advice = advice_of_refusal(code, message, is_skewed).unwrap();
            assert_eq!(advice.contains("clock"), is_clock, "{code}: {advice}");
            assert_eq!(
                advice.contains("secret_access_key"),
                !is_clock && code.starts_with("Signature")
            );
        }
    }

    #[test]
    fn the_policy_that_denies_is_named() {
        for (message, word) in [
            ("with an explicit deny in a resource-based policy", "resource policy"),
            ("because no VPC endpoint policy allows the action", "VPC endpoint"),
            ("with an explicit deny in a service control policy", "organisation"),
            ("because no permissions boundary allows it", "boundary"),
            ("because no identity-based policy allows it", "role_arn"),
        ] {
            let advice = advice_of_refusal("AccessDeniedException", message, false).unwrap();
            assert!(advice.contains(word), "{message}: {advice}");
        }
    }
}
