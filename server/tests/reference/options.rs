//! Every option.

use super::cell;
use driftless_server::config::{DescribedSetting, described};
use std::fmt::Write;

/// The chapter of the guide.
pub(super) fn chapter() -> String {
    let mut text = String::from(
        "# Reference: options\n\n\
         Each can be a flag, a variable of the environment, or a key of the file that `--config` names; flags count before variables, \
         and variables before the file. `driftless default-config` prints a file with all of them, `driftless check-config` what is in \
         force. This page is generated from the code.\n\n\
         | option | meaning | values | default |\n| --- | --- | --- | --- |\n",
    );
    for DescribedSetting { key, flag, variable, help, allowed, default, .. } in described() {
        // The number of cores differs from one machine to another.
        let default = match default {
            _ if help.contains("Default: ") => "see there".to_owned(),
            Some(default) => format!("`{default}`"),
            None => "none".to_owned(),
        };
        let names = format!("`{flag}` `{variable}` `{key}`");
        writeln!(text, "| {names} | {} | {} | {default} |", cell(help), cell(&allowed)).unwrap();
    }
    text
}
