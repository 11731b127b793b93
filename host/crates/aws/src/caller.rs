//! Requests from STS the account and role of the credentials, for `host check`. An incomplete
//! response is an error.

use aws_sdk_sts::error::SdkError;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityError;
use thiserror::Error as ThisError;

use super::{AwsAccess, IncompleteStsResponse, error_chain, role};

/// The identity of the credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerIdentity {
    /// The account.
    pub account: String,
    /// The user, or the role's session.
    pub arn: String,
}

/// STS does not return the caller identity.
#[derive(Debug, ThisError)]
pub enum CallerError {
    /// STS returned an error, or is not reached.
    #[error("{}", error_chain(.0))]
    Request(#[source] Box<SdkError<GetCallerIdentityError>>),
    /// The response lacks a member.
    #[error(transparent)]
    Incomplete(#[from] IncompleteStsResponse),
}

impl AwsAccess {
    /// Requests the identity of these credentials from STS. No permission is necessary.
    ///
    /// # Errors
    ///
    /// Fails if STS cannot be reached, does not know the credentials, or returns an incomplete
    /// response.
    pub async fn caller_identity(&self) -> Result<CallerIdentity, CallerError> {
        let sts = role::sts_client(self);
        let answer = sts.get_caller_identity().send().await;
        let answer = answer.map_err(|error| CallerError::Request(Box::new(error)))?;
        let text = |text: Option<&str>, member| {
            let text = text.filter(|text| !text.is_empty()).map(str::to_owned);
            text.ok_or(IncompleteStsResponse(member))
        };
        Ok(CallerIdentity {
            account: text(answer.account(), "Account")?,
            arn: text(answer.arn(), "Arn")?,
        })
    }
}
