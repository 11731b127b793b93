//! Asks STS which account and role the credentials belong to, for `host check`. An incomplete
//! response is an error.

use super::{Access, error_chain, role};

/// Whose credentials are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The account.
    pub account: String,
    /// The user, or the role's session.
    pub arn: String,
}

impl Access {
    /// Ask STS whose credentials these are. That needs no permission.
    ///
    /// # Errors
    ///
    /// STS cannot be reached, does not know them, or gives an incomplete answer; in
    /// words.
    pub async fn caller(&self) -> Result<Caller, String> {
        let sts = role::sts_client(&self.config, &self.sts);
        let answer = sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| error_chain(&error))?;
        let text = |text: Option<&str>, member| {
            let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
            text.ok_or_else(|| {
                format!(
                    "the answer has no {member}, so it is not a complete answer of STS: check `sts_endpoint_url` under \
                     [aws], and the proxies in between"
                )
            })
        };
        Ok(Caller { account: text(answer.account(), "Account")?, arn: text(answer.arn(), "Arn")? })
    }
}
