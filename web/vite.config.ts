import { defineConfig } from "vitest/config";

import { icons } from "./build/icons.ts";
import { thirdPartyLicenses } from "./build/licenses.ts";
import { firstLoadBudget, precompress, socketIoClientScript } from "./build/bundle.ts";

export default defineConfig({
  base: "./",
  plugins: [socketIoClientScript(), thirdPartyLicenses(), icons(), firstLoadBudget(), precompress()],
  build: {
    target: "es2022",
    cssTarget: ["chrome111", "firefox115", "safari16.4"],
    assetsInlineLimit: 0, // the content security policy forbids data: URLs
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rolldownOptions: { input: ["index.html", "test.html", "api/docs.html"] },
  },
  test: { include: ["src/**/*.test.ts"] },
});
