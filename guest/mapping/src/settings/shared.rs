//! Tables and secrets that transforms use by name.

use std::collections::HashMap;
use std::sync::Arc;

use crate::put::LookupTable;

/// The parts of the settings that transforms use by name.
#[derive(Debug, Default)]
pub(crate) struct SharedSettings {
    pub(crate) secrets: HashMap<String, String>,
    pub(crate) tables: HashMap<String, Arc<LookupTable>>,
}
