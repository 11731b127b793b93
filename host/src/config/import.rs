//! Other vendors settings.
#![allow(missing_docs)]
use super::RawSettings;
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Vendor {
    RudderStack,
    Segment,
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    Shown,
    Hidden,
}
#[derive(Debug)]
pub struct Imported {
    pub settings: RawSettings,
    pub notes: Vec<String>,
}
#[derive(Debug, thiserror::Error)]
#[error("not yet")]
pub struct ImportError;
pub fn import(_: Vendor, _: &str) -> Result<Imported, ImportError> {
    Err(ImportError)
}
impl Imported {
    pub fn to_toml(&self, _: Secrets) -> String {
        String::new()
    }
}
