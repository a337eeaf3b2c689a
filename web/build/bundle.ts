/** What the build adds to what Vite does: the client script, files compressed ahead, and a limit to what the first load weighs. */

import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import type { Plugin } from "vite";

const LIMIT_BYTES = 150_000;
const WORTH_COMPRESSING = /\.(js|css|html|svg|json|webmanifest)$/;

/** Ships the browser build of the client, which the bridge serves at /socket.io/socket.io.js for other pages. */
export function socketIoClientScript(): Plugin {
  return {
    name: "socket-io-client-script",
    apply: "build",
    async generateBundle() {
      const script = new URL("../node_modules/socket.io-client/dist/socket.io.min.js", import.meta.url);
      const source = await readFile(script, "utf8");
      this.emitFile({
        type: "asset",
        fileName: "socket.io.js",
        source: source.replace(/^\/\/# sourceMappingURL=.*$/m, "").trimEnd() + "\n",
      });
    },
  };
}

/** Everything the browser asks for before the first view is there: more than 150 KB of it, and the build fails. */
export function firstLoad(): Plugin {
  return {
    name: "first-load",
    apply: "build",
    async writeBundle({ dir = "" }, bundle) {
      const page = await readFile(join(dir, "index.html"), "utf8");
      const files = new Set(["index.html", ...Object.keys(bundle).filter((name) => page.includes(name))]);
      for (const name of files) {
        const chunk = bundle[name];
        if (chunk?.type === "chunk") for (const needed of chunk.imports) files.add(needed);
      }
      let bytes = 0;
      for (const name of files) bytes += gzipSync(await readFile(join(dir, name)), { level: 9 }).length;
      this.info(`the first load is ${(bytes / 1000).toFixed(1)} KB compressed, of ${LIMIT_BYTES / 1000} allowed`);
      if (bytes > LIMIT_BYTES) this.error(`the first load is ${bytes} bytes compressed, more than ${LIMIT_BYTES}`);
    },
  };
}

/** Beside each file the same, compressed: the bridge sends what the browser takes. */
export function compressedAhead(): Plugin {
  return {
    name: "compressed-ahead",
    apply: "build",
    async closeBundle() {
      const dist = new URL("../dist/", import.meta.url);
      for (const name of await readdir(dist, { recursive: true })) {
        if (!WORTH_COMPRESSING.test(name)) continue;
        const file = new URL(name, dist);
        const content = await readFile(file);
        await writeFile(new URL(`${file}.gz`), gzipSync(content, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
        await writeFile(new URL(`${file}.br`), brotliCompressSync(content, { params }));
      }
    },
  };
}
