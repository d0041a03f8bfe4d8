import { defineConfig } from "vitest/config";

// One browser and one server at a time: the machine's noise is not what is being tested.
export default defineConfig({
  test: { include: ["e2e/**/*.test.ts"], fileParallelism: false, testTimeout: 60_000, hookTimeout: 60_000 },
});
