//! `host queue create`: creates what does not exist, and compares what does.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::{QueueArguments, block_on, connect_to_queue, usage};
use crate::cli::run::{LogFormat, start_logging};
use crate::cli::{CommandResult, Exit, print_text};
use standpipe_core::text_table::align_columns;
use standpipe_queue::admin::{
    CreateOptions, CreatedPart, Difference, DifferenceState, PartState, RedrivePolicy,
    StreamOptions, WhenDifferent,
};
use standpipe_queue::{QueueKind, limits};

/// Replicas of a stream, unless --replicas says otherwise: one server may be lost.
const REPLICAS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct CreateArguments {
    #[command(flatten)]
    given: QueueArguments,
    /// Change what can be changed of an existing stream, consumer or queue.
    #[arg(long)]
    update: bool,
    /// NATS: the number of servers that store each message, 1 to 5 [default: 3].
    /// A single server needs 1.
    #[arg(long, value_name = "NUMBER", value_parser = parse_replicas)]
    replicas: Option<usize>,
    /// NATS: the age, at least 1h, at which JetStream deletes a message, delivered or
    /// not [default: never].
    #[arg(long, value_name = "DURATION", value_parser = parse_age)]
    max_age: Option<Duration>,
    /// NATS: bytes of all messages, at which the stream refuses messages [default:
    /// the limits of the servers].
    #[arg(long, value_name = "BYTES", value_parser = clap::value_parser!(u64).range(1..))]
    max_bytes: Option<u64>,
    /// SQS: the ARN of the queue that gets messages after --max-receives [default:
    /// messages stay].
    #[arg(long, value_name = "ARN", value_parser = parse_queue_arn)]
    dead_letter_queue: Option<String>,
    /// SQS: receptions, 1 to 1000, after which a message goes to --dead-letter-queue
    /// [default: 1000]. Mappers that stop use up receptions.
    #[arg(long, value_name = "NUMBER", requires = "dead_letter_queue")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=i64::from(limits::SQS_RECEIVES_MAX)))]
    max_receives: Option<u32>,
}

pub(super) fn run(arguments: &CreateArguments) -> CommandResult {
    start_logging(LogFormat::Human);
    let (settings, queue) = arguments.given.read_settings().map_err(usage)?;
    let options = arguments.options(&queue.kind).map_err(usage)?;
    let when_different =
        if arguments.update { WhenDifferent::Update } else { WhenDifferent::Report };
    let parts = block_on(async {
        let admin = connect_to_queue(&settings, &queue).await?;
        Ok(admin.create(&options, when_different).await?)
    })?;
    print_text(&parts_text(&parts))?;
    Ok(if parts.iter().any(has_differences) { Exit::Fault } else { Exit::Done })
}

impl CreateArguments {
    /// Returns the options of this kind of queue. Those of the other kind are mistakes.
    fn options(&self, kind: &QueueKind) -> anyhow::Result<CreateOptions> {
        let is_of_nats =
            self.replicas.is_some() || self.max_age.is_some() || self.max_bytes.is_some();
        Ok(match kind {
            QueueKind::Nats(_) if self.dead_letter_queue.is_some() => bail!(
                "--dead-letter-queue is only for kind = \"sqs\": remove it; mappers write dead letters themselves"
            ),
            QueueKind::Sqs(_) if is_of_nats => bail!(
                "--replicas, --max-age and --max-bytes are only for kind = \"nats\": remove them; Amazon SQS keeps messages \
                 in several zones for 14 days"
            ),
            QueueKind::Nats(_) => CreateOptions::Nats(StreamOptions {
                replicas: self.replicas.unwrap_or(REPLICAS),
                age_max: self.max_age,
                bytes_max: self.max_bytes,
            }),
            QueueKind::Sqs(_) => CreateOptions::Sqs {
                redrive: self.dead_letter_queue.clone().map(|dead_letter_queue| RedrivePolicy {
                    dead_letter_queue,
                    receives_max: self.max_receives.unwrap_or(limits::SQS_RECEIVES_MAX),
                }),
            },
        })
    }
}

fn parse_replicas(text: &str) -> Result<usize, String> {
    let number =
        text.parse().ok().filter(|number| (1..=limits::NATS_REPLICAS_MAX).contains(number));
    number.ok_or_else(|| format!("expected a number from 1 to {}", limits::NATS_REPLICAS_MAX))
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let age = humantime::parse_duration(text).ok();
    let is_representable = |age: &Duration| i64::try_from(age.as_nanos()).is_ok();
    age.filter(|age| *age >= limits::NATS_AGE_MIN && is_representable(age)).ok_or_else(|| {
        "expected a duration of at least 1h, such as 72h or 14days: mappers may be down for some time".to_owned()
    })
}

/// Amazon SQS refuses ARNs that it does not know; this finds names and URLs that were passed in place of one.
fn parse_queue_arn(text: &str) -> Result<String, String> {
    let fields: Vec<_> = text.split(':').collect();
    match fields[..] {
        ["arn", _, "sqs", region, account, name]
            if !region.is_empty() && !account.is_empty() && !name.is_empty() =>
        {
            Ok(text.to_owned())
        }
        _ => Err("expected the ARN of a queue, such as arn:aws:sqs:eu-central-1:111122223333:dead"
            .to_owned()),
    }
}

fn has_differences(part: &CreatedPart) -> bool {
    let is_left = |difference: &Difference| difference.state != DifferenceState::Updated;
    matches!(&part.state, PartState::Existing(differences) if differences.iter().any(is_left))
}

/// A line for each part, and for each of its differences.
fn parts_text(parts: &[CreatedPart]) -> String {
    let rows: Vec<_> = parts.iter().flat_map(part_rows).collect();
    align_columns(&rows)
}

fn part_rows(part: &CreatedPart) -> Vec<[String; 3]> {
    let row = |word: &str, rest: String| [word.to_owned(), part.name.clone(), rest];
    match &part.state {
        PartState::Created => vec![row("created", String::new())],
        PartState::Existing(differences) if differences.is_empty() => {
            vec![row("ok", "exists, and is as it should be".to_owned())]
        }
        PartState::Existing(differences) => {
            let difference_row = |difference: &Difference| {
                let Difference { property, found, wanted, state } = difference;
                match state {
                    DifferenceState::Updated => {
                        row("updated", format!("{property}: {found} -> {wanted}"))
                    }
                    DifferenceState::Open => row(
                        "differs",
                        format!(
                            "{property}: {found}, expected {wanted}; pass --update to change it"
                        ),
                    ),
                    DifferenceState::Unchangeable => row(
                        "differs",
                        format!(
                            "{property}: {found}, expected {wanted}; it cannot be changed: delete it once it is empty, and create it again"
                        ),
                    ),
                }
            };
            differences.iter().map(difference_row).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_has_a_line() {
        let difference = |state| Difference {
            property: "replicas",
            found: "1".to_owned(),
            wanted: "3".to_owned(),
            state,
        };
        let part = |differences| CreatedPart {
            name: "stream s".to_owned(),
            state: PartState::Existing(differences),
        };
        let updated = part(vec![difference(DifferenceState::Updated)]);
        assert_eq!(
            parts_text(std::slice::from_ref(&updated)),
            "updated  stream s  replicas: 1 -> 3\n"
        );
        assert!(!has_differences(&updated));
        for (state, words) in [
            (DifferenceState::Open, "--update"),
            (DifferenceState::Unchangeable, "cannot be changed"),
        ] {
            let part = part(vec![difference(state)]);
            assert!(has_differences(&part));
            let text = parts_text(&[part]);
            assert!(text.contains("replicas: 1, expected 3") && text.contains(words), "{text}");
        }
        assert!(!has_differences(&part(Vec::new())));
    }

    #[test]
    fn options_have_bounds() {
        assert_eq!(parse_replicas("5"), Ok(5));
        assert!(parse_replicas("0").is_err() && parse_replicas("6").is_err());
        assert_eq!(parse_age("72h"), Ok(Duration::from_secs(72 * 3600)));
        for text in ["", "5", "59m", "1000years"] {
            assert!(parse_age(text).is_err(), "{text}");
        }
        assert!(parse_queue_arn("arn:aws:sqs:eu-central-1:111122223333:dead").is_ok());
        for text in ["dead", "https://sqs.eu-central-1.amazonaws.com/1/dead", "arn:aws:sns:a:1:b"] {
            assert!(parse_queue_arn(text).is_err(), "{text}");
        }
    }
}
