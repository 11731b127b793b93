//! What health checks and metrics report of the access to AWS while it is in use: which identity
//! has no credentials and why, and the clock's correction.

use super::{AwsAccess, AwsClock, AwsSession};

/// The state of the access to AWS while it is in use.
#[derive(Debug, Clone, Default)]
pub struct AwsStatus {
    /// The credentials, each with the source that they are for; none for the default ones.
    sessions: Vec<(Option<String>, AwsSession)>,
    clock: Option<AwsClock>,
}

impl AwsStatus {
    /// The status of access with the default credentials.
    pub fn of(access: &AwsAccess) -> Self {
        let sessions = vec![(None, access.session.clone())];
        AwsStatus { sessions, clock: Some(access.clock.clone()) }
    }

    /// Include the credentials of a source's own role.
    pub fn add(&mut self, source: &str, access: &AwsAccess) {
        self.sessions.push((Some(source.to_owned()), access.session.clone()));
    }

    /// All credentials.
    pub fn sessions(&self) -> impl Iterator<Item = &AwsSession> {
        self.sessions.iter().map(|(_, session)| session)
    }

    /// Why there are no credentials, each with the source that they are for.
    pub fn problems(&self) -> Vec<String> {
        let problem = |(source, session): &(Option<String>, AwsSession)| {
            let problem = session.problem()?;
            Some(match source {
                Some(source) => format!("no AWS credentials for the source {source:?}: {problem}"),
                None => format!("no AWS credentials: {problem}"),
            })
        };
        self.sessions.iter().filter_map(problem).collect()
    }

    /// How many seconds AWS is ahead of this machine's clock, as far as is known; none
    /// where AWS is not used.
    pub fn clock_skew_seconds(&self) -> Option<i64> {
        self.clock.as_ref().map(AwsClock::correction_seconds)
    }
}
