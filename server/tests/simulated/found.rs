//! What the simulation has found: each story failed once.

use super::{
    network::Conditions,
    story::{Act, Notice, Play, Setting, Story, What},
    world::run,
};
use driftless_server::ground::durability::Durability;

const QUICK: Conditions = Conditions { delay: 5, jitter: 3, loss: 0, twice: 0 };
const SETTING: Setting = Setting {
    tick_rate: 20,
    timeout: 3_000,
    client_timeout: 3_000,
    window: 2_000,
    reliable_messages: 16,
    reliable_bytes: 262_144,
    play: Play::Tally,
    record: false,
    spectate_delay: 0,
    tokens: false,
    token_lifetime: 0,
    durability: Durability::None,
    checkpoints: 1_500,
    synchronisations: 1_000,
    segment: 16,
};

fn holds<const N: usize>(seed: u64, setting: Setting, acts: [(u32, What); N]) {
    let acts = acts.into_iter().map(|(at, what)| Act { at, what }).collect();
    if let Err(failure) = run(&Story { seed, setting, acts }) {
        panic!("{failure}");
    }
}

// Promise 3
#[test]
fn a_command_that_the_game_refused_is_not_refused_again_when_the_seat_is_lost() {
    holds(
        40,
        SETTING,
        [
            (906, What::Join { player: 0, datagrams: true, network: QUICK }),
            (5_928, What::Hurry { player: 0, commands: 24 }),
            (6_930, What::Cut { player: 0, notice: Notice::Server }),
        ],
    );
}

// Promise 4: nothing but the loss of single states keeps a player waiting, each no longer than a probe
// timeout. (Two were lost in a row that the gate had sent alone, to measure the round trip.)
#[test]
fn a_state_that_everything_waits_for_is_given_up_soon() {
    let far = Conditions { delay: 150, jitter: 3, loss: 15, twice: 4 };
    holds(
        750,
        Setting { tick_rate: 60, ..SETTING },
        [
            (797, What::Join { player: 0, datagrams: true, network: far }),
            (1_552, What::Join { player: 1, datagrams: false, network: Conditions { delay: 60, ..NONE } }),
            (6_000, What::Hurry { player: 1, commands: 1 }),
        ],
    );
}

const NONE: Conditions = Conditions { delay: 1, jitter: 0, loss: 0, twice: 0 };

// Promise 10: a player who was not back between two failures of its server was told of the second alone.
#[test]
fn who_has_missed_a_roll_back_is_told_of_it_with_the_next() {
    holds(
        327,
        Setting {
            tick_rate: 60,
            timeout: 5_000,
            client_timeout: 5_000,
            window: 8_000,
            reliable_messages: 64,
            durability: Durability::Checkpoint,
            segment: 64,
            ..SETTING
        },
        [
            (1_474, What::Join { player: 4, datagrams: true, network: FAR }),
            (4_313, What::Kill { lasts: 867 }),
            (5_908, What::Kill { lasts: 1_590 }),
        ],
    );
}

// Promise 3: an event came twice, because its number was another one after the first failure.
#[test]
fn events_come_once_after_two_failures() {
    let near = Conditions { delay: 20, jitter: 60, loss: 0, twice: 0 };
    holds(
        44,
        Setting {
            timeout: 5_000,
            client_timeout: 15_000,
            window: 8_000,
            reliable_messages: 512,
            durability: Durability::Checkpoint,
            synchronisations: 0,
            ..SETTING
        },
        [
            (203, What::Join { player: 3, datagrams: false, network: Conditions { delay: 60, ..NONE } }),
            (791, What::Join { player: 1, datagrams: true, network: near }),
            (4_797, What::PowerCut { lasts: 2_204, ahead: 0 }),
            (9_943, What::PowerCut { lasts: 2_254, ahead: 3_600_000 }),
        ],
    );
}

// Promise 10: what a player was told long ago to be undone was told again with the next failure.
#[test]
fn who_was_told_of_a_roll_back_is_not_told_of_it_with_the_next() {
    holds(
        488,
        Setting {
            timeout: 2_000,
            client_timeout: 6_000,
            reliable_messages: 64,
            durability: Durability::Journal,
            checkpoints: 500,
            synchronisations: 0,
            ..SETTING
        },
        [
            (1_528, What::Join { player: 4, datagrams: false, network: NONE }),
            (2_080, What::PowerCut { lasts: 2_443, ahead: 0 }),
            (8_962, What::Kill { lasts: 964 }),
            (10_665, What::PowerCut { lasts: 2_950, ahead: 0 }),
        ],
    );
}

// Promise 9: what may have been lost with the second server counted against who was away, though she was not:
// a second of the eight that she had.
#[test]
fn a_seat_is_kept_for_its_time_whatever_a_power_cut_may_have_undone() {
    holds(
        1_565,
        Setting {
            timeout: 2_000,
            client_timeout: 6_000,
            window: 8_000,
            reliable_messages: 512,
            durability: Durability::Journal,
            checkpoints: 5_000,
            synchronisations: 100,
            segment: 64,
            ..SETTING
        },
        [
            (1_467, What::Join { player: 2, datagrams: true, network: Conditions { jitter: 15, ..NONE } }),
            (5_974, What::Freeze { player: 2, lasts: 4_000, asleep: true }),
            (6_007, What::Kill { lasts: 2_579 }),
            (10_873, What::PowerCut { lasts: 109, ahead: 0 }),
        ],
    );
}

// The operator here removed a player by the number of another, whose seat was undone.
#[test]
fn an_operator_removes_the_player_that_is_meant() {
    holds(
        1_115,
        Setting {
            timeout: 2_000,
            client_timeout: 6_000,
            reliable_messages: 64,
            durability: Durability::Checkpoint,
            checkpoints: 5_000,
            ..SETTING
        },
        [
            (1_135, What::Join { player: 4, datagrams: false, network: Conditions { jitter: 60, ..FAR } }),
            (1_295, What::Join { player: 0, datagrams: true, network: NONE }),
            (2_866, What::PowerCut { lasts: 955, ahead: 3_600_000 }),
            (5_543, What::Kick { player: 0 }),
        ],
    );
}

// It was forgotten here that a server that stands still writes no checkpoints.
#[test]
fn a_server_that_dies_after_it_stood_still_goes_back_to_before() {
    holds(
        1_807,
        Setting {
            tick_rate: 60,
            window: 8_000,
            reliable_messages: 512,
            spectate_delay: 500,
            tokens: true,
            durability: Durability::Checkpoint,
            checkpoints: 5_000,
            synchronisations: 0,
            segment: 64,
            ..SETTING
        },
        [
            (1_194, What::Join { player: 1, datagrams: false, network: NONE }),
            (1_614, What::ServerFreezes { lasts: 12_000 }),
            (9_255, What::PowerCut { lasts: 740, ahead: 0 }),
        ],
    );
}

// Promise 9: a command that had come by the connection before was carried out after the welcome. Its player
// heard so and did not send it again, which was called a gap.
#[test]
fn a_command_that_is_carried_out_after_a_resume_need_not_come_again() {
    holds(
        3_096,
        Setting {
            tick_rate: 10,
            timeout: 5_000,
            client_timeout: 5_000,
            window: 4_000,
            play: Play::Hands,
            durability: Durability::Journal,
            checkpoints: 500,
            synchronisations: 100,
            ..SETTING
        },
        [
            (807, What::Join { player: 0, datagrams: false, network: lossy(150, 15, 0, 0) }),
            (1_389, What::Join { player: 3, datagrams: false, network: lossy(20, 15, 24, 1) }),
            (1_963, What::Join { player: 2, datagrams: true, network: lossy(150, 60, 27, 0) }),
            (1_987, What::Join { player: 1, datagrams: true, network: lossy(20, 3, 25, 5) }),
            (3_349, What::Cut { player: 1, notice: Notice::Server }),
            (8_867, What::Deaf { player: 3, lasts: 5_500 }),
        ],
    );
}

// A welcome may still come after the death of the server that sent it.
#[test]
fn a_seat_of_which_a_dead_server_tells_may_be_lost_with_it() {
    holds(
        243,
        Setting {
            tick_rate: 10,
            window: 8_000,
            reliable_messages: 512,
            play: Play::Hands,
            spectate_delay: 500,
            durability: Durability::Checkpoint,
            checkpoints: 500,
            synchronisations: 100,
            ..SETTING
        },
        [
            (
                960,
                What::Join {
                    player: 0,
                    datagrams: true,
                    network: Conditions { delay: 5, jitter: 60, ..NONE },
                },
            ),
            (1_873, What::Join { player: 1, datagrams: true, network: lossy(60, 3, 22, 8) }),
            (2_375, What::Kill { lasts: 2_813 }),
        ],
    );
}

// Promise 5: a server read what had come while it stood still, and then added that time to what its sender
// might be silent for. A ghost was there for 14 s instead of 3, until too much waited for it.
#[test]
fn a_ghost_that_was_heard_after_a_freeze_is_gone_with_the_timeout() {
    holds(
        665,
        Setting {
            client_timeout: 9_000,
            window: 8_000,
            reliable_messages: 64,
            synchronisations: 0,
            ..SETTING
        },
        [
            (
                696,
                What::Join {
                    player: 2,
                    datagrams: false,
                    network: Conditions { delay: 5, jitter: 15, ..NONE },
                },
            ),
            (732, What::Join { player: 0, datagrams: true, network: lossy(60, 60, 24, 7) }),
            (
                1_122,
                What::Join {
                    player: 3,
                    datagrams: true,
                    network: Conditions { delay: 20, jitter: 3, ..NONE },
                },
            ),
            (1_448, What::ServerFreezes { lasts: 600 }),
            (1_549, What::Join { player: 1, datagrams: true, network: lossy(150, 60, 6, 5) }),
            (1_871, What::Dark { player: 0, lasts: 12_000 }),
            (2_408, What::ServerFreezes { lasts: 12_000 }),
            (7_312, What::Storm { notice: Notice::Client }),
            (8_701, What::Network { player: 0, network: Conditions { delay: 150, ..NONE } }),
        ],
    );
}

const fn lossy(delay: u32, jitter: u32, loss: u32, twice: u32) -> Conditions {
    Conditions { delay, jitter, loss, twice }
}

const FAR: Conditions = Conditions { delay: 150, jitter: 3, loss: 0, twice: 0 };
