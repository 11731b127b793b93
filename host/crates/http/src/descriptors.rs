//! Computes how many connections the limit of open files permits.

use rustix::process::{Resource, getrlimit};

/// Descriptors that are reserved for other uses than client connections: delivery, the spool, dead
/// letters, the overflow and the admin address. If the limit is small, half of it is reserved.
const DESCRIPTORS_RESERVED_MAX: u64 = 4096;

/// The limit of open files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit, or `None` without one.
    limit: Option<u64>,
}

impl Descriptors {
    /// The current limit of this process.
    pub fn of_process() -> Self {
        Descriptors { limit: getrlimit(Resource::Nofile).current }
    }

    /// The limit, if there is one.
    pub fn limit(self) -> Option<u64> {
        self.limit
    }

    /// The maximum number of client connections, after subtracting the reserved descriptors.
    pub fn connections_max(self) -> usize {
        let room = |limit: u64| limit - (limit / 2).min(DESCRIPTORS_RESERVED_MAX);
        self.limit.map_or(usize::MAX, |limit| usize::try_from(room(limit)).unwrap_or(usize::MAX))
    }

    /// The limit that this number of connections needs.
    pub fn needed_for(connections: usize) -> u64 {
        let connections = connections as u64;
        connections.saturating_add(connections.min(DESCRIPTORS_RESERVED_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_descriptors_is_kept() {
        let max = |limit| Descriptors { limit }.connections_max();
        assert_eq!(max(Some(1024)), 512);
        assert_eq!(max(Some(8192)), 4096);
        assert_eq!(max(Some(20_000)), 15_904);
        assert_eq!(max(None), usize::MAX);
        for connections in [1, 500, 4096, 4097, 10_000] {
            let limit = Descriptors::needed_for(connections);
            assert!(max(Some(limit)) >= connections && max(Some(limit - 1)) < connections + 1);
            assert!(max(Some(limit - 2)) < connections, "{connections}");
        }
    }
}
