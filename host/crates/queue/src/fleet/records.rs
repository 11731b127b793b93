//! The records of a fleet: JSON with a version. Reading one checks its size and each of its values, since any client of
//! the queue can write one.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::settings::is_host_name;
use crate::limits;

/// The version of all records. A program reads no other one: a host that misunderstood rules would map wrongly.
const RECORD_VERSION: u32 = 1;

/// Rules: the plugin that maps events, and its settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FleetRules {
    /// The SHA-256 of the component, in lower-case hexadecimal. The object store has the component by this name.
    pub sha256: String,
    /// The settings of the plugin, JSON text with references in place of secrets. None if each host keeps its own.
    pub settings: Option<String>,
    /// The text of the component's detached signature.
    pub signature: Option<String>,
    /// Where the component is from, for people.
    pub origin: String,
}

/// The active rules of a fleet. The key `active` has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActiveRecord {
    pub(super) version: u32,
    /// The number of the change, which goes up.
    pub generation: u64,
    /// The rules of all hosts but those of the canary.
    pub rules: FleetRules,
    /// The rules that a rollback returns to.
    pub previous: Option<FleetRules>,
    /// The rules of a few hosts.
    pub canary: Option<CanaryRules>,
}

/// The rules of a few hosts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CanaryRules {
    /// The names of the hosts.
    pub hosts: Vec<String>,
    /// Their rules.
    pub rules: FleetRules,
}

/// Rules that hosts prepare, and vote about. The key `candidate` has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CandidateRecord {
    pub(super) version: u32,
    /// The generation that it becomes.
    pub generation: u64,
    /// The rules. None if the candidate was withdrawn.
    pub rules: Option<FleetRules>,
    /// The names of the hosts that prepare it. None for all hosts.
    pub hosts: Option<Vec<String>>,
}

/// The state of a host. The host writes it at intervals, so that it also shows that the host is alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRecord {
    pub(super) version: u32,
    /// The name of the host.
    pub name: String,
    /// Differs for each start of a host, to recognize two hosts with one name.
    pub instance: String,
    /// The version of the program.
    pub program: String,
    /// The generation that the host has loaded. 0 if the fleet has had no rules yet.
    pub generation: u64,
    /// The SHA-256 of the loaded component. None if it is the plugin of the host's own settings.
    pub sha256: Option<String>,
    /// Whether the loaded rules are those of a canary.
    pub is_canary: bool,
    /// Why the host takes no messages, or the last error. None if all is well.
    pub problem: Option<String>,
    /// The candidate, and what the host makes of it.
    pub candidate: Option<HostCandidate>,
}

/// What a host makes of a candidate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCandidate {
    /// The generation of the candidate.
    pub generation: u64,
    /// How far it has got.
    pub state: CandidateState,
}

/// How far a candidate has got on a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum CandidateState {
    /// The host fetches it, or takes it through its steps.
    Preparing,
    /// It has passed all steps, and can become active at once.
    Ready,
    /// It failed a step.
    Rejected {
        /// The step.
        step: String,
        /// Why.
        reason: String,
    },
}

/// Why a record is not usable.
#[derive(Debug, Error)]
pub enum RecordError {
    /// It is larger than any record can be.
    #[error("it has {bytes} bytes, and the limit is {max}: shorten the settings of the plugin")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// It is not a record.
    #[error("it is not a record of a fleet: {0}")]
    Malformed(#[from] serde_json::Error),
    /// Another version of the program has written it.
    #[error(
        "it has version {0}, and this program reads version {RECORD_VERSION}: upgrade all hosts to one version of the program"
    )]
    OtherVersion(u32),
    /// A value is wrong.
    #[error("invalid {key}: {problem}")]
    Invalid {
        /// The key.
        key: &'static str,
        /// What is wrong.
        problem: String,
    },
}

/// A record of a fleet.
pub trait FleetRecord: Serialize + DeserializeOwned {
    /// The most bytes that a record of this kind can have.
    const BYTES_MAX: usize;

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A value is wrong.
    fn validate(&self) -> Result<(), RecordError>;

    /// Reads a record.
    ///
    /// # Errors
    ///
    /// It is too large, of another version, or wrong.
    fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        check_size(bytes.len(), Self::BYTES_MAX)?;
        let VersionOnly { version } = serde_json::from_slice(bytes)?;
        if version != RECORD_VERSION {
            return Err(RecordError::OtherVersion(version));
        }
        let record: Self = serde_json::from_slice(bytes)?;
        record.validate()?;
        Ok(record)
    }

    /// Writes a record.
    ///
    /// # Errors
    ///
    /// It is too large or wrong, so that nobody could read it.
    fn encode(&self) -> Result<Vec<u8>, RecordError> {
        self.validate()?;
        let bytes = serde_json::to_vec(self)?;
        check_size(bytes.len(), Self::BYTES_MAX)?;
        Ok(bytes)
    }
}

/// The only part of a record that all versions have.
#[derive(Deserialize)]
struct VersionOnly {
    version: u32,
}

impl FleetRules {
    /// Whether these are the same rules, wherever they are from.
    pub fn is_same(&self, other: &FleetRules) -> bool {
        let key = |rules: &'_ FleetRules| {
            (rules.sha256.clone(), rules.settings.clone(), rules.signature.clone())
        };
        std::ptr::eq(self, other) || key(self) == key(other)
    }

    /// Checks the values.
    ///
    /// # Errors
    ///
    /// A value is wrong.
    pub fn validate(&self) -> Result<(), RecordError> {
        check_sha256(&self.sha256)?;
        if let Some(settings) = &self.settings {
            check_length("settings", settings, limits::FLEET_SETTINGS_BYTES_MAX)?;
            let parsed = serde_json::from_str(settings);
            let serde_json::Value::Object(_) = parsed? else {
                return Err(invalid_value("settings", "expected a JSON object"));
            };
        }
        if let Some(signature) = &self.signature {
            check_length("signature", signature, limits::FLEET_SIGNATURE_BYTES_MAX)?;
        }
        check_length("origin", &self.origin, limits::FLEET_TEXT_BYTES_MAX)
    }
}

impl ActiveRecord {
    /// Rules that become active.
    pub fn new(generation: u64, rules: FleetRules, previous: Option<FleetRules>) -> Self {
        ActiveRecord { version: RECORD_VERSION, generation, rules, previous, canary: None }
    }

    /// The rules of a host.
    pub fn rules_of(&self, host: &str) -> &FleetRules {
        match &self.canary {
            Some(canary) if self.is_canary(host) => &canary.rules,
            _ => &self.rules,
        }
    }

    /// Whether a host has the rules of the canary.
    pub fn is_canary(&self, host: &str) -> bool {
        let canary = self.canary.as_ref();
        canary.is_some_and(|canary| canary.hosts.iter().any(|name| name == host))
    }
}

impl FleetRecord for ActiveRecord {
    const BYTES_MAX: usize = limits::FLEET_RULES_BYTES_MAX;

    fn validate(&self) -> Result<(), RecordError> {
        check_generation(self.generation)?;
        self.rules.validate()?;
        self.previous.as_ref().map_or(Ok(()), FleetRules::validate)?;
        match &self.canary {
            None => Ok(()),
            Some(CanaryRules { hosts, rules }) => rules.validate().and(check_hosts(hosts)),
        }
    }
}

impl CandidateRecord {
    /// A candidate for these hosts, or for all.
    pub fn new(generation: u64, rules: FleetRules, hosts: Option<Vec<String>>) -> Self {
        CandidateRecord { version: RECORD_VERSION, generation, rules: Some(rules), hosts }
    }

    /// A candidate that was withdrawn. It keeps its generation, so that no other one gets it.
    pub fn withdrawn(generation: u64) -> Self {
        CandidateRecord { version: RECORD_VERSION, generation, rules: None, hosts: None }
    }

    /// The rules that a host has to prepare.
    pub fn rules_for(&self, host: &str) -> Option<&FleetRules> {
        let is_asked = |hosts: &Vec<String>| hosts.iter().any(|name| name == host);
        self.rules.as_ref().filter(|_| self.hosts.as_ref().is_none_or(is_asked))
    }
}

impl FleetRecord for CandidateRecord {
    const BYTES_MAX: usize = limits::FLEET_RULES_BYTES_MAX;

    fn validate(&self) -> Result<(), RecordError> {
        check_generation(self.generation)?;
        self.rules.as_ref().map_or(Ok(()), FleetRules::validate)?;
        self.hosts.as_deref().map_or(Ok(()), check_hosts)
    }
}

impl HostRecord {
    /// A host that has loaded nothing of the fleet yet.
    pub fn new(name: String, instance: String, program: String) -> Self {
        HostRecord {
            version: RECORD_VERSION,
            name,
            instance,
            program,
            generation: 0,
            sha256: None,
            is_canary: false,
            problem: None,
            candidate: None,
        }
    }

    /// What the host makes of the candidate of this generation.
    pub fn candidate_state(&self, generation: u64) -> Option<&CandidateState> {
        let candidate = self.candidate.as_ref();
        candidate.filter(|own| own.generation == generation).map(|own| &own.state)
    }
}

impl FleetRecord for HostRecord {
    const BYTES_MAX: usize = limits::FLEET_HOST_BYTES_MAX;

    fn validate(&self) -> Result<(), RecordError> {
        check_hosts(std::slice::from_ref(&self.name))?;
        check_length("instance", &self.instance, limits::FLEET_TEXT_BYTES_MAX)?;
        check_length("program", &self.program, limits::FLEET_TEXT_BYTES_MAX)?;
        self.sha256.as_deref().map_or(Ok(()), check_sha256)?;
        if let Some(problem) = &self.problem {
            check_length("problem", problem, limits::FLEET_TEXT_BYTES_MAX)?;
        }
        match self.candidate.as_ref().map(|candidate| &candidate.state) {
            Some(CandidateState::Rejected { step, reason }) => {
                check_length("step", step, limits::FLEET_TEXT_BYTES_MAX)?;
                check_length("reason", reason, limits::FLEET_TEXT_BYTES_MAX)
            }
            _ => Ok(()),
        }
    }
}

/// A text that fits into a record, cut if it is longer.
pub(super) fn fitting_text(text: &str) -> String {
    let mut end = text.len().min(limits::FLEET_TEXT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn check_size(bytes: usize, max: usize) -> Result<(), RecordError> {
    match bytes <= max {
        true => Ok(()),
        false => Err(RecordError::TooLarge { bytes, max }),
    }
}

fn check_generation(generation: u64) -> Result<(), RecordError> {
    match generation {
        1..=limits::FLEET_GENERATION_MAX => Ok(()),
        _ => Err(invalid_value("generation", format!("expected 1 or more, found {generation}"))),
    }
}

/// Whether a text is a SHA-256 as records write it.
pub(super) fn is_sha256(text: &str) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    text.len() == 64 && text.bytes().all(is_digit)
}

fn check_sha256(text: &str) -> Result<(), RecordError> {
    match is_sha256(text) {
        true => Ok(()),
        false => Err(invalid_value("sha256", "expected 64 lower-case hexadecimal digits")),
    }
}

fn check_length(key: &'static str, text: &str, max: usize) -> Result<(), RecordError> {
    match text.len() <= max {
        true => Ok(()),
        false => {
            Err(invalid_value(key, format!("it has {} bytes, and the limit is {max}", text.len())))
        }
    }
}

fn check_hosts(hosts: &[String]) -> Result<(), RecordError> {
    if hosts.is_empty() || hosts.len() > limits::FLEET_HOSTS_MAX {
        let problem = format!("expected 1 to {} names", limits::FLEET_HOSTS_MAX);
        return Err(invalid_value("hosts", problem));
    }
    match hosts.iter().find(|name| !is_host_name(name)) {
        None => Ok(()),
        Some(name) => Err(invalid_value("hosts", format!("{name:?} is not a name of a host"))),
    }
}

fn invalid_value(key: &'static str, problem: impl Into<String>) -> RecordError {
    RecordError::Invalid { key, problem: problem.into() }
}
