/** What is wrong with a delta: the same errors, by the same rules, as driftless-proto's `DeltaError`. */
export type DeltaFault =
  | "truncated"
  | "varint"
  | "field number"
  | "wire type"
  | "repeated"
  | "too large"
  | "trailing"
  | "head in shared"
  | "field order"
  | "before start"
  | "unknown kind"
  | "kind order"
  | "unknown group"
  | "group order"
  | "row"
  | "changed rows"
  | "spawned range"
  | "spawned twice"
  | "spawned groups"
  | "interleave"
  | "two codings"
  | "value count"
  | "residual"
  | "text length"
  | "text count"
  | "text twice"
  | "unknown text"
  | "references"
  | "checksum";

/** A delta that was refused. It is the sender's fault except for `references`, which is the caller's. */
export class DeltaError extends Error {
  override readonly name = "DeltaError";

  constructor(
    readonly fault: DeltaFault,
    detail = "",
  ) {
    super(detail === "" ? fault : `${fault}: ${detail}`);
  }
}
