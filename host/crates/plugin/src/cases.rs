//! Test cases: events, and the expected decisions of a plugin.
//!
//! ```json
//! {
//!   "settings": {"mappings": [{"event": "Order Completed", "stream": "orders"}]},
//!   "cases": [
//!     {"name": "an order", "event": {"type": "track", "event": "Order Completed"}, "expect": [{"stream": "orders"}]},
//!     {"name": "anything else", "event": {"type": "page"}, "expect": []}
//!   ]
//! }
//! ```
//!
//! A case without settings, in a file without settings, uses the settings of the plugin, so a
//! candidate can be tested before a swap. Each event is a separate batch, within the sandbox and
//! limits of production. A fault fails only its own case.

mod expect;
mod failure;
mod form;

pub use failure::{CaseDifference, CaseFailure};

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::{Mapper, Plugin};
use expect::Expected;
use form::RawCase;
use standpipe_core::event::{Event, scan};
use standpipe_core::limits::DETAIL_BYTES_MAX;

/// Maximum bytes of a file of cases, far more than a person writes.
const CASES_FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// CPU time that a candidate may waste on failed cases. It is rejected anyway, and other candidates
/// wait.
const CASES_WASTED_CPU_MAX: Duration = Duration::from_secs(5);

/// The source of events whose case names none.
const SOURCE: &str = "test";

/// The cases of a file, or of a directory's files.
#[derive(Debug, Default, PartialEq)]
pub struct Cases(Vec<PluginCase>);

#[derive(Debug, PartialEq)]
struct PluginCase {
    /// The file of the case, if it is from a file.
    file: Option<Arc<str>>,
    /// The position of the case in the file, counted from 1.
    number: usize,
    name: String,
    source: String,
    /// The event's text, which has been validated.
    event: String,
    expected: Expected,
    /// JSON text: the settings of the case, or those of its file.
    settings: Option<Arc<str>>,
}

/// Why cases cannot be used.
#[derive(Debug, Error)]
pub enum CasesError {
    /// A file or directory cannot be read.
    #[error("failed to read the cases {}: {error}: check the path and its permissions", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The error.
        #[source]
        error: io::Error,
    },
    /// A text is not in the format of cases.
    #[error("{}: {error}", path.display())]
    Form {
        /// The file or directory.
        path: PathBuf,
        /// The mistake.
        #[source]
        error: CasesFormError,
    },
}

/// Why a text of cases is invalid.
#[derive(Debug, Error)]
pub enum CasesFormError {
    /// The text is not in the format of cases.
    #[error(
        "{}: `host plugin test --help` shows the form of cases",
        .0.to_string().chars().take(DETAIL_BYTES_MAX).collect::<String>()
    )]
    Json(#[from] serde_json::Error),
    /// The text contains no cases.
    #[error("`cases` is empty: add at least one case")]
    Empty,
    /// The directory contains no files of cases.
    #[error("the directory has no *.json: add a file of cases")]
    NoFiles,
}

impl Cases {
    /// Parses the text of a file of cases.
    ///
    /// # Errors
    ///
    /// Fails if the text is not in the format of cases, or if the host would not pass an event to a
    /// plugin.
    pub fn parse(text: &[u8]) -> Result<Self, CasesFormError> {
        let raw = form::parse_cases(text)?;
        let of_file = raw.settings.map(|settings| Arc::from(settings.0));
        let case = |(number, raw): (usize, RawCase)| PluginCase {
            file: None,
            number,
            name: raw.name,
            source: raw.source.unwrap_or_else(|| SOURCE.to_owned()),
            event: raw.event.0,
            expected: raw.expect,
            settings: raw.settings.map(|own| Arc::from(own.0)).or_else(|| of_file.clone()),
        };
        Ok(Cases((1..).zip(raw.cases).map(case).collect()))
    }

    /// Reads a file, or every `*.json` of a directory, sorted by name.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or contains no cases.
    pub fn read(path: &Path) -> Result<Self, CasesError> {
        let failed = |error| CasesError::Read { path: path.to_owned(), error };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Self::read_file(path);
        }
        let entries = fs::read_dir(path).map_err(failed)?;
        let files = entries.map(|entry| entry.map(|entry| entry.path()));
        let mut files = files.collect::<Result<Vec<_>, _>>().map_err(failed)?;
        files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
        files.sort();
        if files.is_empty() {
            let error = CasesFormError::NoFiles;
            return Err(CasesError::Form { path: path.to_owned(), error });
        }
        let read = files.iter().map(|file| Self::read_file(file));
        let read = read.collect::<Result<Vec<_>, _>>()?;
        Ok(Cases(read.into_iter().flat_map(|cases| cases.0).collect()))
    }

    fn read_file(path: &Path) -> Result<Self, CasesError> {
        let failed = |error| CasesError::Read { path: path.to_owned(), error };
        let refused = |error| CasesError::Form { path: path.to_owned(), error };
        let text = read_bounded(path).map_err(failed)?;
        let mut cases = Self::parse(&text).map_err(refused)?;
        let file = Arc::<str>::from(path.to_string_lossy());
        cases.0.iter_mut().for_each(|case| case.file = Some(Arc::clone(&file)));
        Ok(cases)
    }

    /// The number of cases.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no cases.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Runs the cases without settings, with a plugin that has its settings. After a plugin has
    /// wasted too much time on failures, the remaining cases are skipped.
    pub fn run(&self, mapper: &mut Mapper) -> Vec<CaseFailure> {
        let (mut failures, mut wasted) = (Vec::new(), Duration::ZERO);
        for case in self.0.iter().filter(|case| case.settings.is_none()) {
            let (failure, more) = case.run(mapper);
            failures.extend(failure);
            wasted += more;
            if wasted > CASES_WASTED_CPU_MAX {
                break;
            }
        }
        failures
    }

    /// Runs all cases. Cases without settings use these (JSON text). `load` is called once for each
    /// different settings. It returns the plugin, or why the settings are rejected.
    ///
    /// If a plugin rejects settings, or fails on them, the cases with these settings fail.
    ///
    /// # Errors
    ///
    /// Fails if the component is not a plugin, with any settings.
    pub fn run_all<R: fmt::Display, E>(
        &self,
        settings: &str,
        mut load: impl FnMut(&str) -> Result<Result<Plugin, R>, E>,
    ) -> Result<Vec<CaseFailure>, E> {
        let mut groups = BTreeMap::<&str, Vec<usize>>::new();
        for (position, case) in self.0.iter().enumerate() {
            groups.entry(case.settings.as_deref().unwrap_or(settings)).or_default().push(position);
        }
        // Sorted by the order of the cases, which differs from that of the groups.
        let mut failures = BTreeMap::new();
        for (settings, positions) in groups {
            let cases = positions.into_iter().map(|position| (position, &self.0[position]));
            match load(settings)? {
                Ok(plugin) => {
                    let mut mapper = Mapper::new(plugin);
                    let run = |(position, case): (usize, &PluginCase)| {
                        case.run(&mut mapper).0.map(|failure| (position, failure))
                    };
                    failures.extend(cases.filter_map(run));
                }
                Err(error) => {
                    let difference = CaseDifference::NotLoaded { error: error.to_string() };
                    let failed = |case: &PluginCase| case.to_failure(vec![difference.clone()]);
                    failures.extend(cases.map(|(position, case)| (position, failed(case))));
                }
            }
        }
        Ok(failures.into_values().collect())
    }
}

impl PluginCase {
    /// Runs the case. Returns its failure, unless the decision is as expected, and the wasted CPU
    /// time.
    fn run(&self, mapper: &mut Mapper) -> (Option<CaseFailure>, Duration) {
        let (text, envelope) =
            scan(self.event.as_bytes(), standpipe_core::limits::EVENT_NESTING_MAX)
                .expect("scanned when read");
        let decisions = mapper.map(&self.source, &[Event { index: 0, line: 1, text, envelope }]);
        let differences = match decisions.of(0) {
            Ok(outputs) => self.expected.compare(text, mapper.plugin(), outputs),
            Err(fault) => vec![CaseDifference::Fault { error: fault.to_string() }],
        };
        let failure = (!differences.is_empty()).then(|| self.to_failure(differences));
        (failure, decisions.wasted_cpu())
    }

    fn to_failure(&self, differences: Vec<CaseDifference>) -> CaseFailure {
        let file = self.file.as_deref().map(str::to_owned);
        CaseFailure { file, number: self.number, name: self.name.clone(), differences }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(CASES_FILE_BYTES_MAX + 1).read_to_end(&mut text)?;
    if text.len() as u64 > CASES_FILE_BYTES_MAX {
        let limit = CASES_FILE_BYTES_MAX >> 20;
        return Err(io::Error::other(format!("it is larger than {limit} MiB: split it")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
