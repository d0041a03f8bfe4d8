import { defineConfig } from "vitest/config";

// One browser and one server at a time: the machine's noise is not what is being tested. Once more before
// it counts, because real browsers on a busy machine now and then miss a moment.
export default defineConfig({
  test: {
    include: ["e2e/**/*.test.ts"],
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
    retry: 1,
  },
});
