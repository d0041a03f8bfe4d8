import { Schema } from "../../src/codec/schema.js";
import type { Layout } from "./encoder.js";

const field = (name: string, quantaPerUnit: number) => ({ name, quantaPerUnit });
const groups = [
  { name: "position", fields: [field("x", 100)], predictor: "linear" as const },
  { name: "status", fields: [field("health", 1)], predictor: "hold" as const },
];
const columns = groups.flatMap((g) => g.fields.map((f) => ({ ...f, predictor: g.predictor })));

/** A game of carts, which move along a line and have a health. */
export const cartSchema = new Schema([{ name: "cart", groups, columns }]);
/** Its layout, for the encoder. */
export const CARTS: Layout = [[-1, 1]];
