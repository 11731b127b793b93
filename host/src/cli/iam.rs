//! `host iam`: prints the policies and trust documents that the host needs. It asks AWS nothing.

mod policy;
mod trust;

use clap::Subcommand;
use serde::Serialize;

use super::{CommandResult, complain, print, usage};
use crate::config::{Destination, Settings};
use standpipe_aws::AwsSettings;

const POLICY_HELP: &str = "The plugin is loaded and reads its settings, as `host config check` lets it, and the \
policy is about the streams that it declares, the stream of the dead letters and each --stream. Without --config, \
--map and --plugin it is about --stream and --catalog alone. host/docs/iam.md tells what each permission is for.

A stream that encrypts its records with a customer-managed key needs --kms-key: streams made since 2026-04-20 refuse \
writers that may not use the key, and older ones will from 2027-02-28 on. Other streams need nothing of KMS.";

const TRUST_HELP: &str = "Where there are external ids, whoever assumes the role must bring one of them: those that \
are given, or else `external_id` of the settings.";

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// What the host may do: the least that it needs for the streams of a
    /// mapping.
    #[command(after_help = POLICY_HELP)]
    Policy(Box<policy::Arguments>),
    /// Who may assume the role that the host writes with.
    #[command(after_help = TRUST_HELP)]
    Trust(trust::Arguments),
}

pub(super) fn run(command: Command) -> CommandResult {
    let text = match command {
        Command::Policy(arguments) => policy::text(*arguments),
        Command::Trust(arguments) => trust::text(&arguments),
    };
    print(&text.map_err(usage)?)
}

/// Access to AWS, as the settings have it.
fn aws(settings: &Settings) -> &AwsSettings {
    match &settings.destination {
        Destination::Amazon { aws, .. } => aws,
        Destination::Directory(_) => unreachable!("no option here asks for a directory"),
    }
}

fn json(documents: &impl Serialize) -> String {
    serde_json::to_string_pretty(documents).expect("a document has string keys") + "\n"
}

fn note(text: &str) {
    complain(&format!("note: {text}"));
}
