//! The arena's prediction as a WebAssembly module, for its page: `npm run wasm` in `clients/web`.

#![allow(unsafe_code, reason = "a module's exports keep their names")]

driftless_sim::export_predict!(driftless_sim::games::arena::Arena);
