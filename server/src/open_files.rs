//! How many files the process may open: every connection is one.

use std::io;

/// Files that are not connections: listeners, event queues, recordings, what a scrape opens.
const OTHERS: u64 = 128;

/// Raises the limit of open files as far as the system lets this process, and returns it. The limit that most shells
/// give (1,024) is meant for `select`, which nothing here uses.
///
/// # Errors
/// If the system does not tell its limit.
pub fn raise_limit() -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: getrlimit writes into the struct that it is given, which lives until the call returns.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let most = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: setrlimit reads the struct that it is given, which lives until the call returns.
    if limit.rlim_cur < limit.rlim_max && unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &most) } == 0 {
        limit = most;
    }
    Ok(limit.rlim_cur)
}

/// Raises the limit, and tells where it is below what the configuration allows. No warning: it is so with the defaults
/// on most systems, and only those who expect that many clients need to act.
pub fn prepare_for(max_connections: usize) {
    match raise_limit() {
        Ok(limit) if limit < max_connections as u64 + OTHERS => tracing::info!(
            open_files = limit,
            max_connections,
            "connections are limited by open files before max_connections: to have more, raise `ulimit -Hn`"
        ),
        Ok(limit) => tracing::debug!(open_files = limit, "limit of open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files is unknown"),
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
