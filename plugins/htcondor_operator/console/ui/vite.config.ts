/**
 * One UMD file for Airflow's plugin host.
 *
 * The host shares React, the router and Chakra UI as globals (Airflow 3.3.2); everything else is
 * in the bundle. The output has to be the same on every machine: it is committed, and a test
 * builds it again and compares.
 */
import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const HOST_GLOBALS: Record<string, string> = {
  react: "React",
  "react-dom": "ReactDOM",
  "react/jsx-runtime": "ReactJSXRuntime",
  "react-router-dom": "ReactRouterDOM",
  "@chakra-ui/react": "ChakraUI",
  "@emotion/react": "EmotionReact",
};

export default defineConfig(({ mode }) => ({
  plugins: [react()],
  define:
    mode === "test" ? {} : { "process.env.NODE_ENV": JSON.stringify("production") },
  build: {
    target: "es2022",
    outDir: "dist",
    sourcemap: false,
    lib: {
      entry: "src/main.tsx",
      name: "AirflowPlugin",
      formats: ["umd"],
      fileName: () => "main.js",
    },
    rolldownOptions: {
      external: Object.keys(HOST_GLOBALS),
      output: { globals: HOST_GLOBALS, exports: "default" },
    },
  },
  test: {
    environment: "happy-dom",
    globals: true,
    setupFiles: ["tests/setup.ts"],
    include: ["tests/**/*.test.{ts,tsx}"],
    // Longer than what a test waits for one answer, so that it can say which did not come.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    // The machines that build this have two cores.
    maxWorkers: 2,
  },
}));
