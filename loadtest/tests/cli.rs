//! The program from outside: what it prints and how it ends.

#![allow(clippy::unwrap_used)]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::{Command, Output},
    thread::JoinHandle,
};

fn loadtest(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_loadtest")).args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_floor_is_one_json_object_on_standard_output() {
    let output =
        loadtest(&["floor", "--clients", "40", "--rooms", "3", "--duration", "500ms", "--json", "-"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let figures: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(figures["clients"], 40);
    assert!(figures["cpu_us_per_client_tick"].as_f64().unwrap() > 0.0);
    assert!(stderr(&output).contains("CPU µs a client-tick"), "the table goes to standard error then");
}

#[test]
fn too_few_open_files_is_said_before_anything_starts() {
    let output = loadtest(&["floor", "--clients", "1000000"]);
    // Where the hard limit is that high, there are not that many ports.
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("1000064 open files") && text.contains("ulimit -Hn"), "{text}");
}

#[test]
fn a_server_that_is_not_there_is_named() {
    // Port 9 of loopback is discard: nobody listens on it here.
    let output = loadtest(&["run", "--url", "ws://127.0.0.1:9", "--clients", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("http://127.0.0.1:9/v1/rooms"), "{}", stderr(&output));
}

#[test]
fn what_has_tls_is_asked_over_tls_and_other_measurements_say_that_they_speak_none() {
    // It speaks no TLS.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || drop(listener.accept()));
    let url = format!("wss://{address}");
    let output = loadtest(&["run", "--url", &url, "--clients", "1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains(&format!("https://{address}/v1/rooms")), "{}", stderr(&output));
    let output = loadtest(&["run", "--url", &url, "--ca", "/nowhere.pem"]);
    assert!(stderr(&output).contains("--ca /nowhere.pem: No such file"), "{}", stderr(&output));
    let output = loadtest(&["slow", "--url", &url]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("has TLS, which only `run` speaks"), "{}", stderr(&output));
}

#[test]
fn a_bad_trace_is_named_by_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.csv");
    std::fs::write(&file, "tick,id,x,y\n0,1,0,0\n1,1,here,0\n").unwrap();
    let output = loadtest(&["run", "--clients", "1", "--trace", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("bad.csv, line 3: x \"here\" is not a number"), "{}", stderr(&output));
}

#[test]
fn a_bad_requirement_is_refused_before_anything_starts() {
    for (args, said) in [
        (["run", "errors=0"], "it needs one of >= <= == > <"),
        (["run", "delivered_ration>=1"], "did you mean delivered_ratio?"),
        (["slow", "other_gap_during_ms.p99<60"], "did you mean others_gap_during_ms.p99?"),
    ] {
        let output = loadtest(&[args[0], "--require", args[1]]);
        assert_eq!(output.status.code(), Some(2));
        assert!(stderr(&output).contains(said), "{}", stderr(&output));
    }
    let output = loadtest(&["compare", "--direct", "--require", "quic.age_ms.p9<1"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("did you mean quic.age_ms.p99?"), "{}", stderr(&output));
}

#[test]
fn what_bots_do_is_said_and_the_first_bots_game_is_played() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{nobody}");
    for (kind, said) in [
        (&[][..], "bots of arena: each runs straight"),
        (&["--kind", "cursors"], "bots of cursors: each acts on what it sees"),
        (&["--kind", "chess"], "bots of chess: this program has none, so each sends an empty input"),
    ] {
        for command in ["run", "slow"] {
            let output = loadtest(&[&[command, "--url", &url], kind].concat());
            assert!(stderr(&output).contains(said), "{}", stderr(&output));
        }
    }
}

#[test]
fn a_bad_scenario_is_named_by_file_key_and_what_is_allowed() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bad.toml");
    std::fs::write(&file, "[[phase]]\nboth = { loss_percent = 500 }\n").unwrap();
    let output = loadtest(&["link", "--scenario", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("bad.toml: phase 1: both.loss_percent is 500, but must be 0 to 100"), "{text}");
}

#[test]
fn many_sizes_of_room_exclude_what_is_for_one() {
    for (args, named) in [
        (&["--rooms-of", "1,2", "--room-size", "50"][..], "--room-size"),
        (&["--rooms-of", "1,2", "--report", "folder"], "--report"),
        (&["--rooms-of", "1,2", "--server-command", "x", "--server-pid", "1"], "--server-pid"),
        (&["--rooms-of", "1,2", "--against-pid", "1"], "--against <URL>"),
        (&["--rooms-of", "0"], "0 is not in 1..=100000"),
        (&["--passes", "2"], "--rooms-of <SIZES>"),
        (&["--server-command", "x"], "--rooms-of <SIZES>"),
    ] {
        let output = loadtest(&[&["run"], args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(stderr(&output).contains(named), "{args:?}: {}", stderr(&output));
    }
}

#[test]
fn a_server_that_ends_at_once_is_named() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("ws://{free}");
    let output = loadtest(&["run", "--rooms-of", "2", "--url", &url, "--server-command", "sh -c 'exit 3'"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("the server ended at once: exit status: 3"), "{}", stderr(&output));
}

/// Or the bots would play on the server that is there, and the figures would be called the other's.
#[test]
fn no_server_is_started_where_somebody_listens() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", taken.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let command = format!("touch {}", started.display());
    let output = loadtest(&["run", "--rooms-of", "2", "--url", &url, "--server-command", &command]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("something already listens there"), "{}", stderr(&output));
    assert!(!started.exists());
}

/// Answers one request with this, and gives the request.
fn answer_once(status: &str, body: &str) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = String::new();
        let mut part = [0; 1024];
        while !is_whole(&request) {
            let read = stream.read(&mut part).unwrap();
            request += &String::from_utf8_lossy(&part[..read]).to_lowercase();
        }
        stream.write_all(answer.as_bytes()).unwrap();
        request
    });
    (address, serving)
}

fn is_whole(request: &str) -> bool {
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

#[test]
fn rooms_are_made_with_the_games_own_options() {
    let (address, request) = answer_once("400 Bad Request", "bad_options: there is no respwan_s");
    let url = format!("ws://{address}");
    let output = loadtest(&["run", "--clients", "1", "--url", &url, "--room-options", r#"{"respwan_s": 5}"#]);
    let request = request.join().unwrap();
    assert!(request.contains(r#""options":{"respwan_s":5}"#), "{request}");
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("answers 400: bad_options: there is no respwan_s"),
        "{}",
        stderr(&output)
    );
    let output = loadtest(&["run", "--room-options", "[5]"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("'[5]' for '--room-options <JSON>'"), "{}", stderr(&output));
}

#[test]
fn rooms_are_made_with_the_admin_token_of_the_flag_or_the_environment() {
    const TOKEN: &str = "0123456789abcdef";
    for by_flag in [true, false] {
        let (address, request) = answer_once("401 Unauthorized", "no");
        let mut command = Command::new(env!("CARGO_BIN_EXE_loadtest"));
        command.args(["run", "--clients", "1", "--url", &format!("ws://{address}")]);
        command.env_remove("DRIFTLESS_ADMIN_TOKEN");
        let output = match by_flag {
            true => command.args(["--admin-token", TOKEN]),
            false => command.env("DRIFTLESS_ADMIN_TOKEN", TOKEN),
        };
        let output = output.output().unwrap();
        let request = request.join().unwrap();
        assert!(request.starts_with("post /v1/rooms"), "{request}");
        assert!(request.contains(&format!("authorization: bearer {TOKEN}\r\n")), "{request}");
        let text = stderr(&output);
        assert!(text.contains("--admin-token"), "{text}");
        assert!(!text.contains(TOKEN), "a secret is not shown: {text}");
    }
}

#[test]
fn a_link_that_quic_would_go_around_is_refused() {
    let (server, request) = answer_once("200 OK", r#"{"certificates":[],"quic":{"port":7}}"#);
    let output =
        loadtest(&["link", "--scenario", "clean", "--listen", "127.0.0.1:0", "--to", &server.to_string()]);
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(text.contains("port 7, bypassing this link") && text.contains("--public-quic"), "{text}");
    let request = request.join().unwrap();
    assert!(request.contains("host: 127.0.0.1:"), "{request}");
    assert!(!request.contains(&format!("host: {server}")), "asked as its clients ask: {request}");
}
