//! The limit of file sizes (`ulimit -f`): writing beyond it is an error, as a full disk is.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

/// Has a write beyond the limit fail with `EFBIG`. By default the kernel ends the process for it, with
/// SIGXFSZ. A handler that somebody has set stays.
pub(crate) fn exceed_with_an_error() {
    // SAFETY: both calls only read and write the given structs, and ignoring a signal runs no code of ours.
    unsafe {
        let mut present: libc::sigaction = std::mem::zeroed();
        let asked = libc::sigaction(libc::SIGXFSZ, std::ptr::null(), &mut present);
        if asked == 0 && present.sa_sigaction == libc::SIG_DFL {
            libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        }
    }
}
