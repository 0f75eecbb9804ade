/** The bars: what the library takes of a browser's time, and of a user's. For a machine that does nothing else meanwhile. */
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/browser/**/*.bars.ts"],
    fileParallelism: false,
    testTimeout: 300_000,
    hookTimeout: 60_000,
  },
});
