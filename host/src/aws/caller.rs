use aws_config::SdkConfig;

use super::{AwsSettings, error_chain};

/// Whose credentials are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user, or the role's session.
    pub arn: String,
}

/// Ask STS whose credentials these are. That needs no permission.
///
/// # Errors
///
/// STS cannot be reached, or does not know them; in words.
pub async fn caller(settings: &AwsSettings, config: &SdkConfig) -> Result<Caller, String> {
    let mut sts = aws_sdk_sts::config::Builder::from(config);
    if let Some(url) = &settings.sts_endpoint_url {
        sts = sts.endpoint_url(url);
    }
    let answer = aws_sdk_sts::Client::from_conf(sts.build()).get_caller_identity().send().await;
    let answer = answer.map_err(|error| error_chain(&error))?;
    let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
}
