//! A bot against a hand-written server, in virtual time.

use super::*;
use bytes::BytesMut;
use driftless_client::Options;
use driftless_links::Quantiles;
use driftless_proto::{
    code::CloseCode,
    delta::{Encoder, References},
    session::Delivery,
    snapshot::Snapshot,
    state::StateHead,
    wire::{self, client_message, server_message},
};
use driftless_sim::{Simulation, games::arena::Arena};
use prost::Message;
use std::time::Duration;

const TICK: Duration = Duration::from_millis(50);

/// One bot and its server. Both clocks begin at `start`, and tick 0 is due then.
struct Game {
    start: Instant,
    bot: Bot,
    crowd: Crowd,
    out: Frames,
    /// The newest two states that the bot has.
    sent: Vec<Snapshot>,
    /// The newest input that the server has.
    input: u32,
    /// What all inputs were.
    payloads: Vec<Bytes>,
}

impl Game {
    /// A bot that has been welcomed.
    fn join() -> Self {
        Self::join_as(Behaviour::wander(0, 20))
    }
    fn join_as(behaviour: Behaviour) -> Self {
        let mut game = Self::open(behaviour);
        assert!(game.welcome().is_continue());
        assert_eq!((game.bot.life(), game.crowd.playing), (Life::Playing, 1));
        game
    }
    /// A bot that has asked for a seat.
    fn open(behaviour: Behaviour) -> Self {
        Self::open_over(behaviour, Frames::framed())
    }
    fn open_over(behaviour: Behaviour, out: Frames) -> Self {
        let start = Instant::now();
        let crowd = Crowd::new(vec![Options::new("ws://test", "room")], "arena", 20, Duration::from_secs(3));
        let bot = Bot::new(0, behaviour);
        let mut game = Self { start, bot, crowd, out, sent: Vec::new(), input: 0, payloads: Vec::new() };
        game.bot.opened(&mut game.crowd, start, String::new(), &mut game.out);
        game.out.clear(); // the join
        game
    }
    /// A bot that has been welcomed, over a transport that loses messages.
    fn join_over_datagrams() -> Self {
        let mut game = Self::open_over(Behaviour::wander(0, 20), Frames::lanes());
        game.out.turn_to(Delivery::Datagram, 1_200);
        game.bot.opened(&mut game.crowd, game.start, String::new(), &mut game.out);
        game.out.clear();
        assert!(game.welcome().is_continue());
        game
    }
    fn welcome(&mut self) -> ControlFlow<End> {
        self.welcome_at(self.start, false)
    }
    fn welcome_at(&mut self, at: Instant, resumed: bool) -> ControlFlow<End> {
        let welcome = wire::Welcome {
            protocol: 1,
            player: 1,
            resume_token: vec![1; 16].into(),
            tick_rate: 20,
            schema: Some(Arena::schema().to_wire()),
            timeout_ms: 10_000,
            resumed,
            ..wire::Welcome::default()
        };
        self.message(at, server_message::Body::Welcome(welcome))
    }
    fn message(&mut self, at: Instant, body: server_message::Body) -> ControlFlow<End> {
        let bytes: Bytes = wire::ServerMessage { body: Some(body) }.encode_to_vec().into();
        self.bytes(at, bytes)
    }
    fn bytes(&mut self, at: Instant, bytes: Bytes) -> ControlFlow<End> {
        let frame = bytes.len() + 2;
        self.bot.message(&mut self.crowd, at, bytes, frame, &mut self.out)
    }
    /// The state of a tick with one player at `x`, arriving so long after the tick was due.
    fn state(&mut self, tick: u32, x: i32, late: Duration) -> ControlFlow<End> {
        let bytes = self.encode(tick, x, None);
        self.bytes(self.start + TICK * tick + late, bytes)
    }
    fn encode(&mut self, tick: u32, x: i32, wrong_checksum: Option<u32>) -> Bytes {
        let schema = Arena::schema();
        let mut current = Snapshot::new(&schema);
        current.clear(tick);
        current.table_mut(0).push(1, &[x, 0, 0, 100, 0, 1, 0]);
        let [prior, baseline] = match self.sent.as_slice() {
            [] => [None, None],
            [one] => [None, Some(one)],
            [.., prior, baseline] => [Some(prior), Some(baseline)],
        };
        let mut shared = BytesMut::new();
        let checksum = Some(wrong_checksum.unwrap_or_else(|| current.checksum()));
        let references = References { baseline, prior };
        Encoder::default().encode(
            &schema,
            references,
            &current,
            wire::ColumnCoding::Packed,
            checksum,
            &mut shared,
        );
        let head = StateHead {
            tick,
            baseline: baseline.map(Snapshot::tick),
            prior: prior.map(Snapshot::tick),
            input: self.input,
            number: tick,
            apart: false,
        };
        let mut message = BytesMut::new();
        head.write(shared.len(), &mut message);
        message.extend_from_slice(&shared);
        self.sent.push(current);
        message.freeze()
    }
    /// The bot acts, and the server takes its input.
    fn act(&mut self, due: Instant) {
        assert!(self.bot.due(&mut self.crowd, due, due, &mut self.out).is_continue());
        for message in self.out.take_messages() {
            let message = wire::ClientMessage::decode(message.as_slice()).unwrap();
            if let Some(client_message::Body::Input(input)) = message.body {
                self.input = input.sequence;
                self.payloads.push(input.payload);
            }
        }
    }
    fn begin(&mut self, at: Instant) {
        self.crowd.begin(at);
        self.bot.begin(at);
    }
    fn finish(&mut self, at: Instant) {
        self.bot.finish(&mut self.crowd, at);
        self.crowd.finish(at);
    }
    fn errors(&self) -> Vec<String> {
        self.crowd.violations.counts().into_keys().collect()
    }
}

fn near(quantiles: Option<Quantiles>, want: [f64; 2]) {
    let q = quantiles.unwrap();
    // The histogram keeps three digits.
    let near = |is: f64, want: f64| (is - want).abs() <= 0.1 + want / 1000.0;
    assert!(near(q.p50, want[0]) && near(q.max, want[1]), "{q:?} instead of {want:?}");
}

#[test]
fn what_was_due_and_what_came_are_counted_by_tick() {
    let mut game = Game::join();
    let ms = Duration::from_millis;
    for tick in 1..=64 {
        if tick == 21 {
            game.begin(game.start + ms(1020)); // tick 20 was due: 21 is the first that counts
        }
        if tick % 10 != 5 {
            assert!(game.state(tick, tick as i32 * 10, ms(3)).is_continue());
        }
        if tick == 60 {
            game.finish(game.start + TICK * 60 + ms(5));
        }
        game.act(game.start + TICK * tick + ms(10));
    }
    game.bot.give_up(&mut game.crowd, game.start + ms(3500));
    let measure = &game.crowd.measure;
    // 21..=60 without 25, 35, 45 and 55; those after 60 do not count.
    assert_eq!((measure.counts.due, measure.counts.states), (40, 36));
    near(measure.age.quantiles_ms(), [3.0, 3.0]);
    near(measure.gap.quantiles_ms(), [50.0, 100.0]);
    // Sent 10 ms after a tick, in the state of the next: 43 ms; 93 where that one is missing.
    near(measure.input.quantiles_ms(), [43.0, 93.0]);
    // Every state that came moved the one player.
    assert_eq!(measure.counts.moved, 36);
    assert_eq!(game.errors(), [""; 0]);
}

#[test]
fn the_last_state_may_arrive_after_the_end() {
    let mut game = Game::join();
    assert!(game.state(1, 10, Duration::ZERO).is_continue());
    game.begin(game.start + TICK);
    game.finish(game.start + TICK * 2);
    assert!(game.state(2, 20, Duration::from_millis(30)).is_continue());
    assert_eq!((game.crowd.measure.counts.due, game.crowd.measure.counts.states), (1, 1));
}

// No coordinated omission: silence is not a missing value but a long one.
#[test]
fn silence_counts_as_a_gap_and_as_latency() {
    let mut game = Game::join();
    assert!(game.state(1, 10, Duration::ZERO).is_continue());
    game.begin(game.start + TICK);
    game.act(game.start + TICK * 2);
    let end = game.start + Duration::from_secs(2);
    game.finish(end);
    game.bot.give_up(&mut game.crowd, end);
    near(game.crowd.measure.gap.quantiles_ms(), [1950.0, 1950.0]);
    near(game.crowd.measure.input.quantiles_ms(), [1900.0, 1900.0]);
    assert_eq!((game.crowd.measure.counts.due, game.crowd.measure.counts.states), (39, 0));
}

// No coordinated omission, either, where the swarm itself is late.
#[test]
fn an_input_that_is_a_tick_late_is_left_out_and_counts_up_to_the_next() {
    let mut game = Game::join();
    let at = |ms| game.start + Duration::from_millis(ms);
    let (due, late, next, began) = (at(110), at(170), at(175), at(60));
    assert!(game.state(1, 10, Duration::ZERO).is_continue());
    game.begin(began);
    game.out.take_messages();
    assert!(game.bot.due(&mut game.crowd, due, late, &mut game.out).is_continue());
    assert_eq!(game.out.take_messages().len(), 0);
    game.act(next);
    assert_eq!((game.input, game.crowd.measure.counts.inputs_left_out), (1, 1));
    assert!(game.state(4, 20, Duration::ZERO).is_continue());
    near(game.crowd.measure.input.quantiles_ms(), [25.0, 90.0]);
}

// Promise 2: "A client never applies a state older than one it has applied."
#[test]
fn a_stale_state_fails_the_bot() {
    let mut game = Game::join();
    assert!(game.state(7, 10, Duration::ZERO).is_continue());
    game.sent.clear(); // a full state, so that there is no baseline to stumble over
    assert!(game.state(6, 10, Duration::from_millis(60)).is_break());
    assert_eq!((game.errors(), game.bot.life(), game.crowd.playing), (vec!["stale".into()], Life::Gone, 0));
}

/// The content of zone 5: the bot's own player and others, at `x`.
fn zone_5(tick: u32, x: i32, references: u32) -> wire::ZoneDelta {
    let schema = Arena::schema();
    let mut content = Snapshot::new(&schema);
    content.clear(tick);
    (1..4).for_each(|id| content.table_mut(0).push(id, &[x, 0, 0, 100, 0, 1, 0]));
    let mut shared = BytesMut::new();
    let nothing = References { baseline: None, prior: None };
    Encoder::default().encode(&schema, nothing, &content, wire::ColumnCoding::Packed, None, &mut shared);
    wire::ZoneDelta { zone: 4, references, ..wire::ZoneDelta::decode(shared).unwrap() }
}

fn state_with(tick: u32, zones: Vec<wire::ZoneDelta>) -> wire::State {
    wire::State { tick, full: true, zones, ..wire::State::default() }
}

#[test]
fn a_state_in_several_datagrams_counts_once() {
    let mut game = Game::join_over_datagrams();
    game.begin(game.start);
    let more = |tick, number, x| {
        let state = wire::State { number, apart: true, ..state_with(tick, vec![zone_5(tick, x, 1)]) };
        server_message::Body::State(state)
    };
    let at = |tick| game.start + TICK * tick;
    let (one, two) = (at(1), at(2));
    for (at, tick, number) in [(one, 1, 1), (two, 2, 3)] {
        assert!(
            game.message(at, server_message::Body::State(wire::State { number, ..state_with(tick, vec![]) }))
                .is_continue()
        );
        let late = at + Duration::from_millis(20);
        assert!(game.message(late, more(tick, number + 1, tick as i32)).is_continue());
    }
    let counts = &game.crowd.measure.counts;
    assert_eq!((counts.states, counts.state_messages, game.crowd.states), (2, 4, 2));
    near(game.crowd.measure.age.quantiles_ms(), [0.0, 0.0]);
    assert_eq!(game.errors(), [""; 0]);
}

#[test]
fn the_age_of_a_zone_is_that_of_what_the_bot_acts_on() {
    let mut game = Game::join();
    game.begin(game.start);
    let message = |state| server_message::Body::State(state);
    assert!(game.message(game.start + TICK, message(state_with(1, vec![zone_5(1, 0, 1)]))).is_continue());
    game.act(game.start + TICK + Duration::from_millis(5));
    let waits = wire::State { deferred: vec![4], ..state_with(2, vec![]) };
    assert!(game.message(game.start + TICK * 2, message(waits)).is_continue());
    game.act(game.start + TICK * 2 + Duration::from_millis(5));
    let measure = &game.crowd.measure;
    near(measure.zone_age.quantiles_ms(), [5.0, 55.0]);
    near(measure.near_zone_age.quantiles_ms(), [5.0, 55.0]);
    assert_eq!((measure.counts.looks, measure.counts.zones, measure.counts.zones_behind), (2, 2, 1));
    assert_eq!(game.errors(), [""; 0]);
}

#[test]
fn a_zone_that_was_never_entered_fails_the_bot() {
    let mut game = Game::join();
    let message = |state| server_message::Body::State(state);
    assert!(game.message(game.start + TICK, message(state_with(1, vec![]))).is_continue());
    let delta = state_with(2, vec![zone_5(2, 0, 2)]);
    assert!(game.message(game.start + TICK * 2, message(delta)).is_break());
    assert_eq!(game.errors(), ["unseen"]);
}

#[test]
fn a_jump_fails_the_bot() {
    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    assert!(game.state(2, 53, Duration::ZERO).is_continue());
    assert!(game.state(3, 53 + 54, Duration::ZERO).is_break());
    assert_eq!(game.errors(), ["jump"]);
}

#[test]
fn a_wrong_checksum_fails_the_bot() {
    let mut game = Game::join();
    let bytes = game.encode(1, 5, Some(12));
    assert!(game.bytes(game.start + TICK, bytes).is_break());
    assert_eq!(game.errors(), ["checksum"]);
}

// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
#[test]
fn a_gap_in_the_reliable_messages_fails_the_bot() {
    let mut game = Game::join();
    let reliable = |sequence| {
        let event = wire::Event { tick: 1, payload: Bytes::new() };
        let body = Some(wire::reliable::Body::Event(event));
        server_message::Body::Reliable(wire::Reliable { sequence, body })
    };
    assert!(game.message(game.start, reliable(1)).is_continue());
    assert!(game.message(game.start, reliable(3)).is_break());
    assert_eq!(game.errors(), ["gap"]);
}

#[test]
fn a_silent_server_fails_the_bot() {
    let mut game = Game::join();
    let later = game.start + Duration::from_secs(11);
    assert!(game.bot.due(&mut game.crowd, later, later, &mut game.out).is_break());
    assert_eq!(game.errors(), ["silent"]);
}

#[test]
fn a_goodbye_is_counted_by_its_code() {
    let mut game = Game::join();
    let goodbye = wire::Goodbye { code: CloseCode::SlowConsumer.number().into(), ..wire::Goodbye::default() };
    let _ = game.message(game.start, server_message::Body::Goodbye(goodbye));
    game.bot.ended(&mut game.crowd, game.start, &End::Closed(1006));
    assert_eq!(game.crowd.disconnects, [(4002, 1)].into());
    assert_eq!((game.errors(), game.crowd.gone), (vec!["disconnected".into()], 1));
}

/// Is told to go, as by a server that is restarted; finds nobody there at first; and is back.
fn restarted(resumed: bool) -> (Game, Instant) {
    let mut game = Game::join();
    let now = game.start + Duration::from_secs(10);
    let goodbye = wire::Goodbye { code: CloseCode::Draining.number().into(), ..wire::Goodbye::default() };
    let _ = game.message(now, server_message::Body::Goodbye(goodbye));
    let again = game.bot.ended(&mut game.crowd, now, &End::Closed(4000)).expect("it comes back");
    assert_eq!((game.bot.life(), game.crowd.playing, game.crowd.gone), (Life::Away, 0, 0));
    let nobody = End::Refused("HTTP/1.1 502 Bad Gateway".into());
    let again = game.bot.ended(&mut game.crowd, again, &nobody).expect("it tries again");
    game.out.clear();
    game.bot.opened(&mut game.crowd, again, String::new(), &mut game.out);
    let asked = game.out.take_messages().pop().unwrap();
    let asked = wire::ClientMessage::decode(asked.as_slice()).unwrap();
    assert!(matches!(asked.body, Some(client_message::Body::Resume(_))), "its seat: {asked:?}");
    assert!(game.welcome_at(again, resumed).is_continue());
    (game, again)
}

#[test]
fn whom_a_server_tells_to_go_comes_back_as_players_do() {
    let (game, _) = restarted(true);
    assert_eq!((game.bot.life(), game.crowd.playing), (Life::Playing, 1));
    assert_eq!((game.crowd.resumed, game.crowd.rejoined, game.errors()), (1, 0, vec![]));
    assert_eq!(game.crowd.disconnects, [(4000, 1)].into());
}

#[test]
fn who_loses_its_connection_in_an_outage_comes_back_and_otherwise_it_is_an_error() {
    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    assert!(game.state(2, 0, Duration::ZERO).is_continue());
    game.crowd.outages = true;
    let now = game.start + Duration::from_millis(100);
    let again = game.bot.ended(&mut game.crowd, now, &End::Closed(1006)).expect("it comes back");
    // The next server is not there yet.
    let again = game.bot.ended(&mut game.crowd, again, &End::Refused("nobody".into())).expect("again");
    game.out.clear();
    game.bot.opened(&mut game.crowd, again, String::new(), &mut game.out);
    assert!(game.welcome_at(again, true).is_continue());
    assert_eq!((game.crowd.resumed, game.crowd.rejoined, game.errors()), (1, 0, vec![]));
    assert_eq!(game.crowd.disconnects, [(1006, 1)].into());

    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    assert_eq!(game.bot.ended(&mut game.crowd, now, &End::Closed(1006)), None);
    assert_eq!((game.bot.life(), game.errors().len()), (Life::Gone, 1));
}

#[test]
fn a_server_that_falls_silent_is_an_outage_if_there_are_any() {
    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    game.crowd.outages = true;
    let now = game.start + Duration::from_secs(60);
    let verdict = game.bot.due(&mut game.crowd, now, now, &mut game.out);
    let ControlFlow::Break(end) = verdict else { panic!("it hangs up") };
    assert!(game.bot.ended(&mut game.crowd, now, &end).is_some(), "and comes back");
    assert_eq!((game.bot.life(), game.errors()), (Life::Away, vec![]));
}

fn moved_to(url: &str) -> server_message::Body {
    let moved = wire::Moved { node: "other".into(), url: url.into(), quic: String::new() };
    let code = CloseCode::Moved.number().into();
    server_message::Body::Goodbye(wire::Goodbye { code, moved: Some(moved), ..wire::Goodbye::default() })
}

#[test]
fn who_is_sent_to_another_node_goes_there_with_its_seat_and_applies_no_older_state() {
    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    assert!(game.state(2, 0, Duration::ZERO).is_continue());
    let now = game.start + Duration::from_millis(100);
    let _ = game.message(now, moved_to("ws://other"));
    let again = game.bot.ended(&mut game.crowd, now, &End::Closed(4014)).expect("it goes there");
    assert_eq!((again, game.bot.life()), (now, Life::Away), "at once");
    assert_eq!(game.bot.node().map(|node| &*node.url), Some("ws://other"));
    game.out.clear();
    game.bot.opened(&mut game.crowd, again, String::new(), &mut game.out);
    let asked = game.out.take_messages().pop().unwrap();
    let asked = wire::ClientMessage::decode(asked.as_slice()).unwrap();
    assert!(matches!(asked.body, Some(client_message::Body::Resume(_))), "its seat: {asked:?}");
    assert!(game.welcome_at(again, true).is_continue());
    assert_eq!((game.crowd.moved, game.crowd.resumed, game.crowd.rejoined), (1, 1, 0));
    assert_eq!((game.errors(), game.crowd.disconnects.len()), (vec![], 0));
}

#[test]
fn who_looks_for_its_room_goes_where_it_is_sent() {
    let mut game = Game::open(Behaviour::wander(0, 20));
    let _ = game.message(game.start, moved_to("ws://other"));
    let again = game.bot.ended(&mut game.crowd, game.start, &End::Closed(4014)).expect("it goes there");
    game.bot.opened(&mut game.crowd, again, String::new(), &mut game.out);
    let asked = game.out.take_messages().pop().unwrap();
    let asked = wire::ClientMessage::decode(asked.as_slice()).unwrap();
    assert!(matches!(asked.body, Some(client_message::Body::Join(_))), "a seat: {asked:?}");
    assert!(game.welcome().is_continue());
    assert_eq!((game.bot.life(), game.crowd.moved, game.errors()), (Life::Playing, 1, vec![]));
    assert_eq!((game.crowd.resumed, game.crowd.rejoined), (0, 0));
}

#[test]
fn who_is_not_back_in_time_is_missed() {
    let mut game = Game::join();
    let goodbye = wire::Goodbye { code: CloseCode::Draining.number().into(), ..wire::Goodbye::default() };
    let _ = game.message(game.start, server_message::Body::Goodbye(goodbye));
    let mut next = game.bot.ended(&mut game.crowd, game.start, &End::Closed(4000));
    let mut tries = 0;
    while let Some(at) = next {
        assert!(at < game.start + 2 * BACK, "it gives up");
        next = game.bot.ended(&mut game.crowd, at, &End::Refused("nobody is there".into()));
        tries += 1;
    }
    assert!(tries > 1);
    assert_eq!((game.errors(), game.crowd.gone, game.crowd.resumed), (vec!["refused".into()], 1, 0));
}

#[test]
fn who_leaves_is_not_missed() {
    let mut game = Game::join();
    game.bot.leave(&mut game.crowd, game.start, &mut game.out);
    let last = game.out.take_messages().pop().unwrap();
    let last = wire::ClientMessage::decode(last.as_slice()).unwrap();
    assert!(matches!(last.body, Some(client_message::Body::Leave(_))));
    game.bot.ended(&mut game.crowd, game.start, &End::Closed(4500));
    assert_eq!((game.errors(), game.crowd.disconnects.len(), game.crowd.gone), (vec![], 0, 1));
}

#[test]
fn the_watched_states_are_noted_with_their_place_in_the_stream() {
    let mut game = Game::join();
    assert!(game.state(1, 0, Duration::ZERO).is_continue());
    game.bot.watch();
    assert!(game.state(2, 1, Duration::from_millis(7)).is_continue());
    assert!(game.state(3, 2, Duration::from_millis(9)).is_continue());
    let arrivals = &game.bot.watched().unwrap().arrivals;
    assert_eq!(arrivals.iter().map(|a| (a.tick, a.age_us)).collect::<Vec<_>>(), [(2, 7000), (3, 9000)]);
    assert!(arrivals[0].end > 2 && arrivals[1].end > arrivals[0].end);
}

/// Says whom it is told that it is, and where it is told that it is.
struct Echo;

impl Player for Echo {
    fn welcomed(&mut self, client: &ClientCore) -> Result<(), String> {
        client
            .welcome()
            .filter(|welcome| welcome.player == 1)
            .map(drop)
            .ok_or_else(|| "a stranger".to_owned())
    }
    fn act(&mut self, client: &ClientCore, _: &mut BytesMut) -> Bytes {
        let x = client.snapshot().map_or(0, |state| state.tables()[0].column(0)[0]);
        vec![x as u8].into()
    }
}

#[test]
fn a_games_own_bot_acts_on_the_newest_state() {
    let mut game = Game::join_as(Behaviour::Own(Box::new(Echo)));
    for (tick, x) in [(1, 7), (2, 9)] {
        assert!(game.state(tick, x, Duration::ZERO).is_continue());
        game.act(game.start + TICK * tick);
    }
    assert_eq!(game.payloads, [&[7][..], &[9]]);
}

/// Knows no server.
struct Lost;

impl Player for Lost {
    fn welcomed(&mut self, _: &ClientCore) -> Result<(), String> {
        Err("another game".to_owned())
    }
    fn act(&mut self, _: &ClientCore, _: &mut BytesMut) -> Bytes {
        panic!("it has no seat")
    }
}

#[test]
fn a_server_of_another_game_fails_the_bot() {
    let mut game = Game::open(Behaviour::Own(Box::new(Lost)));
    assert!(game.welcome().is_break());
    assert_eq!((game.errors(), game.crowd.playing), (vec!["protocol".to_owned()], 0));
}
