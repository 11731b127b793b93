//! As whom records are written, and the Firehose client of each identity. Records of different
//! identities share no request, session or pace.

use std::sync::Arc;

use super::FirehoseClient;

/// As whom records are written. Those of different identities share no request,
/// no session and no pace, also where their streams have one name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Identity(pub(super) usize);

/// The ways to Firehose, one for each identity.
#[derive(Clone)]
pub struct FirehoseClients(Vec<(Option<String>, Arc<dyn FirehoseClient>)>);

impl FirehoseClients {
    /// With one way, that of the default identity.
    pub fn new(default: Arc<dyn FirehoseClient>) -> Self {
        FirehoseClients(vec![(None, default)])
    }

    /// Add the way of a further identity, which reports call by this name.
    pub fn add(&mut self, name: String, port: Arc<dyn FirehoseClient>) -> Identity {
        self.0.push((Some(name), port));
        Identity(self.0.len() - 1)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<dyn FirehoseClient>> {
        self.0.iter().map(|(_, port)| port)
    }

    pub(super) fn of(&self, identity: Identity) -> &Arc<dyn FirehoseClient> {
        &self.0[identity.0].1
    }

    /// How a stream is called in reports.
    pub(super) fn label(&self, identity: Identity, stream: &str) -> String {
        match &self.0[identity.0].0 {
            None => stream.to_owned(),
            Some(name) => format!("{stream} as {name}"),
        }
    }
}
