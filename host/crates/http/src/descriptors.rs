//! How many connections the limit of open files leaves room for.

use rustix::process::{Resource, getrlimit};

/// Descriptors of open files that are kept from the connections of clients: for
/// delivery, the spool, dead letters, the overflow and the admin address. Of a small
/// limit it is half.
const DESCRIPTORS_RESERVED_MAX: u64 = 4096;

/// What the limit of open files comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Descriptors {
    /// The limit; none where there is none.
    limit: Option<u64>,
}

impl Descriptors {
    /// Those that this process may have at present.
    pub fn of_process() -> Self {
        Descriptors { limit: getrlimit(Resource::Nofile).current }
    }

    /// The limit, if there is one.
    pub fn limit(self) -> Option<u64> {
        self.limit
    }

    /// Connections of clients that there is room for, beside what everything else takes.
    pub fn connections_max(self) -> usize {
        let room = |limit: u64| limit - (limit / 2).min(DESCRIPTORS_RESERVED_MAX);
        self.limit.map_or(usize::MAX, |limit| usize::try_from(room(limit)).unwrap_or(usize::MAX))
    }

    /// The limit that so many connections ask for.
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
