//! Every fault that is done to the program, in turn.

use std::time::Duration;

use standpipe_tests::stub::{Behavior, Garbage};

use super::hostile::Hostile;

/// Something that is done to the program for some seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SoakFault {
    /// One delivery stream or all of them behave like this.
    Streams(Behavior),
    /// Clients that nobody wants, beside the honest ones.
    Clients(Hostile),
    /// Plugins take over from each other by the admin API, as fast as they are taken.
    Swaps,
    /// Broken plugins are uploaded.
    BrokenPlugins,
    /// A plugin that traps and loops on some events decides.
    MisbehavingPlugin,
    /// The misbehaving plugin is a canary for half of the users.
    MisbehavingCanary,
    /// The plugin's file is replaced.
    PluginFile,
    /// The settings change, and SIGHUP has them read again.
    Reload,
    /// SIGHUP again and again, and nothing has changed.
    Hangups,
    /// Standard error is not read.
    UnreadLog,
    /// The disk of spool, overflow and dead letters is full.
    FullDisk,
    /// Nothing is delivered until the spool takes no more.
    FullSpool,
    /// SIGTERM, and another start.
    Stop,
    /// SIGTERM while a fault of the streams goes on.
    StopAmidFaults,
    /// SIGTERM while standard error is not read.
    StopUnread,
    /// SIGKILL, and another start.
    Kill,
    /// SIGKILL while a fault of the streams goes on.
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

/// Faults that leave the process alone.
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

/// Faults that end it.
const RESTARTS: [SoakFault; 5] = [
    SoakFault::Stop,
    SoakFault::StopAmidFaults,
    SoakFault::StopUnread,
    SoakFault::Kill,
    SoakFault::KillAmidFaults,
];

impl SoakFault {
    /// All of them once, in an order that is drawn; those that end the process only
    /// where they are asked for.
    pub(super) fn draw_round(with_restarts: bool, random: &mut fastrand::Rng) -> Vec<SoakFault> {
        let garbage = Garbage::ALL.map(Behavior::Garbage);
        let streams = BEHAVIORS.into_iter().chain(garbage).map(SoakFault::Streams);
        let clients = Hostile::ALL.into_iter().map(SoakFault::Clients);
        let restarts = RESTARTS.into_iter().filter(|_| with_restarts);
        let mut faults: Vec<_> = streams.chain(clients).chain(LASTING).chain(restarts).collect();
        random.shuffle(&mut faults);
        // A request without an answer is given up after a minute, which is to be over
        // at the end of the round.
        let hanging = faults.iter().position(|fault| fault.name().contains("Hanging"));
        if let Some(hanging) = hanging {
            let early = random.usize(..faults.len() / 3);
            faults.swap(hanging, early);
        }
        faults
    }

    /// For people, and for `SOAK_FAULTS`.
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

    /// Whether the program answers honest senders somehow while it lasts.
    pub(super) fn leaves_service(self) -> bool {
        !RESTARTS.contains(&self)
    }
}
