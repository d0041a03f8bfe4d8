// The prediction is the server's own result, and where it is not, no jump is visible.
import { describe, expect, it } from "vitest";
import { Prediction, Smoothing } from "../src/prediction.js";
import { random } from "./util/random.js";

const cart = () => new Prediction(0, (x: number, push: number) => x + push);

describe("a prediction", () => {
  it("applies inputs at once, and again after a correction", () => {
    const predicted = cart();
    predicted.push(1, 5);
    predicted.push(2, 5);
    expect(predicted.state).toBe(10);
    // The server says: at input 1 the cart was at 3 (somebody stood in the way).
    expect(predicted.reconcile(1, () => 3)).toBe(10);
    expect([predicted.state, predicted.pending]).toEqual([8, 1]);
  });

  it("is the server's own state when both run the same rules", () => {
    const rng = random(4);
    const predicted = cart();
    const truth: number[] = [0];
    for (let n = 1; n <= 500; n++) {
      const push = Math.floor(rng() * 21) - 10;
      truth.push(truth[n - 1]! + push);
      predicted.push(n, push);
      expect(predicted.state).toBe(truth[n]);
      // States come late and in gaps.
      const confirmed = n - Math.floor(rng() * 8);
      if (confirmed > 0 && rng() < 0.5) {
        predicted.reconcile(confirmed, () => truth[confirmed]!);
      }
      expect(predicted.state).toBe(truth[n]);
    }
  });

  it("ignores a state that is older than the last", () => {
    const predicted = cart();
    for (let n = 1; n <= 4; n++) predicted.push(n, 1);
    predicted.reconcile(3, () => 3);
    expect(predicted.reconcile(2, () => 99)).toBeUndefined();
    expect(predicted.state).toBe(4);
  });

  it("that is never confirmed is bounded", () => {
    const predicted = cart();
    for (let n = 1; n <= 10_000; n++) predicted.push(n, 1);
    expect([predicted.pending, predicted.state]).toEqual([256, 10_000]);
  });

  it("of a new seat counts from one again", () => {
    const predicted = cart();
    predicted.push(1, 5);
    predicted.reconcile(900, () => 0);
    predicted.reset(7);
    predicted.push(1, 1);
    expect(predicted.reconcile(1, () => 9)).toBe(8);
    expect(predicted.state).toBe(9);
  });
});

describe("a correction", () => {
  it("is hidden at first and halves", () => {
    const smoothing = new Smoothing(50, 100);
    smoothing.correct(0, -8, 4);
    expect(smoothing.offset(0)).toEqual({ x: 8, y: -4 });
    expect(smoothing.offset(50)).toEqual({ x: 4, y: -2 });
    expect(Math.abs(smoothing.offset(1000).x)).toBeLessThan(0.001);
  });

  it("adds to the one before without a step", () => {
    const smoothing = new Smoothing(50, 100);
    smoothing.correct(0, -8, 0);
    const shown = 2 + smoothing.offset(20).x;
    smoothing.correct(20, 3, 0);
    expect(5 + smoothing.offset(20).x).toBeCloseTo(shown);
  });

  it("from far away is not hidden", () => {
    const smoothing = new Smoothing(50, 100);
    smoothing.correct(0, -1000, 0);
    expect(smoothing.offset(0)).toEqual({ x: 0, y: 0 });
    smoothing.correct(0, NaN, 0);
    expect(smoothing.offset(0)).toEqual({ x: 0, y: 0 });
  });
});
