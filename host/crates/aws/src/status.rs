//! The status of the access to AWS for health checks and metrics: which identity has no credentials
//! and why, and the clock's correction.

use super::{AwsAccess, AwsClock, AwsSession};

/// The status of the access to AWS.
#[derive(Debug, Clone, Default)]
pub struct AwsStatus {
    /// The credentials, each with its source. The default credentials have none.
    sessions: Vec<(Option<String>, AwsSession)>,
    clock: Option<AwsClock>,
}

impl AwsStatus {
    /// The status of the access with the default credentials.
    pub fn of(access: &AwsAccess) -> Self {
        let sessions = vec![(None, access.session.clone())];
        AwsStatus { sessions, clock: Some(access.clock.clone()) }
    }

    /// Adds the credentials of a source's own role.
    pub fn add(&mut self, source: &str, access: &AwsAccess) {
        self.sessions.push((Some(source.to_owned()), access.session.clone()));
    }

    /// All credentials.
    pub fn sessions(&self) -> impl Iterator<Item = &AwsSession> {
        self.sessions.iter().map(|(_, session)| session)
    }

    /// Why there are no credentials, each with its source.
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

    /// The known number of seconds by which AWS is ahead of this machine's clock. `None` if AWS is
    /// not used.
    pub fn clock_skew_seconds(&self) -> Option<i64> {
        self.clock.as_ref().map(AwsClock::correction_seconds)
    }
}
