import { readFile } from "node:fs/promises";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Ships the browser build of the client, which the bridge serves at /socket.io/socket.io.js for other pages. */
function socketIoClientScript(): Plugin {
  return {
    name: "socket-io-client-script",
    apply: "build",
    async generateBundle() {
      const script = new URL("node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url);
      const source = await readFile(script, "utf8");
      this.emitFile({
        type: "asset",
        fileName: "socket.io.js",
        source: source.replace(/^\/\/# sourceMappingURL=.*$/m, "").trimEnd() + "\n",
      });
    },
  };
}

export default defineConfig({
  base: "./",
  plugins: [socketIoClientScript()],
  build: {
    target: "es2022",
    assetsInlineLimit: 0, // a strict content security policy refuses data: addresses
    modulePreload: { polyfill: false },
  },
  test: { include: ["src/**/*.test.ts"] },
});
