//! All faults that the soak test causes.

use std::time::Duration;

use standpipe_tests::stub::{Behavior, Garbage};

use super::hostile::Hostile;

/// A fault that lasts for some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoakFault {
    /// One or all delivery streams behave like this.
    Streams(Behavior),
    /// Hostile clients send requests in addition to the honest ones.
    Clients(Hostile),
    /// The admin API swaps plugins as fast as it accepts them.
    Swaps,
    /// Broken plugins are uploaded.
    BrokenPlugins,
    /// A plugin that traps and loops on some events is active.
    MisbehavingPlugin,
    /// The misbehaving plugin is a canary for half of the users.
    MisbehavingCanary,
    /// The plugin's file is replaced.
    PluginFile,
    /// The settings change, and SIGHUP makes the program read them again.
    Reload,
    /// SIGHUP is sent repeatedly, although nothing has changed.
    Hangups,
    /// Standard error is not read.
    UnreadLog,
    /// The disk of spool, overflow and dead letters is full.
    FullDisk,
    /// Nothing is delivered until the spool is full.
    FullSpool,
    /// SIGTERM, followed by a restart.
    Stop,
    /// SIGTERM during a fault of the streams.
    StopAmidFaults,
    /// SIGTERM while standard error is not read.
    StopUnread,
    /// SIGKILL, followed by a restart.
    Kill,
    /// SIGKILL during a fault of the streams.
    KillAmidFaults,
}

/// Faults of streams.
pub(super) const BEHAVIORS: [Behavior; 9] = [
    Behavior::Slow(Duration::from_millis(400)),
    Behavior::Throttled(30),
    Behavior::Unavailable,
    Behavior::InternalFailure,
    Behavior::ResetBefore,
    Behavior::ResetAfter,
    Behavior::Hanging,
    Behavior::Denied,
    Behavior::Missing,
];

/// Faults that do not end the process.
const LASTING: [SoakFault; 10] = [
    SoakFault::Swaps,
    SoakFault::BrokenPlugins,
    SoakFault::MisbehavingPlugin,
    SoakFault::MisbehavingCanary,
    SoakFault::PluginFile,
    SoakFault::Reload,
    SoakFault::Hangups,
    SoakFault::UnreadLog,
    SoakFault::FullDisk,
    SoakFault::FullSpool,
];

/// Faults that end the process.
const RESTARTS: [SoakFault; 5] = [
    SoakFault::Stop,
    SoakFault::StopAmidFaults,
    SoakFault::StopUnread,
    SoakFault::Kill,
    SoakFault::KillAmidFaults,
];

impl SoakFault {
    /// All faults once, in random order. Faults that end the process are included only on request.
    pub(super) fn draw_round(with_restarts: bool, random: &mut fastrand::Rng) -> Vec<SoakFault> {
        let garbage = Garbage::ALL.map(Behavior::Garbage);
        let streams = BEHAVIORS.into_iter().chain(garbage).map(SoakFault::Streams);
        let clients = Hostile::ALL.into_iter().map(SoakFault::Clients);
        let restarts = RESTARTS.into_iter().filter(|_| with_restarts);
        let mut faults: Vec<_> = streams.chain(clients).chain(LASTING).chain(restarts).collect();
        random.shuffle(&mut faults);
        // A request without a response times out after a minute. The timeout should be over at the
        // end of the round.
        let hanging = faults.iter().position(|fault| fault.name().contains("Hanging"));
        if let Some(hanging) = hanging {
            let early = random.usize(..faults.len() / 3);
            faults.swap(hanging, early);
        }
        faults
    }

    /// The name for people, and for `SOAK_FAULTS`.
    pub(super) fn name(self) -> String {
        match self {
            SoakFault::Streams(Behavior::Garbage(garbage)) => {
                format!("streams: garbage {garbage:?}")
            }
            SoakFault::Streams(behavior) => format!("streams: {behavior:?}"),
            SoakFault::Clients(hostile) => format!("clients: {hostile:?}"),
            other => format!("{other:?}"),
        }
    }

    /// Whether the program responds to honest senders during the fault.
    pub(super) fn leaves_service(self) -> bool {
        !RESTARTS.contains(&self)
    }
}
