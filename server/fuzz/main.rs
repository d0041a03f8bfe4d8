//! One of the targets, by its name in the variable `TARGET`.
#![no_main]

mod client;

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("TARGET").expect("TARGET is the name of a target");
    let all = driftless_server::fuzz::TARGETS.into_iter().chain([("client", client::fuzz as fn(&[u8]))]);
    let found = all.into_iter().find(|(of, _)| *of == name);
    found.unwrap_or_else(|| panic!("there is no target {name:?}")).1
});

fuzz_target!(|data: &[u8]| TARGET(data));
