import { defineConfig } from "vitest/config";

import { icons } from "./build/icons.ts";
import { compressedAhead, firstLoad, socketIoClientScript } from "./build/bundle.ts";

export default defineConfig({
  base: "./",
  plugins: [socketIoClientScript(), icons(), firstLoad(), compressedAhead()],
  build: {
    target: "es2022",
    cssTarget: ["chrome111", "firefox115", "safari16.4"],
    assetsInlineLimit: 0, // a strict content security policy refuses data: addresses
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: ["index.html", "test.html"] },
  },
  test: { include: ["src/**/*.test.ts"] },
});
