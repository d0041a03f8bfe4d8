import type { Snapshot } from "./codec/snapshot.js";

/** A game's own rules, as `driftless_sim::wasm` exports them. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  driftless_abi(): number;
  driftless_buffer(length: number): number;
  driftless_start(player: number, tickRate: number): void;
  driftless_state(input: number): number;
  driftless_push(sequence: number): number;
  driftless_shown(): number;
  driftless_shown_after(): number;
  driftless_own(): number;
  driftless_error(): number;
}

const ABI = 1;
const MALFORMED = 2;

/** The source of a game's rules: see `wasm`. */
export interface RulesSource {
  /** Loads a prediction for one room. Rejects with an Error that says what is wrong. */
  load(): Promise<Rules>;
}

/**
 * The rules of a game for `connect`: `prediction: wasm("/game.wasm")`. The module is the game's own library,
 * built for wasm32-unknown-unknown with `driftless_sim::export_predict!`. The page's policy must allow
 * `'wasm-unsafe-eval'`.
 */
export function wasm(module: string | URL | BufferSource): RulesSource {
  return {
    async load() {
      const bytes = typeof module === "string" || module instanceof URL ? await fetched(module) : module;
      const { instance } = await WebAssembly.instantiate(bytes);
      return new Rules(instance.exports as unknown as Exports);
    },
  };
}

async function fetched(url: string | URL): Promise<ArrayBuffer> {
  const answer = await fetch(url);
  if (!answer.ok) throw new Error(`${String(url)}: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

/** The prediction in a module: the inputs sent, the server's states, and the game's rules. */
export class Rules {
  private width = 0;
  private words = new Int32Array(0);

  /** @internal */
  constructor(private readonly exports: Exports) {
    const abi = typeof exports.driftless_abi === "function" ? exports.driftless_abi() : undefined;
    if (abi !== ABI) {
      const what = abi === undefined ? "not a module of driftless_sim::export_predict!" : `of version ${abi}`;
      throw new Error(`it is ${what}; version ${ABI} is required`);
    }
  }

  /** The schema's kind of the player's entity. */
  get kind(): number {
    return this.exports.driftless_own();
  }

  /** A new seat: forgets everything. */
  start(player: number, tickRate: number): void {
    this.exports.driftless_start(player, tickRate);
  }

  /**
   * Takes a state of the server, which contains the inputs up to `input`. Throws an Error if it belongs to
   * another game.
   */
  state(input: number, snapshot: Snapshot): void {
    this.width = snapshot.tables[this.kind]?.columns.length ?? 0;
    const lengths = snapshot.tables.map((t) => 1 + t.length * (1 + t.columns.length));
    const texts = snapshot.textWords();
    const length = lengths.reduce((sum, n) => sum + n, 1 + texts.length);
    if (this.words.length < length) this.words = new Int32Array(2 * length);
    const { words } = this;
    words[0] = snapshot.tick;
    let at = 1;
    for (const { length, ids, columns } of snapshot.tables) {
      words[at++] = length;
      words.set(ids.subarray(0, length), at);
      at += length;
      for (const column of columns) {
        words.set(column.subarray(0, length), at);
        at += length;
      }
    }
    words.set(texts, at);
    this.write(new Uint8Array(words.buffer, 0, 4 * length));
    if (this.exports.driftless_state(input) === MALFORMED) {
      throw new Error(
        "the module does not fit the room's states: it belongs to another game, or to another version of it",
      );
    }
  }

  /** An input was sent with this number. Throws an Error if it belongs to another game. */
  push(sequence: number, payload: Uint8Array): void {
    this.write(payload);
    if (this.exports.driftless_push(sequence) === MALFORMED) {
      throw new Error(
        "the module does not fit the inputs: it belongs to another game, or to another version of it",
      );
    }
  }

  /** The player's row with all inputs, quanta. Undefined: the state has none. */
  shown(): Int32Array | undefined {
    return this.row(this.exports.driftless_shown());
  }

  /** The same, as if this were the next input. */
  shownAfter(payload: Uint8Array): Int32Array | undefined {
    this.write(payload);
    return this.row(this.exports.driftless_shown_after());
  }

  /** The error of the prediction for the last state, quanta. */
  get error(): number {
    return this.exports.driftless_error() >>> 0;
  }

  private write(bytes: Uint8Array): void {
    // The call may grow the memory, which detaches its buffer: get that afterwards.
    const at = this.exports.driftless_buffer(bytes.length);
    new Uint8Array(this.exports.memory.buffer, at, bytes.length).set(bytes);
  }

  private row(at: number): Int32Array | undefined {
    return at === 0 ? undefined : new Int32Array(this.exports.memory.buffer, at, this.width).slice();
  }
}
