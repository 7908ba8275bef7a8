//! The bound on client connections, so that files and the broker always find a descriptor.

/// Descriptors reserved for the server: the store (its files, once for each connection to it), the broker's
/// connections, object files and their service, the log, and the libraries.
const RESERVE: u64 = 256;
/// Below this number of descriptors half of them are reserved.
const LEAST: u64 = 2 * RESERVE;

/// Raises the soft limit of open files to the hard limit and returns it.
#[cfg(unix)]
fn descriptors() -> Option<u64> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = current != maximum && setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).is_ok();
    if raised { maximum } else { current }
}

#[cfg(not(unix))]
fn descriptors() -> Option<u64> {
    None
}

/// The number of connections at once: `wanted`, or fewer where the operating system's limit leaves less, with a
/// warning.
pub fn bound(wanted: usize) -> usize {
    let descriptors = descriptors();
    let bound = leave_reserve(wanted, descriptors);
    if let (true, Some(limit)) = (bound < wanted, descriptors) {
        tracing::warn!(
            "api.connections_max is {wanted}, but this process may have only {limit} open files: {bound} connections \
             are taken at once (raise the limit: ulimit -n, LimitNOFILE, --ulimit nofile)"
        );
    }
    bound
}

fn leave_reserve(wanted: usize, descriptors: Option<u64>) -> usize {
    let Some(limit) = descriptors else { return wanted };
    let left = if limit < LEAST { limit / 2 } else { limit - RESERVE };
    wanted.min(usize::try_from(left).unwrap_or(usize::MAX)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_is_kept_at_every_limit() {
        for (wanted, descriptors, expected) in [
            (2_048, None, 2_048),
            (2_048, Some(1_048_576), 2_048),
            (2_048, Some(2_304), 2_048),
            (2_048, Some(1_024), 768),
            (2_048, Some(512), 256),
            (2_048, Some(256), 128),
            (100, Some(256), 100),
            (2_048, Some(0), 1),
        ] {
            assert_eq!(leave_reserve(wanted, descriptors), expected, "{wanted} of {descriptors:?}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn the_soft_limit_is_raised_to_the_hard_one() {
        use rustix::process::{Resource, getrlimit};
        bound(1);
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
