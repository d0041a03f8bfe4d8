//! Joins the arena, walks in circles, and prints where everybody is, and where itself will be once the server
//! has had its inputs.
//!
//! `cargo run -p driftless-client --example wander -- [ws://127.0.0.1:7777] [room]`, while a server is
//! running.

use driftless_client::{Client, Event, Options};
use driftless_sim::games::arena::{Arena, ArenaInput, PLAYERS};
use std::{error::Error, time::Duration};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::args().nth(1).unwrap_or("ws://127.0.0.1:7777".into());
    let room = std::env::args().nth(2).unwrap_or("lobby".into());
    let mut client = Client::connect(Options::new(url, room).kind("arena").name("wanderer")).await?;

    let interval = client.core().tick_interval().unwrap_or(Duration::from_millis(50));
    let mut ticks = tokio::time::interval(interval);
    let (mut angle, mut predicted) = (0.0_f32, None);
    loop {
        tokio::select! {
            event = client.next() => match event? {
                Event::Welcome(welcome) => {
                    println!("player {} in {}", welcome.player, welcome.room);
                    if !welcome.resumed {
                        predicted = client.predict::<Arena>(); // the seat is a new one
                    }
                }
                Event::State { tick, input, .. } => {
                    let Some(predicted) = &mut predicted else { continue };
                    client.reconcile(predicted, input);
                    if tick % 20 == 0 {
                        print(tick, &client);
                        let error = predicted.error();
                        println!("  predicted {:?}, off by {error} cm", predicted.shown());
                    }
                }
                Event::Disconnected { cause, .. } => println!("{cause}; coming back"),
                _ => {}
            },
            _ = ticks.tick() => {
                angle += 0.05;
                let (y, x) = (angle.sin() * 127.0, angle.cos() * 127.0);
                let input = ArenaInput { move_x: x as i32, move_y: y as i32, ..Default::default() };
                // Refused while away.
                if let (Ok(number), Some(predicted)) = (client.send_input(&input), &mut predicted) {
                    predicted.push(number, input);
                }
            }
            _ = tokio::signal::ctrl_c() => return Ok(client.leave().await?),
        }
    }
}

fn print(tick: u32, client: &Client) {
    let Some(players) = client.snapshot().and_then(|s| s.tables().get(PLAYERS)) else { return };
    let rows = players.ids().iter().zip(players.column(0)).zip(players.column(1));
    let places: Vec<_> = rows
        .map(|((id, x), y)| format!("{id} at ({:.2}, {:.2})", *x as f32 / 100.0, *y as f32 / 100.0))
        .collect();
    println!("tick {tick}, {:?} old: {}", client.stats().age.unwrap_or_default(), places.join(", "));
}
