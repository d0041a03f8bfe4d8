//! A server that cannot start says in one line what is wrong and what to do about it, before anything is
//! started or created.

#![allow(unsafe_code, reason = "makes a named pipe")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs::{self, Permissions},
    net::{TcpListener, UdpSocket},
    os::unix::fs::{PermissionsExt as _, symlink},
    process::{Command, Output},
};
use util::process::{command, limited};

/// Runs it to its end, which must be an error of one line. Returns the exit code and the line.
#[track_caller]
fn refused(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "", "{said}");
    assert!(said.starts_with("driftless: ") && said.lines().count() == 1, "{said}");
    (status.code().expect("no signal"), said)
}

#[test]
fn a_port_in_use_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let recordings = tempfile::tempdir().unwrap().path().join("recordings");
    let record = recordings.to_str().unwrap();
    let (code, said) = refused(command(&["--listen", &address, "--record", record]));
    assert_eq!(code, 1);
    assert!(said.contains(&address) && said.contains("--listen") && said.contains("another port"), "{said}");
    assert!(!recordings.exists(), "nothing is made for a server that does not start");
}

#[test]
fn a_port_in_use_for_quic_is_named_with_its_option() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(command(&["--listen", "127.0.0.1:0", "--quic", &address]));
    assert_eq!(code, 1);
    assert!(said.contains(&address) && said.contains("--quic"), "{said}");
}

/// Whatever the limit is, the server starts or says what it needs; it never fails halfway.
#[test]
fn too_few_open_files_are_told_with_how_many_are_needed() {
    for files in [12, 20, 40, 75] {
        let (code, said) =
            refused(limited(files, &["--listen", "127.0.0.1:0", "--threads", "2", "--workers", "1"]));
        assert_eq!(code, 1, "{files}");
        assert!(said.contains(&format!("{files} files")) && said.contains("ulimit -n"), "{said}");
    }
    let enough =
        limited(76, &["--listen", "127.0.0.1:0", "--threads", "2", "--workers", "1", "--log", "error"]);
    let server = util::process::Process::of(enough);
    assert_eq!(util::http::get(server.address(), "/livez").status, 200);
}

#[test]
fn a_recording_folder_that_cannot_be_written_is_named() {
    // Not even root can write there.
    let (code, said) = refused(command(&["--listen", "127.0.0.1:0", "--record", "/proc/self"]));
    assert_eq!(code, 2);
    assert!(said.contains("/proc/self") && said.contains("--record"), "{said}");
}

#[test]
fn what_rooms_cannot_be_carried_in_is_named_and_left_as_it_is() {
    let said = log_of(&["--redis", "redis://127.0.0.1:1", "--durability", "checkpoint"]);
    assert!(said.contains("kept in Redis (checkpoint)"), "{said}");
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir(at("folder")).unwrap();
    let pipe = CString::new(at("pipe").to_str().unwrap()).unwrap();
    // SAFETY: the path is a C string that lives through the call.
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let write = |name: &str, bytes: &[u8], mode| {
        fs::write(at(name), bytes).unwrap();
        fs::set_permissions(at(name), Permissions::from_mode(mode)).unwrap();
    };
    write("conf.toml", b"tick_rate = 30\n", 0o600);
    write("empty", b"", 0o600);
    write("shared", b"DRIFTCA\x02", 0o620);
    write("private", b"DRIFTCA\x02", 0o600);
    // Left over from a server that ended while it started.
    write("foreign.taken", b"notes", 0o600);
    symlink(at("private"), at("link")).unwrap();
    let large = fs::File::create(at("large")).unwrap();
    large.set_len((1 << 30) + 1).unwrap();
    fs::set_permissions(at("large"), Permissions::from_mode(0o600)).unwrap();
    let names = || {
        let names = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
        names.collect::<BTreeSet<_>>()
    };
    let before = names();

    for (name, expected) in [
        ("missing/rooms", "No such file"),
        ("folder", "not a regular file"),
        ("pipe", "not a regular file"),
        ("conf.toml", "not a file of carried rooms"),
        ("empty", "not a file of carried rooms"),
        ("foreign", "not a file of carried rooms"),
        ("shared", "other users may write"),
        ("link", "symbolic link"),
        ("large", "larger than 1 GiB"),
    ] {
        let file = at(name);
        let (code, said) = refused(command(&["--listen", "127.0.0.1:0", "--carry", file.to_str().unwrap()]));
        assert_eq!(code, 2, "{said}");
        let named = said.contains(file.to_str().unwrap()) && said.contains("--carry");
        assert!(named && said.contains(expected), "{name}: {said}");
    }
    assert_eq!(names(), before);
    assert_eq!(fs::read(at("conf.toml")).unwrap(), b"tick_rate = 30\n");
    // Not even root can write there.
    let (code, said) = refused(command(&["--listen", "127.0.0.1:0", "--carry", "/proc/self/rooms"]));
    assert!(code == 2 && said.contains("/proc/self/rooms") && said.contains("--carry"), "{said}");
}

#[test]
fn a_certificate_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("certificate.pem");
    fs::write(&file, "no certificate").unwrap();
    let file = file.to_str().unwrap();
    let (code, said) = refused(command(&["--tls-certificate", file, "--tls-key", file]));
    assert_eq!(code, 2);
    assert!(said.contains(file), "{said}");
}

/// What would keep a server from starting is found without starting one, all of it.
#[test]
fn what_serve_refuses_check_config_refuses_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("short.key"), "short").unwrap();
    fs::create_dir(at("store")).unwrap();
    fs::write(at("store/letter"), "of somebody else").unwrap();
    fs::set_permissions(at("store"), Permissions::from_mode(0o755)).unwrap();
    let keys = format!("{}, secret:{}", at("none.key"), at("short.key"));
    let args = ["--listen", "127.0.0.1:0", "--token-keys", &keys, "--store", &at("store")];
    let Output { status, stdout, stderr } =
        command(&[&["check-config"], &args[..]].concat()).output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!((status.code(), stdout), (Some(2), Vec::new()), "{said}");
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    for (line, told) in lines.iter().zip(["No such file", "head -c 32 /dev/urandom", "chmod 700"]) {
        assert!(line.starts_with("driftless: ") && line.contains(told), "{line}");
    }
    let (_, first) = refused(command(&args));
    assert_eq!(first.trim_end(), lines[0], "serve says the same");
}

/// What a server says while it starts and stops.
fn log_of(args: &[&str]) -> String {
    let mut command = command(&["--listen", "127.0.0.1:0"]);
    command.args(args);
    let mut server = util::process::Process::of(command);
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait().0.code(), Some(0));
    server.kill()
}

#[test]
fn who_may_play_and_what_is_kept_is_said_at_the_start_and_warned_of_if_nobody_said_so() {
    const WARNING: &str = "everybody who reaches https://play.example.org may play as a guest";
    let public = ["--public-url", "https://play.example.org"];
    let said = log_of(&public);
    assert!(said.contains(WARNING) && said.contains("set token_keys, or guests = \"yes\""), "{said}");
    assert!(said.contains("everybody, as guests") && said.contains("end with the server"), "{said}");
    for more in [&["--guests", "yes"][..], &["--insecure"]] {
        let said = log_of(&[&public, more].concat());
        assert!(!said.contains(WARNING), "they said so: {said}");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    fs::write(at("token.key"), "a secret for tests, of 32 bytes or more").unwrap();
    let keys = [
        "--token-keys",
        &format!("secret:{}", at("token.key")),
        "--store",
        &at("rooms"),
        "--durability",
        "journal",
    ];
    let said = log_of(&[&public, &keys[..]].concat());
    assert!(!said.contains(WARNING) && said.contains("with tokens (1 keys read), no guests"), "{said}");
    assert!(said.contains(&format!("kept in {} (journal)", at("rooms"))), "{said}");
}

#[test]
fn a_room_that_goes_on_is_not_said_to_be_made() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("rooms");
    let args = ["--listen", "127.0.0.1:0", "--store", store.to_str().unwrap(), "--durability", "checkpoint"];
    let log = |make: bool| {
        let mut server = util::process::Process::of(command(&args));
        if make {
            let made = util::http::send(
                server.address(),
                "POST",
                "/v1/rooms",
                &server.authorization(),
                r#"{"name":"world"}"#,
            );
            assert_eq!(made.status, 201);
        }
        server.signal(libc::SIGTERM);
        assert_eq!(server.wait().0.code(), Some(0));
        server.kill()
    };
    assert!(log(true).contains("room created"));
    let said = log(false);
    assert!(said.contains("the room goes on") && !said.contains("room created"), "{said}");
}

#[test]
fn the_dashboard_is_where_operators_reach_it() {
    let server = util::process::Process::start(&["--public-url", "https://play.example.org"]);
    assert!(
        server.dashboard().starts_with("https://play.example.org/dashboard#token="),
        "{}",
        server.dashboard()
    );
}

#[test]
fn a_misspelt_option_is_told_with_the_one_that_was_meant() {
    for (args, expected) in [
        (&["--tickrate", "30"][..], "unknown option --tickrate: did you mean --tick-rate?"),
        (&["serve", "--tickrate=30"], "unknown option --tickrate: did you mean --tick-rate?"),
        (&["chek-config"], "unknown command chek-config: did you mean check-config?"),
        (&["fly"], "unknown command fly: see --help"),
        (&["--fly"], "unknown option --fly: see --help"),
    ] {
        let (code, said) = refused(command(args));
        assert_eq!((code, said.trim_end()), (2, &*format!("driftless: {expected}")), "{args:?}");
    }
}
