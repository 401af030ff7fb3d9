import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "netns",
    include: ["test/**/*.test.ts"],
    globalSetup: ["./test/build-first.ts"],
    // Two cores: one topology at a time keeps the timings of the emulator honest.
    fileParallelism: false,
    testTimeout: 30_000,
    hookTimeout: 30_000,
  },
});
