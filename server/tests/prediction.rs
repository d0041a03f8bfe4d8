//! The native client predicts its player on a real server, by the game's own rules.

#![allow(clippy::unwrap_used)]

mod util;

use driftless_client::{Client, Event, Options, TransportKind};
use driftless_sim::games::arena::{Arena, ArenaInput, PLAYERS};
use util::{PATIENCE, TestServer, config};

/// Inputs in which the player runs.
const RUN: u32 = 30;

#[test]
fn a_client_is_where_it_has_predicted_once_the_server_has_its_inputs() {
    let server = TestServer::start(config());
    let options = Options::new(format!("ws://{}", server.address()), "lobby").kind("arena");
    let options = options.transports([TransportKind::WebSocket]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let play = async {
            let mut client = Client::connect(options).await.unwrap();
            let mut prediction = client.predict::<Arena>().unwrap();
            assert_eq!(prediction.shown(), None, "there is no state yet");
            let (mut sent, mut start, mut exact) = (0, None, 0);
            loop {
                let Event::State { input, .. } = client.next().await.unwrap() else { continue };
                let state = client.snapshot().unwrap();
                assert!(prediction.reconcile(input, state));
                let shown = prediction.shown().unwrap().to_vec();
                let start = *start.get_or_insert((shown[0], shown[1]));
                let table = &state.tables()[PLAYERS];
                let player = client.welcome().unwrap().player;
                let row = [0, 1].map(|column| table.value(player, column).unwrap());
                let runs = (2..=RUN).contains(&input) && (row[0], row[1]) != start;
                exact += u32::from(runs && prediction.error() == 0);
                // It has run, has come to rest, and the server has all that it has sent.
                if sent > 2 * RUN && prediction.pending() == 0 {
                    assert_eq!([shown[0], shown[1]], row);
                    return exact;
                }
                let stick = if sent < RUN { 127 } else { 0 };
                // Along two ways, of which no wall stops both.
                let input = ArenaInput { move_x: stick, move_y: stick, ..Default::default() };
                sent = client.send_input(&input).unwrap();
                prediction.push(sent, input);
            }
        };
        let exact = tokio::time::timeout(PATIENCE, play).await.unwrap();
        // A tick that got two inputs or none is off; not all of them are.
        assert!(exact > 0, "no place that it ran to was as predicted");
    });
}
