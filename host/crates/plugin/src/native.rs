//! The default mapping without a component.

use mapping::Mapping;
use standpipe_plugin::{Plugin as _, Setup};

use super::decision::{Answers, Decision, Output, OutputTarget, check_event};
use super::routes::PluginRoute;
use standpipe_core::event::Event;

/// One worker's copy. It is called with the same events as the component, and allocates only its
/// outputs: it is as fast as code without a contract.
#[derive(Debug, Clone)]
pub(super) struct Native(Mapping);

impl Native {
    /// Configures the mapping. Also returns the declared streams. The error is the mapping's own.
    pub(super) fn configure(settings: &str) -> Result<(Self, Vec<String>), String> {
        let mut setup = Setup::default();
        let mapping = Mapping::configure(settings, &mut setup)?;
        if mapping.reads_text() {
            return Err(
                "native code routes by type and name alone: remove transforms and conditions on \
                 the content of events, or measure without --no-plugin"
                    .to_owned(),
            );
        }
        Ok((Native(mapping), setup.names().map(str::to_owned).collect()))
    }

    pub(super) fn routes(&self) -> Vec<PluginRoute> {
        let routes = self.0.routes().into_iter();
        routes
            .map(|standpipe_plugin::Route { message_type, name, condition, stream }| PluginRoute {
                message_type,
                name,
                condition,
                stream,
            })
            .collect()
    }

    pub(super) fn map<'a>(&mut self, asked: impl Iterator<Item = &'a Event<'a>>) -> Answers {
        let mut answers = Answers::default();
        for (input, event) in asked.enumerate() {
            self.map_event(input, event, &mut answers);
        }
        answers
    }

    fn map_event(&mut self, input: usize, event: &Event<'_>, answers: &mut Answers) {
        let Answers { outputs, faults, .. } = answers;
        let first = outputs.len();
        let (name, message_type) =
            (event.envelope.name.as_deref(), event.envelope.message_type.as_deref());
        let routed = self.0.route(name, message_type, |stream| {
            let target = OutputTarget::Declared(stream.position() as usize);
            outputs.push(Output { input, decision: Decision::Deliver(target, None) });
        });
        if let Err(reason) = routed {
            outputs.push(Output { input, decision: Decision::Reject(reason.to_owned()) });
        }
        // The only rule of the contract that the mapping could violate.
        if outputs.len() > first + 1
            && let Err(fault) = check_event(&outputs[first..])
        {
            outputs.truncate(first);
            faults.push((input, fault));
        }
    }
}
