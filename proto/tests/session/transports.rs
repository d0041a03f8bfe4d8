//! A player who reconnects over another kind of transport keeps the seat.

use crate::util::{Conditions, Pair, ms};
use driftless_proto::session::Delivery;

const LOSSY: Conditions = Conditions { delay: ms(20), jitter: ms(40), loss: 20, duplication: 5, rate: 0 };

// Promise 2: "A client never applies a state older than one it has applied." (`Pair` checks every state.)
// Promise 3: "Reliable events arrive exactly once, in order, across a resume within the window."
#[test]
fn seat_numbers_and_events_go_on_over_another_transport() {
    for seed in 0..10 {
        let mut pair = Pair::new(Delivery::Datagram, LOSSY, seed);
        let mut event = 0;
        pair.run(ms(1000));
        for delivery in [Delivery::Ordered, Delivery::Datagram, Delivery::Datagram, Delivery::Ordered] {
            for _ in 0..5 {
                event += 1;
                pair.run(ms(200));
                assert!(pair.served.is_some() && pair.push_event(event));
            }
            let (states, inputs) = (pair.ticks().len(), pair.served.as_ref().unwrap().inputs.len());
            assert!(states > 0 && inputs > 0, "seed {seed}");
            pair.reconnect_over(delivery);
            pair.run(ms(2000));
            pair.assert_healthy();
            assert!(pair.ticks().len() > states, "seed {seed}: states go on over {delivery:?}");
            let taken = &pair.served.as_ref().unwrap().inputs;
            assert!(taken.len() > inputs && taken.is_sorted_by(|a, b| a < b), "seed {seed}: {delivery:?}");
        }
        pair.run(ms(2000));
        assert_eq!(pair.event_numbers(), (1..=event).collect::<Vec<_>>(), "seed {seed}");
    }
}
