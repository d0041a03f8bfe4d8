//! The limit of open files: every connection is one.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use std::io;

/// Files that are not connections: listeners, event queues, recordings, and those that a scrape opens.
const OTHERS: u64 = 128;

/// Raises the limit of open files as far as the system allows and returns it. The limit that most shells set
/// (1,024) is meant for `select`, which nothing here uses.
///
/// # Errors
/// If the system does not report its limit.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes to the given struct, which lives until the call returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let most = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: setrlimit reads the given struct, which lives until the call returns.
    if limit.rlim_cur < limit.rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &most) } == 0 {
        limit = most;
    }
    Ok(limit.rlim_cur)
}

/// Raises the limit, and logs if it is below what the configuration allows. Not as a warning: this is so with
/// the defaults on most systems, and only operators who expect that many clients need to act.
pub fn prepare_for(max_connections: usize) {
    match raise_limit() {
        Ok(limit) if limit < max_connections as u64 + OTHERS => tracing::info!(
            open_files = limit,
            max_connections,
            "the limit of open files allows fewer connections than max_connections: to allow more, raise `ulimit -Hn`"
        ),
        Ok(limit) => tracing::debug!(open_files = limit, "limit of open files"),
        Err(error) => tracing::warn!(%error, "cannot read the limit of open files"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_once_and_for_all() {
        let limit = raise_limit().unwrap();
        assert!(limit >= 64);
        assert_eq!(raise_limit().unwrap(), limit);
    }
}
