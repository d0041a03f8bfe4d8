//! Settings: which source takes precedence, what is refused, and what the operator is told.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use clap::Parser;
use driftless_server::{
    cli::{self, Cli, Task},
    config::{Config, ConfigError, Options, Origin, Resolved, check_environment},
    telemetry::LogFormat,
};
use driftless_sim::{
    GameKind,
    games::{self, cursors::Cursors},
};
use proptest::prelude::*;
use std::{io::Write, path::PathBuf, time::Duration};

fn serve(args: &[&str]) -> Result<Resolved, ConfigError> {
    match cli::parse([&["driftless"], args].concat(), &games::kinds(), false) {
        Ok(Task::Serve(resolved)) => resolved.map(|resolved| *resolved),
        other => panic!("not to be served: {other:?}"),
    }
}

fn refused(args: &[&str]) -> String {
    serve(args).expect_err("must be refused").to_string()
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn origin(resolved: &Resolved, key: &str) -> Origin {
    resolved.settings.iter().find(|s| s.provenance.key == key).unwrap().provenance.origin.clone()
}

#[test]
fn nothing_given_is_the_default() {
    let default = Config { default_kind: Some("arena".to_owned()), ..Config::default() };
    assert_eq!(serve(&[]).unwrap().config, default);
    assert_eq!(serve(&["serve"]).unwrap().config, default);
}

/// Each command-line option is a setting and vice versa: none is forgotten.
#[test]
fn every_option_is_resolved() {
    let resolved = serve(&[]).unwrap();
    let mut settings: Vec<&str> = resolved.settings.iter().map(|s| s.provenance.key).collect();
    let command = <Options as clap::Args>::augment_args(clap::Command::new("x"));
    let mut options: Vec<&str> = command.get_arguments().map(|arg| arg.get_id().as_str()).collect();
    settings.sort_unstable();
    options.sort_unstable();
    assert_eq!(settings, options);
    for argument in command.get_arguments() {
        let key = argument.get_id().as_str();
        let variable = argument.get_env().and_then(|name| name.to_str());
        assert_eq!(variable, Some(&*format!("DRIFTLESS_{}", key.to_uppercase())));
        let help = argument.get_help().unwrap().to_string();
        assert!(help.contains("[default: "), "{key} does not tell its default: {help}");
    }
}

/// The defaults in the help are the real ones.
#[test]
fn the_help_tells_the_true_defaults() {
    let resolved = serve(&[]).unwrap();
    let command = <Options as clap::Args>::augment_args(clap::Command::new("x"));
    // That of the kind of game depends on the program: see `a_program_offers_its_own_games_alone`.
    for setting in resolved.settings.iter().filter(|setting| setting.provenance.key != "default_kind") {
        let key = setting.provenance.key;
        let help = command.get_arguments().find(|arg| arg.get_id() == key).unwrap().get_help().unwrap();
        let value = setting.value.as_deref().unwrap_or("none");
        assert!(help.to_string().contains(&format!("[default: {value}]")), "{key} is {value}: {help}");
    }
}

#[test]
fn a_program_offers_its_own_games_alone() {
    let games = [GameKind::of::<Cursors>()];
    let parse = |args: &[&str]| match cli::parse([&["./bin/pointers"], args].concat(), &games, false) {
        Ok(Task::Serve(resolved)) => resolved.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
        other => panic!("not to be served: {other:?}"),
    };
    let resolved = parse(&[]).unwrap();
    assert_eq!(resolved.config.default_kind.as_deref(), Some("cursors"));
    assert!(resolved.to_string().contains("default_kind = \"cursors\""), "{resolved}");
    let refused = parse(&["--default-kind", "arena"]).unwrap_err();
    assert!(refused.ends_with("but must be one of cursors"), "{refused}");
    let help = parse(&["--help"]).unwrap_err();
    assert!(help.contains("Usage: pointers [OPTIONS]") && help.contains("[default: cursors]"), "{help}");
    let version = parse(&["--version"]).unwrap_err();
    assert!(version.starts_with("pointers (Driftless "), "{version}");
}

#[test]
fn a_flag_wins_over_the_file_and_the_file_over_the_default() {
    let file = file("tick_rate = 30\nmax_players = 8\nlinger = '1m 30s'\nlog_format = 'json'\n");
    let path = file.path().to_str().unwrap();
    let resolved = serve(&["serve", "--config", path, "--tick-rate", "60"]).unwrap();
    let config = &resolved.config;
    assert_eq!((config.tick_rate, config.max_players, config.max_rooms), (60, 8, 10_000));
    assert_eq!((config.linger, config.log_format), (Duration::from_secs(90), LogFormat::Json));
    assert_eq!(origin(&resolved, "tick_rate"), Origin::Flag);
    assert_eq!(origin(&resolved, "max_players"), Origin::File(PathBuf::from(path)));
    assert_eq!(origin(&resolved, "max_rooms"), Origin::Default);
}

#[test]
fn a_bad_value_names_the_key_the_value_its_source_and_what_is_allowed() {
    assert_eq!(
        refused(&["--tick-rate", "0"]),
        "tick_rate is \"0\" (from flag --tick-rate), but must be a whole number from 1 to 128"
    );
    let file = file("message_bytes = '1GiB'\n");
    let path = file.path().to_str().unwrap();
    assert_eq!(
        refused(&["--config", path]),
        format!(
            "message_bytes is \"1GiB\" (from file {path}), but must be a size from 256B to 16MiB, such as 4096 or 16KiB"
        )
    );
    assert_eq!(
        refused(&["--default-kind", "chess"]),
        "default_kind is \"chess\" (from flag --default-kind), but must be one of arena, cursors, hands"
    );
}

#[test]
fn bad_values_are_refused() {
    for (flag, value) in [
        ("--listen", "localhost"),
        ("--listen", "127.0.0.1:70000"),
        ("--tick-rate", "129"),
        ("--tick-rate", "20.5"),
        ("--tick-rate", ""),
        ("--workers", "0"),
        ("--linger", "30"),
        ("--linger", "25h"),
        ("--timeout", "1ms"),
        ("--log", "a=b=c"),
        ("--log-format", "xml"),
        ("--insecure=maybe", "--insecure=maybe"),
        ("--record", "/dev/null"),
    ] {
        let args = if flag == value { vec![flag] } else { vec![flag, value] };
        let error = refused(&args);
        let key = flag.trim_start_matches('-').split('=').next().unwrap().replace('-', "_");
        assert!(error.starts_with(&format!("{key} is ")), "{args:?}: {error}");
    }
}

#[test]
fn what_is_quoted_is_what_was_written() {
    let said = refused(&["--durability", "arena=journal"]);
    assert!(said.starts_with("durability is \"arena=journal\" (from flag --durability)"), "{said}");
}

#[test]
fn a_text_without_quotes_is_told_so_without_its_value() {
    let file = file("listen = 127.0.0.1:0\n");
    let said = refused(&["--config", file.path().to_str().unwrap()]);
    assert!(said.ends_with("a text needs quotes, as in listen = \"...\"") && !said.contains("127"), "{said}");
}

#[test]
fn what_would_have_no_effect_is_refused() {
    let said = refused(&["--region", "eu west"]);
    assert!(said.contains("a word, without spaces"), "{said}");
    let said = refused(&["--quic", "off", "--quic-certificate", "a.pem", "--quic-key", "a.key"]);
    assert!(said.contains("left out while quic is off"), "{said}");
}

#[test]
fn a_heartbeat_must_be_shorter_than_the_timeout() {
    let error = refused(&["--timeout", "3s"]);
    assert_eq!(error, "heartbeat is \"4s\" (from default), but must be less than the timeout, which is 3s");
    serve(&["--timeout", "3s", "--heartbeat", "1s"]).unwrap();
}

#[test]
fn an_address_that_others_reach_needs_insecure() {
    for listen in ["0.0.0.0:7777", "[::]:7777", "192.0.2.1:80"] {
        let error = refused(&["--listen", listen]);
        assert!(error.contains(listen) && error.contains("--insecure"), "{error}");
        assert!(serve(&["--insecure", "--listen", listen]).unwrap().config.insecure);
    }
    for listen in ["127.0.0.1:0", "[::1]:7777", "127.9.9.9:1"] {
        serve(&["--listen", listen]).unwrap();
    }
}

#[test]
fn a_file_with_an_unknown_key_is_refused_with_its_name() {
    let file = file("tick_rate = 20\ntickrate = 30\n");
    let error = refused(&["--config", file.path().to_str().unwrap()]);
    assert!(error.ends_with(": line 2: tickrate is not a setting: did you mean tick_rate?"), "{error}");
    let file = self::file("[rooms]\nlinger = '1s'\n");
    let error = refused(&["--config", file.path().to_str().unwrap()]);
    assert!(error.contains(": line 1: [rooms] is a section, and this file has none"), "{error}");
}

#[test]
fn a_list_may_be_written_as_one() {
    let file = file("trusted_proxy = ['127.0.0.1', '10.0.0.0/8']\nallow_origin = ['https://a.example']\n");
    let config = serve(&["--config", file.path().to_str().unwrap()]).unwrap().config;
    let flags = ["--trusted-proxy", "127.0.0.1, 10.0.0.0/8", "--allow-origin", "https://a.example"];
    assert_eq!(config, serve(&flags).unwrap().config);
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let said = refused(&["--tick-rate", "0", "--linger", "30"]);
    assert_eq!(
        said.lines().map(|line| line.split(' ').next().unwrap()).collect::<Vec<_>>(),
        ["tick_rate", "linger"]
    );
    let said = refused(&["--timeout", "3s", "--durability", "journal", "--log", "blah"]);
    let lines: Vec<_> = said.lines().collect();
    assert!(lines[0].starts_with("heartbeat is") && lines[1].starts_with("durability is"), "{said}");
    assert!(
        lines[2].starts_with("log is \"blah\" (from flag --log), but must be levels and TARGET=LEVEL"),
        "{said}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_without_its_secrets() {
    let file = file("tick_rate = 20\nadmin_token = correct-horse-battery\n");
    let error = refused(&["--config", file.path().to_str().unwrap()]);
    assert!(error.contains(": line 2: ") && !error.contains("horse"), "{error}");
}

#[test]
fn a_variable_with_a_letter_wrong_is_refused_and_those_of_others_are_not() {
    let check = |name: &str| check_environment([name.to_owned()]).map_err(|error| error.to_string());
    for (name, meant) in [
        ("DRIFTLESS_TICKRATE", "DRIFTLESS_TICK_RATE"),
        ("DRIFTLESS_TIMOUT", "DRIFTLESS_TIMEOUT"),
        ("DRIFTLESS_tick_rate", "DRIFTLESS_TICK_RATE"),
    ] {
        let error = format!("environment: {name} is not a setting: did you mean {meant}?");
        assert_eq!(check(name), Err(error));
    }
    for name in [
        "PATH",
        "DRIFTLESS_",
        "DRIFTLESS_CONFIG",
        "DRIFTLESS_TICK_RATE",
        // What Kubernetes sets for a service with our name.
        "DRIFTLESS_PORT",
        "DRIFTLESS_PORT_7777_TCP_ADDR",
        "DRIFTLESS_SERVICE_HOST",
        "DRIFTLESS_SERVICE_PORT_HTTP",
    ] {
        assert_eq!(check(name), Ok(()));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = refused(&["--config", "/nowhere/driftless.toml"]);
    assert!(error.starts_with("/nowhere/driftless.toml: "), "{error}");
}

#[test]
fn a_certificate_needs_its_key_and_both_must_be_usable() {
    assert_eq!(
        refused(&["--tls-certificate", "cert.pem"]),
        "tls_certificate is \"cert.pem\" (from flag --tls-certificate), but must be set together with tls_key, which is not set"
    );
    assert_eq!(
        refused(&["--tls-key", "key.pem"]),
        "tls_key is \"key.pem\" (from flag --tls-key), but must be set together with tls_certificate, which is not set"
    );
    let error = refused(&["--tls-certificate", "/nowhere/cert.pem", "--tls-key", "/nowhere/key.pem"]);
    assert!(error.starts_with("tls_certificate and tls_key: /nowhere/cert.pem: No such file"), "{error}");
    // TLS does not replace authentication.
    let error = refused(&["--listen", "0.0.0.0:1", "--tls-certificate", "cert.pem", "--tls-key", "key.pem"]);
    assert!(error.contains("--insecure"), "{error}");
}

#[test]
fn the_admin_token_is_a_secret() {
    let resolved = serve(&["--admin-token", "correct-horse-battery"]).unwrap();
    assert!(resolved.config.admin_token.is_some());
    assert!(!resolved.to_string().contains("horse") && !format!("{resolved:?}").contains("horse"));
    assert!(resolved.to_string().contains("# admin_token is set, but not shown"), "{resolved}");
    let error = refused(&["--admin-token", "short-horse"]);
    assert!(error.contains("at least 16") && !error.contains("horse"), "{error}");
}

/// What `check-config` prints is a file that gives the same configuration.
#[test]
fn a_printed_configuration_can_be_read() {
    let first = serve(&["--tick-rate", "33", "--record", "/tmp", "--reliable-bytes", "5000"]).unwrap();
    let printed = file(&first.to_string());
    let second = serve(&["--config", printed.path().to_str().unwrap()]).unwrap();
    assert_eq!(first.config, second.config);
    assert!(first.to_string().contains("# flag --tick-rate"), "{first}");
}

#[test]
fn unknown_arguments_are_refused() {
    for args in [&["driftless", "--tickrate", "20"][..], &["driftless", "fly"], &["driftless", "replay"]] {
        assert!(Cli::try_parse_from(args).is_err(), "{args:?}");
    }
}

proptest! {
    /// Any text for any option is read or refused; nothing panics.
    #[test]
    fn any_text_is_read_or_refused(
        flag in prop::sample::select(vec!["tick-rate", "linger", "message-bytes", "log", "quic", "log-format"]),
        text in ".{0,30}",
    ) {
        let _ = serve(&[&format!("--{flag}={text}")]);
    }

    /// Any file is read or refused.
    #[test]
    fn any_file_is_read_or_refused(text in "(tick_rate|linger|log)? ?=? ?[-0-9a-z'\"\\[\\].\n]{0,30}") {
        let file = file(&text);
        let _ = Options::default().read_file(file.path());
    }
}
