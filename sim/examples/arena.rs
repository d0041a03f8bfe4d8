//! The arena's prediction as a WebAssembly module, for its page: `npm run wasm` in `clients/web`.

driftless_sim::export_predict!(driftless_sim::games::arena::Arena);
