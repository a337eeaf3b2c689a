/** Vite plugins: the Socket.IO client script, precompressed files, and a size budget for the first load. */

import { readFile, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

import type { Plugin } from "vite";

const FIRST_LOAD_LIMIT_BYTES = 150_000;
const COMPRESSIBLE = /\.(js|css|html|svg|json|webmanifest)$/;

/** Adds the browser build of the Socket.IO client, which the bridge serves at /socket.io/socket.io.js to other pages. */
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

/** Fails the build if the files needed for the first page exceed the limit, gzipped. */
export function firstLoadBudget(): Plugin {
  return {
    name: "first-load-budget",
    apply: "build",
    async writeBundle({ dir = "" }, bundle) {
      const page = await readFile(join(dir, "index.html"), "utf8");
      const files = new Set(["index.html", ...Object.keys(bundle).filter((name) => page.includes(name))]);
      for (const name of files) {
        const chunk = bundle[name];
        if (chunk?.type === "chunk") for (const imported of chunk.imports) files.add(imported);
      }
      let bytes = 0;
      for (const name of files) bytes += gzipSync(await readFile(join(dir, name)), { level: 9 }).length;
      this.info(`first load: ${(bytes / 1000).toFixed(1)} KB gzipped, ${FIRST_LOAD_LIMIT_BYTES / 1000} allowed`);
      if (bytes > FIRST_LOAD_LIMIT_BYTES) this.error(`first load: ${bytes} bytes gzipped, more than the ${FIRST_LOAD_LIMIT_BYTES} allowed`);
    },
  };
}

/** Writes a gzip and a Brotli version of each text file; the bridge serves the one that the browser accepts. */
export function precompress(): Plugin {
  return {
    name: "precompress",
    apply: "build",
    async closeBundle() {
      const dist = new URL("../dist/", import.meta.url);
      for (const name of await readdir(dist, { recursive: true })) {
        if (!COMPRESSIBLE.test(name)) continue;
        const file = new URL(name, dist);
        const content = await readFile(file);
        await writeFile(new URL(`${file}.gz`), gzipSync(content, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
        await writeFile(new URL(`${file}.br`), brotliCompressSync(content, { params }));
      }
    },
  };
}
