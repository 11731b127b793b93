use std::error::Error;

/// What to change when AWS answers with this code; none for codes that no setting
/// is to blame for.
pub fn advice_of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDeniedException" | "AccessDenied" | "NotAuthorized" => {
            "the policy of these credentials does not allow it: change the policy, or `role_arn` or `profile` \
             under [aws]"
        }
        "ExpiredTokenException" | "ExpiredToken" => {
            "the credentials have expired: renew `session_token` under [aws] or AWS_SESSION_TOKEN, or use \
             `role_arn` or `profile`, which are renewed by themselves"
        }
        "UnrecognizedClientException" | "InvalidClientTokenId" => {
            "AWS does not know the access key: check `access_key_id`, `session_token` and `region` under [aws]"
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "IncompleteSignature" => {
            "the signature is another one: check `secret_access_key` and `region` under [aws]"
        }
        "RequestExpired" => "check this machine's clock",
        "OptInRequired" | "RegionDisabledException" => {
            "the region is not switched on for the account: check `region` and `sts_region` under [aws]"
        }
        "ResourceNotFoundException" => "check its name, and `region` under [aws]",
        "HTTP 407" => "the proxy refuses: check the user and the password of `proxy` under [aws]",
        _ => return None,
    })
}

/// What to change when nobody was reached, by the words of the error: the types
/// that tell the reasons apart are private to the layers below.
pub fn advice_of_failure(error: &(dyn Error + 'static)) -> Option<&'static str> {
    let words = super::error_chain(error);
    let has = |word: &str| words.contains(word);
    Some(if has("UnknownIssuer") || has("invalid peer certificate") || has("CaUsedAsEndEntity") {
        "the endpoint's certificate is not trusted: check `ca_bundle` and `endpoint_url` under [aws]"
    } else if has("tunnel error") || has("proxy") {
        "the proxy does not let it through: check `proxy` under [aws], or HTTPS_PROXY"
    } else if has("dns error") || has("connect") || has("Connect") {
        "nobody can be reached: check `region`, `endpoint_url`, `sts_endpoint_url`, `endpoints` and `proxy` under \
         [aws]"
    } else {
        return None;
    })
}
