//! `host iam`: prints the policies and trust documents that the host needs. It does not contact
//! AWS.

mod policy;
mod trust;

use clap::Subcommand;
use serde::Serialize;

use super::{CommandResult, complain, print, usage};
use crate::config::{RecordDestination, Settings};
use standpipe_aws::AwsSettings;

const POLICY_HELP: &str = "Loads the plugin with its settings, as `host config check` does. The policy covers the \
streams that the plugin declares, the stream of the dead letters, and each --stream. Without --config, --map and --plugin it \
covers --stream and --catalog only. If the settings have a [queue] in Amazon SQS, the policy covers what its `role` does \
with the queue: a collector sends messages and needs no streams but that of the dead letters, a mapper receives messages. host/docs/iam.md explains each permission.

A stream that encrypts its records with a customer-managed key needs --kms-key: streams created since 2026-04-20 refuse \
writers that may not use the key, and older ones will from 2027-02-28 on. Other streams need no KMS permissions.";

const TRUST_HELP: &str = "A request to assume the role must bring one of the external ids: those of --external-id, \
or else `external_id` of the settings.";

#[derive(Debug, Subcommand)]
pub(super) enum IamCommand {
    /// Print the least policy that the host needs for the streams of the mappings.
    #[command(after_help = POLICY_HELP)]
    Policy(Box<policy::PolicyArguments>),
    /// Print the trust policy of the role that the host writes with.
    #[command(after_help = TRUST_HELP)]
    Trust(trust::TrustArguments),
}

pub(super) fn run(command: IamCommand) -> CommandResult {
    let text = match command {
        IamCommand::Policy(arguments) => policy::policy_text(*arguments),
        IamCommand::Trust(arguments) => trust::trust_text(&arguments),
    };
    print(&text.map_err(usage)?)
}

/// The settings of access to AWS.
fn aws_settings(settings: &Settings) -> &AwsSettings {
    match &settings.destination {
        RecordDestination::Amazon { aws, .. } => aws,
        RecordDestination::Directory(_) => unreachable!("no option here asks for a directory"),
    }
}

fn to_json(documents: &impl Serialize) -> String {
    serde_json::to_string_pretty(documents).expect("a document has string keys") + "\n"
}

fn print_note(text: &str) {
    complain(&format!("note: {text}"));
}
