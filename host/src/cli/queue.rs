//! `host queue`: creates, checks and shows the queue of the settings.

mod check;
mod create;
mod status;

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};

use super::config::{check_settings, read_settings};
use super::{CommandResult, fault, usage};
use crate::config::{Overrides, QueueSettings, Settings};
use crate::run::open_secrets;
use standpipe_queue::admin::QueueAdmin;

const CREATE_HELP: &str = "With kind = \"nats\": a stream with work-queue retention and file storage that refuses messages \
when it is full, and the durable consumer that all mappers share. With kind = \"sqs\": a standard queue with the longest \
retention, the largest message size and encryption (SSE-SQS), in the account of the credentials. An existing stream, \
consumer or queue is compared with that, and is not changed without --update; nothing is deleted.

Exit codes:
  0  the queue exists, and is as it should be
  1  a request failed, or there are differences left
  2  wrong usage or settings";

const CHECK_HELP: &str = "Each property is ok, failed (events would be lost, refused or not delivered), a warning, or \
skipped if it is unknown. Permissions are tested for the `role` of the settings, with requests that change nothing. \
No message is sent, received or deleted.

Exit codes:
  0  nothing failed
  1  something failed
  2  wrong usage or settings";

const STATUS_HELP: &str = "Waiting messages are those that no mapper has received; unacknowledged ones are those that \
mappers work on. A message contains a chunk of events. Amazon SQS counts approximately, and does not report bytes and age.

Exit codes:
  0  done
  1  the queue cannot be read
  2  wrong usage or settings";

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Create the stream and the consumer of NATS JetStream, or the queue of Amazon SQS.
    #[command(after_help = CREATE_HELP)]
    Create(create::CreateArguments),
    /// Check that events are safe in the queue, and test permissions.
    #[command(after_help = CHECK_HELP)]
    Check(check::QueueCheckArguments),
    /// Print how much the queue contains.
    #[command(after_help = STATUS_HELP)]
    Status(status::QueueStatusArguments),
}

// Without doc comments: they would replace the subcommand's help.
#[derive(Debug, Args)]
struct QueueArguments {
    /// The settings file, with [queue].
    #[arg(long, value_name = "FILE.toml")]
    config: PathBuf,
}

pub(super) fn run(command: QueueCommand) -> CommandResult {
    match command {
        QueueCommand::Create(arguments) => create::run(&arguments),
        QueueCommand::Check(arguments) => check::run(&arguments),
        QueueCommand::Status(arguments) => status::run(&arguments),
    }
}

impl QueueArguments {
    /// Reads the settings, and those of the queue among them.
    fn read_settings(&self) -> anyhow::Result<(Settings, QueueSettings)> {
        let file = Some(self.config.as_path());
        let (raw, directory) = read_settings(file)?;
        let settings = check_settings(raw, &directory, file, Overrides::default())?;
        let queue = settings.queue.clone().with_context(|| {
            format!("the settings file {} has no [queue]: add it", self.config.display())
        })?;
        Ok((settings, queue))
    }
}

/// Connects to the queue.
async fn connect_to_queue(
    settings: &Settings,
    queue: &QueueSettings,
) -> anyhow::Result<QueueAdmin> {
    let secrets = open_secrets(settings.secrets.as_ref()).await?;
    QueueAdmin::connect(queue, &secrets).await.context("failed to connect to the queue")
}

/// Runs a future on one thread: few requests are in flight at once.
fn block_on<T>(
    future: impl Future<Output = anyhow::Result<T>>,
) -> Result<T, (super::Exit, anyhow::Error)> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| fault(anyhow!(error).context("start the runtime")))?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result.map_err(fault)
}
