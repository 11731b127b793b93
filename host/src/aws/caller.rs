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
    /// STS cannot be reached, or does not know them; in words.
    pub async fn caller(&self) -> Result<Caller, String> {
        let sts = role::sts_client(&self.config, &self.sts);
        let answer = sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| error_chain(&error))?;
        let text = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
        Ok(Caller { account: text(answer.account()), arn: text(answer.arn()) })
    }
}
