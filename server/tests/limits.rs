//! Limits of the whole server, which give places back by themselves. (Over loopback no address is limited, so sockets cannot
//! show this.)

#![allow(clippy::unwrap_used, clippy::expect_used)] // helpers of tests, too, may fail loudly

use driftless_server::{
    door::{ConnectionLimits, Refused},
    ground::{source::Source, transport_kind::TransportKind::WebSocket},
    metrics::Metrics,
};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

const ANN: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const BOB: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 2));
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn an_address_has_so_many_places_and_no_more() {
    let metrics = Arc::new(Metrics::new());
    let limits = ConnectionLimits::new(10, 2, metrics.clone());
    let first = limits.take(Source::of(ANN), WebSocket).unwrap();
    let _second = limits.take(Source::of(ANN), WebSocket).unwrap();
    let refused = limits.take(Source::of(ANN), WebSocket).unwrap_err();
    assert_eq!(refused, Refused::AddressFull { of: Source::of(ANN), max: 2 });
    let _other = limits.take(Source::of(BOB), WebSocket).unwrap();

    drop(first);
    let _again = limits.take(Source::of(ANN), WebSocket).unwrap();
    assert_eq!((limits.open(), metrics.transport(WebSocket).connections.get()), (3, 3));
}

#[test]
fn loopback_has_as_many_as_the_server() {
    let limits = ConnectionLimits::new(3, 1, Arc::new(Metrics::new()));
    let places: Vec<_> = (0..3).map(|_| limits.take(Source::of(LOOPBACK), WebSocket).unwrap()).collect();
    assert_eq!(limits.take(Source::of(LOOPBACK), WebSocket).unwrap_err(), Refused::ServerFull(3));
    assert_eq!(limits.take(Source::of(ANN), WebSocket).unwrap_err(), Refused::ServerFull(3));
    drop(places);
    assert_eq!(limits.open(), 0);
    assert!(limits.take(Source::of(ANN), WebSocket).is_ok());
}

#[test]
fn a_refusal_takes_no_place() {
    let limits = ConnectionLimits::new(1, 1, Arc::new(Metrics::new()));
    let place = limits.take(Source::of(ANN), WebSocket).unwrap();
    for _ in 0..10 {
        assert!(limits.take(Source::of(ANN), WebSocket).is_err());
        assert!(limits.take(Source::of(BOB), WebSocket).is_err());
    }
    drop(place);
    assert!(limits.take(Source::of(BOB), WebSocket).is_ok());
}
