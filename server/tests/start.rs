//! A server that cannot start says in one line what is wrong and what to do about it, before anything is
//! started or created.

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use std::{
    fs,
    net::{TcpListener, UdpSocket},
    os::unix::process::CommandExt as _,
    process::{Command, Output},
};
use util::process::command;

/// Runs it to its end, which must be an error of one line. Returns the exit code and the line.
#[track_caller]
fn refused(mut command: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = command.output().expect("the binary runs");
    let said = String::from_utf8(stderr).unwrap();
    assert_eq!(String::from_utf8(stdout).unwrap(), "", "{said}");
    assert!(said.starts_with("driftless: ") && said.lines().count() == 1, "{said}");
    (status.code().expect("no signal"), said)
}

/// With this limit of open files.
fn limited(files: u64, args: &[&str]) -> Command {
    let mut command = command(args);
    let limit = libc::rlimit { rlim_cur: files, rlim_max: files };
    // SAFETY: setrlimit is async-signal-safe and reads a struct that the closure owns.
    unsafe {
        command.pre_exec(move || match libc::setrlimit(libc::RLIMIT_NOFILE, &limit) {
            0 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    command
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
    for files in [12, 20, 40, 69] {
        let (code, said) =
            refused(limited(files, &["--listen", "127.0.0.1:0", "--threads", "2", "--workers", "1"]));
        assert_eq!(code, 1, "{files}");
        assert!(said.contains(&format!("{files} files")) && said.contains("ulimit -n"), "{said}");
    }
    let enough =
        limited(70, &["--listen", "127.0.0.1:0", "--threads", "2", "--workers", "1", "--log", "error"]);
    let server = util::process::Process::of(enough);
    assert_eq!(util::http::get(server.address(), "/healthz").status, 200);
}

#[test]
fn a_recording_folder_that_cannot_be_written_is_named() {
    // Not even root can write there.
    let (code, said) = refused(command(&["--listen", "127.0.0.1:0", "--record", "/proc/self"]));
    assert_eq!(code, 2);
    assert!(said.contains("/proc/self") && said.contains("--record"), "{said}");
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
