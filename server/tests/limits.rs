//! Player slots, which are given back automatically. (Loopback addresses are not limited, so sockets cannot
//! show this.)

#![allow(clippy::unwrap_used, clippy::expect_used)] // test helpers may panic, too

use driftless_server::ground::{
    places::{NoPlace, Places},
    source::Source,
};
use std::net::{IpAddr, Ipv4Addr};

fn source(last: u8) -> Source {
    Source::of(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)))
}

#[test]
fn an_address_has_so_many_places_and_no_more() {
    let (places, ann, bob) = (Places::new(10, 2), source(1), source(2));
    let first = places.take(ann).unwrap();
    let _second = places.take(ann).unwrap();
    assert_eq!(places.take(ann).unwrap_err(), NoPlace::SourceFull { of: ann, max: 2 });
    let _other = places.take(bob).unwrap();

    drop(first);
    let _again = places.take(ann).unwrap();
    assert_eq!(places.taken(), 3);
}

#[test]
fn loopback_has_as_many_as_the_server() {
    let (places, here) = (Places::new(3, 1), Source::of(Ipv4Addr::LOCALHOST.into()));
    let taken: Vec<_> = (0..3).map(|_| places.take(here).unwrap()).collect();
    assert_eq!(places.take(here).unwrap_err(), NoPlace::Full(3));
    assert_eq!(places.take(source(1)).unwrap_err(), NoPlace::Full(3));
    drop(taken);
    assert_eq!(places.taken(), 0);
    assert!(places.take(source(1)).is_ok());
}

#[test]
fn a_refusal_takes_no_place() {
    let places = Places::new(1, 1);
    let place = places.take(source(1)).unwrap();
    for _ in 0..10 {
        assert!(places.take(source(1)).is_err());
        assert!(places.take(source(2)).is_err());
    }
    drop(place);
    assert!(places.take(source(2)).is_ok());
}

#[test]
fn a_seat_that_was_kept_has_its_place_and_newcomers_wait() {
    let (places, ann) = (Places::new(2, 1), source(1));
    let kept: Vec<_> = (0..3).map(|_| places.keep()).collect();
    assert_eq!(places.taken(), 3, "however many there are");
    assert_eq!(places.take(ann).unwrap_err(), NoPlace::Full(2));
    // From two addresses, of which one has two players.
    kept[0].is_of(ann);
    kept[1].is_of(ann);
    kept[2].is_of(source(2));
    drop(kept.into_iter().skip(1).collect::<Vec<_>>());
    assert_eq!(places.take(source(2)).map(drop), Ok(()));
}
