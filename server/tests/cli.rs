//! The `driftless` program as operators use it: output, exit codes, environment.

#![allow(unsafe_code, reason = "a signal for a child")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use std::{
    io::{BufRead, BufReader},
    process::{Command, Output, Stdio},
};

fn driftless(args: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_driftless"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DRIFTLESS_")) {
        command.env_remove(name);
    }
    command.args(args).envs(environment.iter().copied());
    command
}

fn run(args: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = driftless(args, environment).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn check_config_prints_values_and_where_they_came_from() {
    let environment = [("DRIFTLESS_TICK_RATE", "30"), ("DRIFTLESS_MAX_ROOMS", "7")];
    let (code, out, err) = run(&["check-config", "--max-rooms", "8"], &environment);
    assert_eq!((code, &*err), (0, ""));
    let source = |key: &str| {
        let line = out.lines().find(|line| line.starts_with(key)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(source("tick_rate"), "tick_rate = 30 # environment DRIFTLESS_TICK_RATE");
    assert_eq!(source("max_rooms"), "max_rooms = 8 # flag --max-rooms");
    assert_eq!(source("linger"), "linger = \"30s\" # default");
}

#[test]
fn a_bad_configuration_is_told_and_exits_with_2() {
    for command in ["check-config", "serve"] {
        let (code, out, err) = run(&[command], &[("DRIFTLESS_TIMEOUT", "soon")]);
        assert_eq!((code, &*out), (2, ""), "{command}");
        assert!(err.contains("timeout is \"soon\" (from environment DRIFTLESS_TIMEOUT)"), "{err}");
    }
    let (code, _, err) = run(&["--listen", "0.0.0.0:7777"], &[]);
    assert!(code == 2 && err.contains("--insecure"), "{err}");
    let (code, _, err) = run(&["--tickrate", "3"], &[]);
    assert!(code == 2 && err.contains("--tickrate") && err.contains("--tick-rate"), "{err}");
    let (code, _, err) = run(&[], &[("DRIFTLESS_TICKRATE", "3")]);
    assert!(code == 2 && err.contains("did you mean DRIFTLESS_TICK_RATE?"), "{err}");
}

#[test]
fn all_that_is_wrong_with_a_configuration_is_told_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("driftless.toml");
    std::fs::write(&file, "tick_rate = 0\ncolour = 1\n[game]\n").unwrap();
    let names = [("DRIFTLESS_TICKRATE", "3"), ("DRIFTLESS_MAX_ROOM", "3")];
    let (code, out, err) = run(&["check-config", "--config", file.to_str().unwrap()], &names);
    assert_eq!((code, &*out, err.lines().count()), (2, "", 5), "{err}");
    for wrong in
        ["DRIFTLESS_TICKRATE", "DRIFTLESS_MAX_ROOM", "line 2: colour", "[game]", "tick_rate is \"0\""]
    {
        assert!(err.contains(wrong), "{wrong}: {err}");
    }
}

#[test]
fn what_a_configuration_names_elsewhere_and_cannot_be_had_is_a_warning() {
    let keys = ["--token-keys", "http://127.0.0.1:9/jwks.json"];
    let redis = ["--redis", "redis://127.0.0.1:9", "--public-url", "http://127.0.0.1:7777"];
    let (code, out, err) = run(&[&["check-config"], &keys[..], &redis[..]].concat(), &[]);
    assert!(code == 0 && out.contains("token_keys = "), "{code}: {err}");
    let warned =
        |what: &str| err.lines().any(|line| line.starts_with(&format!("driftless: warning: {what}")));
    assert!(warned("token_keys: http://127.0.0.1:9/jwks.json: ") && warned("redis: "), "{err}");
}

#[test]
fn who_checks_a_file_without_the_variables_of_the_service_is_told_how_to_see_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("driftless.toml");
    std::fs::write(&file, "listen = \"0.0.0.0:7777\"\n").unwrap();
    let file = file.to_str().unwrap();
    let (code, _, err) = run(&["check-config", "--config", file], &[]);
    assert!(code == 2 && err.contains("without the service's environment") && err.contains(file), "{err}");
    // What is wrong in any case needs no such advice.
    std::fs::write(file, "tick_rate = 0\n").unwrap();
    let (code, _, err) = run(&["check-config", "--config", file], &[]);
    assert!(code == 2 && !err.contains("environment"), "{err}");
}

#[test]
fn a_word_that_does_not_exist_is_answered_with_the_one_that_was_meant_or_none() {
    for (word, hint) in [
        ("sevre", "did you mean serve?"),
        ("serv", "did you mean serve?"),
        ("colour", "see --help"),
        ("--jwks", "did you mean --token-keys?"),
        ("--port", "did you mean --listen?"),
        ("--data-dir", "did you mean --store?"),
        ("--metrics", "see --help"),
        ("--drain-wiat", "did you mean --drain-wait?"),
    ] {
        let (code, _, err) = run(&[word], &[]);
        assert!(code == 2 && err.contains(word) && err.trim_end().ends_with(hint), "{word}: {err}");
    }
}

#[test]
fn with_a_log_in_json_all_that_is_said_is_json() {
    let (code, _, err) =
        run(&["--log-format", "json", "--default-kind", "arena", "--record", "/dev/null/x"], &[]);
    assert_eq!(code, 2, "{err}");
    let line: serde_json::Value = serde_json::from_str(err.trim_end()).unwrap();
    assert!(line["level"] == "ERROR" && line["message"].as_str().unwrap().contains("/dev/null/x"), "{line}");
}

#[test]
fn an_upgrade_of_what_is_no_server_says_so() {
    let pid = std::process::id().to_string();
    let (code, _, err) = run(&["upgrade", "--pid", &pid], &[]);
    assert!(code == 1 && err.contains("it is no Driftless server"), "{err}");
}

#[test]
fn what_cannot_be_printed_has_failed() {
    for args in [&["check-config"][..], &["default-config"], &["man"], &["completions", "bash"], &["--help"]]
    {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = driftless(args, &[]).stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
        assert!(said.contains("cannot write to standard output: No space left"), "{args:?}: {said}");
    }
}

#[test]
fn help_tells_options_environment_and_exit_codes() {
    let (code, out, _) = run(&["--help"], &[]);
    assert_eq!(code, 0);
    for word in ["check-config", "replay", "--listen", "DRIFTLESS_LISTEN", "127.0.0.1:7777", "Exit codes"] {
        assert!(out.contains(word), "{word} is not in\n{out}");
    }
}

/// A file that sets nothing, and once its lines are no comments any more, the defaults.
#[test]
fn the_default_configuration_is_a_file_that_changes_nothing() {
    let (code, file, _) = run(&["default-config"], &[]);
    assert_eq!(code, 0);
    assert!(file.lines().all(|line| line.is_empty() || line.starts_with('#') && line.len() <= 110), "{file}");
    let settings: String = file
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|line| line.starts_with(|c: char| c.is_lowercase())))
        .filter(|line| !line.ends_with("# not set"))
        .map(|line| format!("{line}\n"))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let values = |text: &str| {
        let path = folder.path().join("driftless.toml");
        std::fs::write(&path, text).unwrap();
        let (code, out, err) = run(&["check-config", "--config", path.to_str().unwrap()], &[]);
        assert_eq!(code, 0, "{err}");
        out.lines().map(|line| line.split(" # ").next().unwrap().trim().to_owned()).collect::<Vec<_>>()
    };
    assert!(settings.lines().count() > 40, "{settings}");
    let defaults = values("");
    assert_eq!(values(&file), defaults);
    assert_eq!(values(&settings), defaults);
    for setting in &defaults {
        let key = setting.trim_start_matches("# ").split(' ').next().unwrap();
        assert!(file.contains(&format!("\n#{key} = ")), "{key}");
    }
}

/// Or Cargo would take a build by `dev` and one by hand for two, and compile the server for each.
#[test]
#[cfg(unix)]
fn dev_builds_without_what_cargo_run_has_told_it_of_the_package() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("Cargo.toml"), "").unwrap();
    std::fs::write(at("cargo"), "#!/bin/sh\nenv >environment\nexit 1\n").unwrap();
    std::fs::set_permissions(at("cargo"), std::fs::Permissions::from_mode(0o755)).unwrap();
    let cargo = at("cargo");
    let told = [("CARGO_MANIFEST_DIR", "x"), ("CARGO_PKG_NAME", "x"), ("OUT_DIR", "x"), ("KEPT", "x")];
    let mut dev = driftless(&["dev"], &told);
    let mut dev = dev.env("CARGO", &cargo).current_dir(&folder).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(dev.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("it does not compile")));
    dev.kill().unwrap();
    dev.wait().unwrap();
    let environment = std::fs::read_to_string(at("environment")).unwrap();
    let has = |prefix: &str| environment.lines().any(|line| line.starts_with(prefix));
    assert!(has("KEPT="), "{environment}");
    for told in ["CARGO_MANIFEST_", "CARGO_PKG_", "CARGO_BIN_", "OUT_DIR="] {
        assert!(!has(told), "{told}: {environment}");
    }
}

#[test]
fn shells_and_man_learn_every_option_and_no_secret() {
    let secret = [("DRIFTLESS_ADMIN_TOKEN", "correct-horse-battery")];
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = run(&["completions", shell], &secret);
        assert!(code == 0 && script.contains("drain-spread") && script.contains("check-config"), "{script}");
        assert!(!script.contains("horse") && !script.contains("carry"), "{script}");
    }
    let (code, page, _) = run(&["man"], &secret);
    assert!(code == 0 && page.starts_with(".") && page.contains("DRIFTLESS_DRAIN_SPREAD"), "{page}");
    assert!(!page.contains("horse"), "{page}");
    // Each page that a page names can be had.
    let named = |page: &str| -> Vec<String> {
        let words = page.split_whitespace().filter_map(|word| word.split_once("(1)")).map(|(word, _)| word);
        words
            .filter_map(|word| word.replace('\\', "").strip_prefix("driftless-").map(str::to_owned))
            .collect()
    };
    let mut pages = named(&page);
    assert!(pages.len() > 10, "{pages:?}");
    while let Some(command) = pages.pop() {
        let (code, page, err) = run(&["man", &command], &[]);
        assert!(code == 0 && page.contains(&format!(".TH driftless-{command}")), "{command}: {err}{page}");
        pages.extend(named(&page));
    }
    let (code, _, err) = run(&["man", "stor"], &[]);
    assert!(code == 2 && err.contains("store-export"), "{err}");
    assert_eq!(run(&["completions", "cmd.com"], &[]).0, 2);
}

#[test]
fn a_recording_that_cannot_be_read_exits_with_2() {
    let (code, _, err) = run(&["replay", "/nowhere.rec"], &[]);
    assert!(code == 2 && err.contains("/nowhere.rec"), "{err}");
    let (code, _, err) = run(&["replay", env!("CARGO_MANIFEST_PATH")], &[]);
    assert!(code == 2 && err.contains("not a recording"), "{err}");
}

#[test]
fn the_address_is_printed_and_sigterm_ends_with_0() {
    let mut command = driftless(&["--listen", "127.0.0.1:0", "--workers", "1"], &[]);
    let mut server = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("http://127.0.0.1:"), "{line:?}");
    // SAFETY: kill takes two numbers; the process is a child that has not been waited for.
    let killed = unsafe { libc::kill(server.id() as i32, libc::SIGTERM) };
    assert_eq!(killed, 0);
    assert_eq!(server.wait().unwrap().code(), Some(0));
}
