//! What shells and `man` want to know of the command line.

use clap::{Command, error::ErrorKind};
use clap_complete::{Shell, generate};
use clap_mangen::Man;

/// The script with which a shell completes commands and options of `program`.
pub(super) fn completions(shell: Shell, command: &Command, program: &str) -> String {
    let mut script = Vec::new();
    generate(shell, &mut without_hidden(command), program, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// What of a command is to be known: scripts would complete hidden options, too.
fn without_hidden(command: &Command) -> Command {
    let arguments = command.get_arguments().filter(|argument| !argument.is_hide_set()).cloned();
    let shown = Command::new(command.get_name().to_owned())
        .args(arguments)
        .subcommands(command.get_subcommands().map(without_hidden));
    let shown = match command.get_about() {
        Some(about) => shown.about(about.clone()),
        None => shown,
    };
    match command.get_version() {
        // It counts that there is one: no script says which.
        Some(_) => shown.version(env!("CARGO_PKG_VERSION")),
        None => shown,
    }
}

/// The manual page, as roff, or that of a command, whose words are joined as in the name of its page
/// (`store-ls`).
///
/// # Errors
/// There is no such command.
pub(super) fn page(command: Command, of: Option<&str>) -> Result<String, clap::Error> {
    // `help` has no page.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    let all = descendants(&command);
    let page = match of {
        None => Some(&command),
        Some(of) => all.iter().find(|(name, _)| name == of).map(|(_, command)| *command),
    };
    let Some(page) = page.cloned() else {
        let known: Vec<_> = all.iter().map(|(name, _)| name.as_str()).collect();
        let line = format!("there is no command {}, only {}", of.unwrap_or_default(), known.join(", "));
        return Err(command.clone().error(ErrorKind::InvalidValue, line));
    };
    let mut text = Vec::new();
    // Writing to a Vec does not fail.
    let _ = Man::new(page).render(&mut text);
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The commands of a command, and theirs, as their pages are called.
fn descendants(command: &Command) -> Vec<(String, &Command)> {
    let with_below = |command| {
        let below = descendants(command).into_iter();
        let name = Command::get_name(command);
        let below = below.map(move |(below, command)| (format!("{name}-{below}"), command));
        [(name.to_owned(), command)].into_iter().chain(below)
    };
    command.get_subcommands().flat_map(with_below).collect()
}
