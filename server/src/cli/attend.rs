//! What a running server is asked for: by SIGTERM and SIGINT to stop, by SIGUSR2 and `driftless upgrade` to
//! be followed by another process.

#![allow(unsafe_code, reason = "calls of the kernel that no crate here wraps")]

use crate::{
    server::{HandedOver, Running},
    shutdown::{self, Signals},
    systemd,
    upgrade::{
        Abilities, Line, Program, Successor, UpgradeError, container,
        control::{Asked, Control, Request},
    },
};
use std::{future::pending, io, time::Duration};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

/// Where orders come from.
pub(super) struct Orders {
    signals: Signals,
    upgrades: Signal,
    control: Option<Control>,
    program: Program,
}

/// What an order says.
enum Order {
    Stop,
    /// With the request, if it was not a signal.
    Upgrade(Option<Request>),
    /// A room is to go on at a node, or at any other.
    Move {
        request: Request,
        room: String,
        node: Option<String>,
    },
}

/// How an upgrade has ended.
enum Upgraded {
    /// A signal has come, and this process stops.
    Interrupted,
    /// This process goes on.
    Failed(UpgradeError),
    /// Another goes on, or none.
    Followed(Result<u32, UpgradeError>, HandedOver),
}

impl Orders {
    /// Takes over the signals.
    ///
    /// # Errors
    /// If the system does not allow watching them.
    pub(super) fn watch() -> io::Result<Self> {
        let control = Control::listen();
        let control = control
            .inspect_err(|error| warn!(%error, "no commands are heard: to upgrade, send SIGUSR2"))
            .ok();
        let (signals, upgrades) = (Signals::watch()?, signal(SignalKind::user_defined2())?);
        Ok(Self { signals, upgrades, control, program: Program::here()? })
    }

    /// Does what it is told, until the server stops.
    pub(super) async fn attend(mut self, running: Running) {
        // Until a signal has come: what else stops the server (`POST /v1/drain`) ends this, too.
        loop {
            let request = match self.next().await {
                Order::Stop => break,
                Order::Upgrade(request) => request,
                Order::Move { request, room, node } => {
                    actix_rt::spawn(move_room(running.clone(), request, room, node));
                    continue;
                }
            };
            let file = match &request {
                Some(Request { asked: Asked::Upgrade(file), .. }) => file.clone(),
                _ => None,
            };
            let program = self.program.clone();
            let program = file.into_iter().fold(program, Program::in_file);
            let outcome = self.upgrade(&running, &program).await;
            let answer = |answer| request.into_iter().for_each(|request| request.answer(&answer));
            match outcome {
                Upgraded::Interrupted => {
                    answer(Err(UpgradeError::Stopping.to_string()));
                    break;
                }
                Upgraded::Failed(error) => {
                    warn!(%error, "the upgrade has failed: this server goes on");
                    answer(Err(error.to_string()));
                }
                Upgraded::Followed(followed, left) => {
                    if let Ok(process) = &followed {
                        info!(process, "another process has followed this one");
                        systemd::followed_by(*process);
                        // What has come for this one meanwhile.
                        if self.signals.none_for(Duration::ZERO).await.is_err() {
                            send_terminate(*process);
                        }
                    }
                    answer(followed.as_ref().map(|process| *process).map_err(ToString::to_string));
                    let (lost, others) = match followed {
                        Ok(process) => (None, UpgradeError::Followed(process).to_string()),
                        Err(lost) => {
                            let line = lost.to_string();
                            (Some(lost), line)
                        }
                    };
                    refuse(self.control, others).await;
                    return running.followed(left, lost.as_ref()).await;
                }
            }
        }
        let hurried = running.clone();
        let hurry = running.carries().then_some(move || hurried.hurry());
        let drain = async move { running.drain().await };
        tokio::join!(
            shutdown::drain_after_signal(self.signals, drain, hurry),
            refuse(self.control, UpgradeError::Stopping.to_string()),
        );
    }

    async fn next(&mut self) -> Order {
        let control = &mut self.control;
        let asked = async {
            match control {
                Some(control) => match control.next().await {
                    Some(request) => request,
                    None => pending().await,
                },
                None => pending().await,
            }
        };
        tokio::select! {
            () = self.signals.next() => Order::Stop,
            _ = self.upgrades.recv() => Order::Upgrade(None),
            request = asked => match &request.asked {
                Asked::Upgrade(_) => Order::Upgrade(Some(request)),
                Asked::Move(room, node) => {
                    let (room, node) = (room.clone(), node.clone());
                    Order::Move { request, room, node }
                }
            },
        }
    }

    async fn upgrade(&mut self, running: &Running, program: &Program) -> Upgraded {
        let ready = tokio::select! {
            ready = prepare(running, program) => ready,
            // The process that has just started is killed.
            () = self.signals.next() => return Upgraded::Interrupted,
        };
        let (successor, line) = match ready {
            Ok(ready) => ready,
            Err(error) => return Upgraded::Failed(error),
        };
        let left = running.hand_over().await;
        let followed = match follow(successor, line, &left).await {
            Ok(process) => Ok(process),
            Err(error) => {
                error!(%error, "the new server has failed with the rooms: this program is started again");
                let itself = self.program.clone().itself();
                match again(running, &itself).await {
                    Ok((successor, line)) => follow(successor, line, &left).await,
                    Err(error) => Err(error),
                }
            }
        };
        Upgraded::Followed(followed.map_err(|error| UpgradeError::Lost(error.to_string())), left)
    }
}

/// Starts a process that can follow this one. Nobody notices.
async fn prepare(running: &Running, program: &Program) -> Result<(Successor, Line), UpgradeError> {
    if container::ends_with_this_process() {
        return Err(UpgradeError::Container);
    }
    running.may_be_followed()?;
    let (successor, line, abilities) = start(running, program).await?;
    running.may_hand_over(&abilities)?;
    Ok((successor, line))
}

/// The same when the rooms have stopped.
async fn again(running: &Running, program: &Program) -> Result<(Successor, Line), UpgradeError> {
    let (successor, line, abilities) = start(running, program).await?;
    running.could_read(&abilities)?;
    Ok((successor, line))
}

async fn start(running: &Running, program: &Program) -> Result<(Successor, Line, Abilities), UpgradeError> {
    let (successor, mut line) = Successor::start(program, &running.sockets()?, running.made_token())?;
    let file = program.file().display();
    info!(process = successor.id(), %file, "a new process starts, to follow this one");
    let ready = tokio::task::spawn_blocking(move || line.ready().map(|abilities| (line, abilities)));
    match ready.await.unwrap_or_else(|error| Err(UpgradeError::Silent(io::Error::other(error)))) {
        Ok((line, abilities)) => Ok((successor, line, abilities)),
        Err(error) => Err(explain(successor, error).await),
    }
}

/// Tells all who still ask for something why it is not done.
async fn refuse(control: Option<Control>, why: String) {
    if let Some(control) = control {
        control.refuse(Err(why)).await;
    }
}

async fn move_room(running: Running, request: Request, room: String, node: Option<String>) {
    let stood = running.move_room_to(&room, node).await;
    request.answer(&stood.map(|stood| u32::try_from(stood.as_millis()).unwrap_or(u32::MAX)));
}

/// Leaves everything to a process, and waits until it serves.
async fn follow(successor: Successor, mut line: Line, left: &HandedOver) -> Result<u32, UpgradeError> {
    let (rooms, revoked, used) = (left.rooms.clone(), left.revoked.clone(), left.used.clone());
    let serves = tokio::task::spawn_blocking(move || line.leave(&rooms, &revoked, &used)).await;
    match serves.unwrap_or_else(|error| Err(UpgradeError::Silent(io::Error::other(error)))) {
        Ok(()) => Ok(successor.follows()),
        Err(error) => Err(explain(successor, error).await),
    }
}

/// What has become of a process: that may take a moment.
async fn explain(successor: Successor, error: UpgradeError) -> UpgradeError {
    let explained = tokio::task::spawn_blocking(move || successor.explain(error)).await;
    explained.unwrap_or_else(|error| UpgradeError::Silent(io::Error::other(error)))
}

fn send_terminate(process: u32) {
    // SAFETY: kill has no preconditions; the process is this one's child and has not been waited for.
    unsafe { libc::kill(process.cast_signed(), libc::SIGTERM) };
}
