//! What `deploy` says of the server is so: the options, variables and paths in its files exist. (`.ci/deploy`
//! runs what can be run.)

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_server::cli::{Task, parse};
use driftless_sim::{GameKind, games::arena::Arena};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};
use util::{TestServer, config};

/// All files below a folder, with their text.
fn files(folder: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
    found
}

fn deploy() -> Vec<(PathBuf, String)> {
    let found = files(Path::new("deploy"));
    assert!(found.len() > 10, "{found:?}");
    found
}

/// Words of a text that begin so, without what follows them.
fn words<'a>(text: &'a str, start: &'a str, part: fn(char) -> bool) -> impl Iterator<Item = &'a str> {
    text.match_indices(start).map(move |(at, _)| {
        let word = &text[at..];
        &word[..word.find(|c| !part(c)).unwrap_or(word.len())]
    })
}

#[test]
fn the_commands_in_the_files_are_accepted() {
    let mut commands = 0;
    for (path, text) in deploy() {
        for (at, _) in text.match_indices("driftless serve --") {
            let lines = text[at..].split_inclusive('\n');
            let mut command = String::new();
            for line in lines {
                let line = line.trim().trim_start_matches('#').trim();
                command.push_str(line.trim_end_matches('\\'));
                if !line.ends_with('\\') {
                    break;
                }
            }
            commands += 1;
            // The file is another machine's.
            let words = command.split_whitespace().filter(|word| !word.ends_with(".toml"));
            let words: Vec<_> = words.filter(|word| *word != "--config").collect();
            match parse(words, &[GameKind::of::<Arena>()], false) {
                Ok(Task::Serve(Ok(_))) => {}
                other => panic!("{}: {command}: {other:?}", path.display()),
            }
        }
    }
    assert!(commands >= 4, "{commands}");
}

#[test]
fn the_variables_in_the_files_are_settings() {
    let Ok(Task::CheckConfig(Ok(resolved))) =
        parse(["driftless", "check-config"], &[GameKind::of::<Arena>()], false)
    else {
        panic!("the defaults are refused");
    };
    let keys = resolved.settings.iter().map(|setting| setting.provenance.key);
    let known: BTreeSet<String> = keys.map(|key| format!("DRIFTLESS_{}", key.to_uppercase())).collect();
    let mut found = 0;
    for (path, text) in deploy() {
        for name in words(&text, "DRIFTLESS_", |c| c.is_ascii_uppercase() || c == '_') {
            assert!(known.contains(name), "{}: {name} is not a setting", path.display());
            found += 1;
        }
    }
    assert!(found >= 10, "{found}");
}

#[test]
fn the_sandbox_of_the_service_hides_nothing_that_the_store_asks_the_system_for() {
    let unit = fs::read_to_string("deploy/systemd/driftless.service").unwrap();
    let subset = unit.lines().find(|line| line.starts_with("ProcSubset="));
    assert_eq!(subset, None, "/proc/sys/kernel/random/boot_id would not be there");
}

#[test]
fn the_paths_of_health_checks_answer() {
    let server = TestServer::start(config());
    let mut found = BTreeSet::new();
    for (path, text) in deploy() {
        for probe in words(&text, "/", |c| c == '/' || c.is_ascii_lowercase())
            .filter(|word| word.len() > 2 && word.ends_with('z') && !word[1..].contains('/'))
        {
            assert_eq!(server.get(probe).status, 200, "{}: {probe}", path.display());
            found.insert(probe.to_owned());
        }
    }
    assert!(found.contains("/readyz"), "{found:?}");
}
