//! Random schedules: the promises hold whatever the network does.

use crate::util::{Conditions, Pair, ms};
use driftless_proto::session::Delivery;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    Run(u64),
    Event,
    Command,
    Stall(bool),
    StallInputs(bool),
    Reconnect,
    Change(Conditions),
}

fn conditions() -> impl Strategy<Value = Conditions> {
    (0..120u64, 0..100u64, 0..30u32, 0..30u32, prop_oneof![Just(0), 500..20_000u32]).prop_map(
        |(delay, jitter, loss, duplication, rate)| Conditions {
            delay: ms(delay),
            jitter: ms(jitter),
            loss,
            duplication,
            rate,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..400u64).prop_map(Step::Run),
        3 => Just(Step::Event),
        2 => Just(Step::Command),
        1 => any::<bool>().prop_map(Step::Stall),
        1 => any::<bool>().prop_map(Step::StallInputs),
        1 => Just(Step::Reconnect),
        1 => conditions().prop_map(Step::Change),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    // Promise 2 (checked by `Pair` at every state), Promise 3, and that the session recovers.
    #[test]
    fn promises_hold_under_any_schedule(
        datagrams: bool,
        seed: u64,
        first in conditions(),
        steps in proptest::collection::vec(step(), 1..60),
    ) {
        let delivery = if datagrams { Delivery::Datagram } else { Delivery::Ordered };
        let mut pair = Pair::new(delivery, first, seed);
        let (mut events, mut commands) = (0, 0);
        pair.run_until(ms(8_000), |pair| pair.client.is_active());
        for step in steps {
            match step {
                Step::Run(time) => pair.run(ms(time)),
                Step::Event => {
                    events += 1;
                    prop_assert!(pair.push_event(events));
                }
                Step::Command => commands += usize::from(pair.client.send_command(bytes::Bytes::new()).is_ok()),
                Step::Stall(stalled) => {
                    pair.down.stalled = stalled;
                    pair.down_datagrams.stalled = stalled;
                }
                Step::StallInputs(stalled) => {
                    pair.up.stalled = stalled;
                    pair.up_datagrams.stalled = stalled;
                }
                Step::Reconnect => pair.reconnect(false),
                Step::Change(conditions) => {
                    for link in [&mut pair.up, &mut pair.down, &mut pair.up_datagrams, &mut pair.down_datagrams] {
                        link.conditions = conditions;
                    }
                }
            }
        }
        // A silence or a network fault may have ended the connection, but never a peer's fault.
        prop_assert!(pair.server_error.is_none(), "{:?}", pair.server_error);
        let timed_out = matches!(pair.client_error, Some(driftless_proto::session::client::ServerError::TimedOut(_)));
        prop_assert!(pair.client_error.is_none() || timed_out, "{:?}", pair.client_error);

        // With a good link and a new connection, everything works again.
        for link in [&mut pair.up, &mut pair.down, &mut pair.up_datagrams, &mut pair.down_datagrams] {
            link.conditions = Conditions { delay: ms(10), ..Conditions::default() };
        }
        pair.client_error = None;
        pair.reconnect(false);
        pair.run(ms(3_000));
        pair.assert_healthy();
        prop_assert_eq!(pair.event_numbers(), (1..=events).collect::<Vec<_>>());
        prop_assert_eq!(pair.served.as_ref().unwrap().commands.len(), commands);
        prop_assert!(pair.room.tick - pair.ticks().last().unwrap() <= 2);
    }
}
