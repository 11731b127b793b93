//! The identities that write records, and the Firehose client of each. Records of different
//! identities share no request, session or pacer.

use std::sync::Arc;

use super::FirehoseClient;

/// The identity that writes a record. Records of different identities share no request, session or
/// pacer, even if their streams have the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Identity(pub(super) usize);

/// The clients, one for each identity.
#[derive(Clone)]
pub struct FirehoseClients(Vec<(Option<String>, Arc<dyn FirehoseClient>)>);

impl FirehoseClients {
    /// Creates the clients with that of the default identity.
    pub fn new(default: Arc<dyn FirehoseClient>) -> Self {
        FirehoseClients(vec![(None, default)])
    }

    /// Adds the client of another identity. Reports use this name.
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

    /// The label of a stream in reports.
    pub(super) fn label(&self, identity: Identity, stream: &str) -> String {
        match &self.0[identity.0].0 {
            None => stream.to_owned(),
            Some(name) => format!("{stream} as {name}"),
        }
    }
}
