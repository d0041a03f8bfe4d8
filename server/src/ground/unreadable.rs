//! Why a file cannot be used, and what to do about it.

#![allow(unsafe_code, reason = "asks the C library")]

use std::io;

/// The error; and, if it is one of permissions, who may not read the file.
pub(crate) fn unreadable(error: &io::Error) -> String {
    told(error, |user| {
        format!(
            "user {user}, as whom the server runs, may not read it: let that user read it, or have systemd hand it \
             over (LoadCredential= in driftless.service)"
        )
    })
}

/// The same about a folder of the server's own, or a file in it.
pub(crate) fn unusable(error: &io::Error) -> String {
    told(error, |user| {
        format!(
            "user {user}, as whom this runs, may not use it or a file in it: give all of it to that user (chown -R); of \
             a service of systemd with a user of its own, to the owner of the folder that it is in"
        )
    })
}

fn told(error: &io::Error, advice: impl Fn(u32) -> String) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    // SAFETY: geteuid takes nothing, and always succeeds.
    let user = unsafe { libc::geteuid() };
    format!("{error}: {}", advice(user))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_permission_is_one() {
        let of = |code| unreadable(&io::Error::from_raw_os_error(code));
        assert!(of(libc::EACCES).contains("may not read it") && of(libc::EACCES).contains("LoadCredential="));
        assert!(!of(libc::ENOENT).contains("may not"));
        let of = |code| unusable(&io::Error::from_raw_os_error(code));
        assert!(of(libc::EACCES).contains("chown -R") && !of(libc::ENOSPC).contains("chown"));
    }
}
