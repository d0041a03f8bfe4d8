//! A reader that does not read the server's output does not block it, and strangers cannot flood its log.

#![allow(unsafe_code, reason = "a signal for a child, and a pipe that does not block")]
#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

mod util;

use driftless_proto::code::CloseCode;
use std::{
    io::{BufRead, BufReader, PipeReader, PipeWriter, Read, Write, pipe},
    net::SocketAddr,
    os::fd::AsRawFd,
    process::{Child, Stdio},
    sync::mpsc,
    thread::{self, JoinHandle},
};
use util::{PATIENCE, Player, Socket, eventually, http, process, until};

/// The real binary on a free port. Killed when dropped.
struct Server(Child);

impl Server {
    fn start(stdout: impl Into<Stdio>, stderr: impl Into<Stdio>) -> Self {
        let args = ["--listen", "127.0.0.1:0", "--workers", "1", "--drain-spread", "0s"];
        Self(process::command(&args).stdout(stdout).stderr(stderr).spawn().unwrap())
    }

    /// What only a server that is not blocked does: it answers, lets players join, and ends when told to.
    #[track_caller]
    fn serves_and_stops(mut self, address: SocketAddr) {
        assert_eq!(http::get(address, "/livez").status, 200);
        for room in ["a", "b", "c"] {
            Player::join(address, room).leave();
        }
        self.stops();
    }

    #[track_caller]
    fn stops(&mut self) {
        // SAFETY: kill takes two numbers; the process is a child that has not been waited for.
        assert_eq!(unsafe { libc::kill(self.0.id() as i32, libc::SIGTERM) }, 0);
        let status = eventually("the server stops", || self.0.try_wait().unwrap());
        assert_eq!(status.code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Reads the whole output, and finds where the server listens.
fn read(from: PipeReader) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let (found, address) = mpsc::channel();
    let reader = thread::spawn(move || {
        let said = BufReader::new(from).lines().map(Result::unwrap);
        let tell = |line: &String| {
            if let Some((_, rest)) = line.split_once(" and http://") {
                let address = rest.split([' ', ',']).next().unwrap();
                let _ = found.send(address.parse().unwrap());
            }
        };
        said.inspect(tell).collect()
    });
    (address.recv_timeout(PATIENCE).expect("the server says where it listens"), reader)
}

#[test]
fn an_unread_standard_error_holds_nobody_up() {
    let (stdout, say) = pipe().unwrap();
    let (_unread, full) = full_pipe();
    let server = Server::start(say, full);
    server.serves_and_stops(read(stdout).0);
}

#[test]
fn an_unread_standard_output_holds_nobody_up() {
    let (stderr, say) = pipe().unwrap();
    let (_unread, full) = full_pipe();
    let server = Server::start(full, say);
    server.serves_and_stops(read(stderr).0);
}

#[test]
fn a_closed_standard_error_does_no_harm_and_is_counted() {
    let (stdout, say) = pipe().unwrap();
    let (closed, write) = pipe().unwrap();
    drop(closed);
    let server = Server::start(say, write);
    let (address, _) = read(stdout);
    until("lines are counted", || {
        http::get(address, "/metrics").metric("driftless_log_lines_dropped_total") > 0.0
    });
    server.serves_and_stops(address);
}

#[test]
fn lines_that_waited_for_a_reader_and_those_before_the_exit_are_written() {
    let (stdout, say) = pipe().unwrap();
    let (mut stderr, full) = full_pipe();
    let mut server = Server::start(say, full);
    Player::join(read(stdout).0, "lobby").leave();
    let reader = thread::spawn(move || {
        let mut said = String::new();
        stderr.read_to_string(&mut said).unwrap();
        said
    });
    server.stops();
    let said = reader.join().unwrap();
    assert!(said.contains("room created") && said.contains("stopping"), "{}", said.trim_start_matches('.'));
}

#[test]
fn strangers_who_break_the_rules_write_a_few_lines_a_second() {
    const STRANGERS: u64 = 200;
    let (stderr, say) = pipe().unwrap();
    let server = Server::start(Stdio::null(), say);
    let (address, reader) = read(stderr);
    for _ in 0..STRANGERS {
        let mut stranger = Socket::connect(address);
        stranger.send(&[0xFF]).unwrap();
        assert_eq!(stranger.close_code(), Some(CloseCode::Malformed.number()));
    }
    server.serves_and_stops(address);
    let lines = reader.join().unwrap();
    let written = lines.iter().filter(|line| line.contains("malformed")).count() as u64;
    let left_out = lines.iter().filter(|line| line.contains("were left out"));
    let left_out: u64 =
        left_out.map(|line| line.rsplit("more=").next().unwrap().parse::<u64>().unwrap()).sum();
    assert!(written < STRANGERS && written + left_out >= STRANGERS, "{written} and {left_out}");
}

/// Both ends of a pipe that is completely full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = pipe().unwrap();
    set_nonblocking(&writer, true);
    // A write that is longer than the space left writes a part or nothing.
    for chunk in [&[b'.'; 4096][..], b"."] {
        while writer.write(chunk).is_ok() {}
    }
    set_nonblocking(&writer, false);
    (reader, writer)
}

fn set_nonblocking(file: &impl AsRawFd, on: bool) {
    let flags = if on { libc::O_NONBLOCK } else { 0 };
    // SAFETY: fcntl with F_SETFL takes numbers; the descriptor is open while `file` lives.
    assert_ne!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) }, -1);
}
