//! An OpenMetadata API for tests: it serves HTTP on loopback, keeps entities and edges in memory,
//! and rejects what the real one rejects: unknown keys, references without an id, and unquoted
//! names.
//!
//! Responses to reads contain the members that the catalog reads.

mod connection;
mod lineage;
mod routes;
pub mod rules;

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

/// A running server. It accepts no more connections after it is dropped.
#[derive(Debug)]
pub struct OpenMetadataServer {
    address: SocketAddr,
    shared: Arc<ApiShared>,
}

/// The behavior of the server.
#[derive(Debug, Clone)]
pub struct ServerTraits {
    /// The version that the server reports.
    pub version: String,
    /// The only token that the server accepts.
    pub token: Option<String>,
    /// Whether the server has a service type for Firehose.
    pub has_firehose: bool,
    /// Whether the server stores state, hash, start and address of pipelines.
    pub has_new_keys: bool,
    /// Whether the server accepts bulk requests of pipelines.
    pub has_bulk: bool,
    /// Whether the server deletes stale pipelines in one request.
    pub has_delete_stale: bool,
    /// Whether the server silently drops the pipeline of an edge.
    pub drops_pipeline: bool,
    /// Whether the search of the server finds nothing yet.
    pub search_lags: bool,
    /// The response to every request, to simulate a server that is not OpenMetadata.
    pub page: Option<String>,
}

impl Default for ServerTraits {
    fn default() -> Self {
        ServerTraits {
            version: "1.9.4".to_owned(),
            token: None,
            has_firehose: true,
            has_new_keys: true,
            has_bulk: true,
            has_delete_stale: true,
            drops_pipeline: false,
            search_lags: false,
            page: None,
        }
    }
}

/// A request.
#[derive(Debug, Clone)]
pub struct ApiRequest {
    /// The method, such as `PUT`.
    pub method: String,
    /// The path as sent.
    pub path: String,
    /// The query without escapes.
    pub query: BTreeMap<String, String>,
    /// The headers, whose names are in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body as JSON; null if it is not JSON.
    pub body: Value,
}

/// A failure of future requests.
#[derive(Debug, Clone)]
pub struct InjectedFault {
    /// The method of the requests.
    pub method: &'static str,
    /// A part of their path.
    pub path: &'static str,
    /// How many requests fail.
    pub times: usize,
    /// The status.
    pub status: u16,
    /// The value of `Retry-After`, in seconds.
    pub retry_after: Option<u32>,
}

/// A response that replaces the server's own one.
#[derive(Debug, Clone)]
pub struct ReplacedResponse {
    /// The method of the requests.
    pub method: &'static str,
    /// The end of the requests' path, before any id or name.
    pub path: &'static str,
    /// The status.
    pub status: u16,
    /// The body of the response.
    pub body: &'static str,
}

#[derive(Debug, Default)]
struct ApiShared {
    state: Mutex<ApiState>,
}

#[derive(Debug, Default)]
struct ApiState {
    traits: ServerTraits,
    /// Entities by id. `_kind` is their collection.
    entities: BTreeMap<String, Value>,
    /// Details of edges by both ids.
    edges: BTreeMap<(String, String), Value>,
    faults: Vec<InjectedFault>,
    replaced: Option<ReplacedResponse>,
    requests: Vec<ApiRequest>,
    refusals: Vec<String>,
    violations: Vec<String>,
    stopped: bool,
}

impl OpenMetadataServer {
    /// Starts the server on a free port.
    pub fn start(traits: ServerTraits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("its address");
        let shared = Arc::<ApiShared>::default();
        shared.lock_state().traits = traits;
        let own = Arc::clone(&shared);
        thread::spawn(move || {
            for stream in listener.incoming() {
                if own.lock_state().stopped {
                    return;
                }
                let Ok(stream) = stream else { continue };
                // Responses are small, and clients wait for each of them.
                let _ = stream.set_nodelay(true);
                let own = Arc::clone(&own);
                thread::spawn(move || connection::serve_connection(stream, &own));
            }
        });
        OpenMetadataServer { address, shared }
    }

    /// The URL of the server's API.
    pub fn url(&self) -> String {
        format!("http://{}/api", self.address)
    }

    /// Changes the behavior of the server.
    pub fn change_traits(&self, change: impl FnOnce(&mut ServerTraits)) {
        change(&mut self.shared.lock_state().traits);
    }

    /// Makes future requests fail.
    pub fn inject_fault(&self, fault: InjectedFault) {
        self.shared.lock_state().faults.push(fault);
    }

    /// Replaces the responses to some requests from now on. `None` ends that.
    pub fn replace_responses(&self, replaced: Option<ReplacedResponse>) {
        self.shared.lock_state().replaced = replaced;
    }

    /// Adds an entity of another tool, and returns its id. The collection is, for example,
    /// `tables`. `more` is an object with additional members.
    pub fn add_entity(&self, collection: &str, name: &str, more: &Value) -> String {
        self.shared.lock_state().add_entity(collection, name, more)
    }

    /// Changes an entity as a user does.
    pub fn edit_entity(&self, name: &str, key: &str, value: Value) {
        let mut state = self.shared.lock_state();
        let entity =
            state.entities.values_mut().find(|entity| entity["fullyQualifiedName"] == name);
        let entity = entity.expect("the entity that is edited");
        entity[key] = value;
        entity["_edited"] = true.into();
    }

    /// The entities of a collection by their full names.
    pub fn entities(&self, collection: &str) -> BTreeMap<String, Value> {
        let state = self.shared.lock_state();
        let own = state.entities.values().filter(|entity| entity["_kind"] == collection);
        own.map(|one| {
            (one["fullyQualifiedName"].as_str().unwrap_or_default().to_owned(), one.clone())
        })
        .collect()
    }

    /// The full names of pipelines that are not deleted.
    pub fn pipelines(&self) -> Vec<String> {
        let all = self.entities("pipelines").into_iter();
        all.filter(|(_, pipeline)| pipeline["deleted"] != true).map(|(name, _)| name).collect()
    }

    /// The edges: full names of both ends, and of the pipeline, if the edge has one.
    pub fn edges(&self) -> Vec<(String, String, Option<String>)> {
        let state = self.shared.lock_state();
        let name = |id: &str| {
            state.entities[id]["fullyQualifiedName"].as_str().unwrap_or_default().to_owned()
        };
        let edges = state.edges.iter().map(|((from, to), details)| {
            (name(from), name(to), details["pipeline"]["id"].as_str().map(name))
        });
        edges.collect()
    }

    /// The details of all edges.
    pub fn edge_details(&self) -> Vec<Value> {
        self.shared.lock_state().edges.values().cloned().collect()
    }

    /// Adds an edge as another tool does.
    pub fn add_edge(&self, from: &str, to: &str, details: Value) {
        self.shared.lock_state().edges.insert((from.to_owned(), to.to_owned()), details);
    }

    /// All requests.
    pub fn requests(&self) -> Vec<ApiRequest> {
        self.shared.lock_state().requests.clone()
    }

    /// Discards the requests so far.
    pub fn forget_requests(&self) {
        self.shared.lock_state().requests.clear();
    }

    /// Methods and paths of the requests that write.
    pub fn writes(&self) -> Vec<String> {
        let requests = self.requests().into_iter().filter(|asked| asked.method != "GET");
        requests.map(|asked| format!("{} {}", asked.method, asked.path)).collect()
    }

    /// The requests rejected with 400, and the reasons.
    pub fn refusals(&self) -> Vec<String> {
        self.shared.lock_state().refusals.clone()
    }

    /// Requests for paths and parameters that the API does not have.
    pub fn violations(&self) -> Vec<String> {
        self.shared.lock_state().violations.clone()
    }
}

impl ApiShared {
    fn lock_state(&self) -> MutexGuard<'_, ApiState> {
        self.state.lock()
    }
}

impl ApiState {
    fn add_entity(&mut self, collection: &str, name: &str, more: &Value) -> String {
        let id = format!("00000000-0000-4000-8000-{:012x}", self.entities.len() + 1);
        let parts =
            rules::split_full_name(name).unwrap_or_else(|| panic!("{name} is not a full name"));
        let mut entity = json!({
            "id": id,
            "name": parts.last(),
            "fullyQualifiedName": name,
            "service": {"name": parts[0], "fullyQualifiedName": rules::quote_part(&parts[0])},
            "deleted": false,
            "_kind": collection,
        });
        for (key, value) in more.as_object().into_iter().flatten() {
            entity[key] = value.clone();
        }
        self.entities.insert(id.clone(), entity);
        id
    }
}

impl InjectedFault {
    fn is_for(&self, asked: &ApiRequest) -> bool {
        self.method == asked.method && asked.path.contains(self.path)
    }
}

impl ReplacedResponse {
    fn is_for(&self, asked: &ApiRequest) -> bool {
        let at = asked.path.find(self.path);
        let rest = at.map(|at| &asked.path[at + self.path.len()..]);
        self.method == asked.method
            && rest.is_some_and(|rest| rest.is_empty() || self.path.ends_with('/'))
    }
}

impl Drop for OpenMetadataServer {
    fn drop(&mut self) {
        self.shared.lock_state().stopped = true;
        // Wakes the listener, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}
