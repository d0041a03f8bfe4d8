//! Why a file of the operator's cannot be read, and what to do about it.

#![allow(unsafe_code, reason = "asks the C library")]

use std::io;

/// The error; and, if it is one of permissions, who may not read the file.
pub(crate) fn unreadable(error: &io::Error) -> String {
    if error.kind() != io::ErrorKind::PermissionDenied {
        return error.to_string();
    }
    // SAFETY: geteuid takes nothing, and always succeeds.
    let user = unsafe { libc::geteuid() };
    format!(
        "{error}: user {user}, as whom the server runs, may not read it: let that user read it, or have systemd hand \
         it over (LoadCredential= in driftless.service)"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_lack_of_permission_is_one() {
        let of = |code| unreadable(&io::Error::from_raw_os_error(code));
        assert!(of(libc::EACCES).contains("may not read it") && of(libc::EACCES).contains("LoadCredential="));
        assert!(!of(libc::ENOENT).contains("may not"));
    }
}
