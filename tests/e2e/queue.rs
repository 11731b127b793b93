//! `host queue`, `host check` and `host iam` with a queue: NATS JetStream by NATS's own servers, Amazon SQS by moto.

mod nats;
mod sqs;

use serde_json::Value;
use standpipe_tests::{FinishedRun, Program};

/// `host queue` with a subcommand, against the queue of these settings.
fn run_queue(settings: &str, arguments: &[&str]) -> FinishedRun {
    Program::new().args(["queue"]).args(arguments).settings(settings).with_keys().run()
}

/// The outcome and the text of each property that `host queue check` reports.
#[derive(Debug)]
struct CheckedQueue {
    steps: Vec<Value>,
}

impl CheckedQueue {
    fn new(ran: &FinishedRun) -> Self {
        let report: Value = serde_json::from_slice(&ran.stdout)
            .unwrap_or_else(|error| panic!("no report: {error}: {}", ran.stderr));
        CheckedQueue { steps: report["steps"].as_array().expect("steps").clone() }
    }

    /// The names of the steps with this outcome.
    fn names(&self, outcome: &str) -> Vec<&str> {
        let steps = self.steps.iter().filter(|step| step["outcome"] == outcome);
        steps.map(|step| step["step"].as_str().expect("a name")).collect()
    }

    /// Fails unless the step has this outcome, and these words.
    fn expect(&self, name: &str, outcome: &str, words: &[&str]) -> &Self {
        let step = self.steps.iter().find(|step| step["step"] == name);
        let step = step.unwrap_or_else(|| panic!("no step {name}: {self:#?}"));
        assert_eq!(step["outcome"], outcome, "{step:#}");
        for word in words {
            assert!(step.to_string().contains(word), "no {word:?} in {step:#}");
        }
        self
    }
}

fn check_queue(settings: &str, exit: i32) -> CheckedQueue {
    CheckedQueue::new(&run_queue(settings, &["check", "--json"]).expect_exit(exit))
}

fn stdout_of(ran: &FinishedRun) -> String {
    String::from_utf8(ran.stdout.clone()).expect("text")
}

#[test]
fn the_settings_must_have_a_queue() {
    for command in ["create", "check", "status"] {
        run_queue("[aws]\nregion = 'eu-central-1'\n", &[command])
            .expect_exit(2)
            .expect_stderr(&["settings.toml", "[queue]"]);
        Program::new().args(["queue", command]).run().expect_exit(2).expect_stderr(&["--config"]);
    }
}
