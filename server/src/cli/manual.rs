//! What shells and `man` want to know of the command line.

use clap::Command;
use clap_complete::{Shell, generate};
use clap_mangen::Man;

/// The script with which a shell completes commands and options of `program`.
pub(super) fn completions(shell: Shell, mut command: Command, program: &str) -> Vec<u8> {
    let mut script = Vec::new();
    generate(shell, &mut command, program, &mut script);
    script
}

/// The manual page, as roff.
pub(super) fn page(command: Command) -> Vec<u8> {
    let mut page = Vec::new();
    // Writing to a Vec does not fail.
    let _ = Man::new(command).render(&mut page);
    page
}
