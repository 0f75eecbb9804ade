import { configDefaults, defineConfig } from "vitest/config";

const browser = "test/browser/**/*.test.ts";
const tests = { unstubGlobals: true };
const react18 = new URL("test/react-18/node_modules/", import.meta.url).pathname;

export default defineConfig({
  test: {
    projects: [
      { test: { ...tests, name: "client", include: ["test/**/*.test.{ts,tsx}"], exclude: [...configDefaults.exclude, browser] } },
      {
        // The tests of ./react again, with the oldest React that is supported.
        resolve: { alias: [{ find: /^(react(-dom)?)(?=\/|$)/, replacement: `${react18}$1` }] },
        test: { ...tests, name: "react 18", env: { REACT: "18.2" }, include: ["test/react/**/*.test.tsx"] },
      },
      {
        // A browser and its edges keep a small machine busy: one file at a time, after all others.
        test: {
          ...tests,
          name: "browser",
          include: [browser],
          fileParallelism: false,
          testTimeout: 60_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
