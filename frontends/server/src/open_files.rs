//! How many files the process may have open.
//!
//! Promises: the soft limit is as high as the hard one allows; an operator is warned when that may not
//! be enough. Deliberately unknown: which files they are.

/// Descriptors an open tenant holds at most times: the database, its log and index, a reader or two; or a
/// segment, what it is written by, and a few runs and older segments.
const FILES_PER_TENANT: u64 = 8;
/// Everything else: logs, the listener, the runtime.
const OTHER_FILES: u64 = 64;

/// Raises the soft limit to the hard one, and warns when it is low for so many tenants that hold files and
/// so many connections.
#[cfg(unix)]
pub(crate) fn raise_limit(tenants: usize, connections: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, ?current, "the limit of open files could not be raised");
    }
    let wanted = tenants as u64 * FILES_PER_TENANT + connections as u64 + OTHER_FILES;
    if let Some(limit) = getrlimit(Resource::Nofile).current.filter(|limit| *limit < wanted) {
        tracing::warn!(
            limit,
            wanted,
            "few files may be open; raise the hard limit, or lower --max-open-tenants or --max-connections"
        );
    }
}

/// Other systems have no such limit worth raising.
#[cfg(not(unix))]
pub(crate) fn raise_limit(_tenants: usize, _connections: usize) {}

#[cfg(all(test, unix))]
mod tests {
    use rustix::process::{Resource, getrlimit};

    #[test]
    fn the_soft_limit_reaches_the_hard_one() {
        super::raise_limit(1, 1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
