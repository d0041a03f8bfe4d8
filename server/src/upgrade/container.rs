//! Whether more than a process ends when it ends: with the main process of a container, all others, and among
//! them the one that was to follow it.

use std::{fs, os::unix::process::parent_id, process};

/// Programs that are the first of a container, start its main process, and end when that has ended.
const INITS: [&str; 10] = [
    "tini",
    "tini-static",
    "docker-init",
    "podman-init",
    "dumb-init",
    "catatonit",
    "sh",
    "bash",
    "dash",
    "ash",
];

/// Whether this process is the main one of a container, as far as that can be told.
pub(crate) fn ends_with_this_process() -> bool {
    let first = fs::read_to_string("/proc/1/comm");
    is_main(process::id(), parent_id(), first.as_deref().unwrap_or_default().trim())
}

/// `first`: what process 1 is called.
fn is_main(process: u32, parent: u32, first: &str) -> bool {
    match parent {
        _ if process == 1 => true,
        // It was started from outside, beside another process 1, as in pods that share their processes.
        0 => true,
        1 => INITS.contains(&first),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_process_of_a_container_is_told_from_a_service() {
        for (process, parent, first, main) in [
            (1, 0, "driftless", true),
            (7, 1, "tini", true),
            (7, 1, "docker-init", true),
            (7, 0, "pause", true),
            (862, 1, "systemd", false),
            (862, 1, "", false),
            (862, 417, "tini", false),
        ] {
            assert_eq!(is_main(process, parent, first), main, "{process} {parent} {first}");
        }
        assert!(!ends_with_this_process(), "tests have a parent");
    }
}
