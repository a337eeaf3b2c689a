/** A Vite plugin that renders the icons of the installed page from the SVG. */

import { readFile } from "node:fs/promises";

import { Resvg, initWasm } from "@resvg/resvg-wasm";
import type { Plugin } from "vite";

const SVG = new URL("../public/favicon.svg", import.meta.url);
const WASM = new URL("../node_modules/@resvg/resvg-wasm/index_bg.wasm", import.meta.url);

const ICONS: readonly (readonly [name: string, size: number, transform: (svg: string) => string])[] = [
  ["icon-192.png", 192, (svg) => svg],
  ["icon-512.png", 512, (svg) => svg],
  ["icon-maskable.png", 512, maskable],
  ["apple-touch-icon.png", 180, maskable],
];

/** Extends the background for systems that crop icons to their own shape; the content stays within 80 % of the width. */
function maskable(svg: string): string {
  const wide = svg.replace('viewBox="0 0 32 32"', 'viewBox="-3 -3 38 38"').replace(/<rect width="32" height="32" rx="8"/, '<rect x="-3" y="-3" width="38" height="38"');
  if (wide.includes('rx="8"') || wide.includes('viewBox="0')) throw new Error("favicon.svg: viewBox or background not found; icons.ts must be adapted to the new drawing");
  return wide;
}

export function icons(): Plugin {
  return {
    name: "icons",
    apply: "build",
    async generateBundle() {
      await initWasm(await readFile(WASM));
      const svg = await readFile(SVG, "utf8");
      for (const [fileName, size, transform] of ICONS) {
        const source = new Resvg(transform(svg), { fitTo: { mode: "width", value: size } }).render().asPng();
        this.emitFile({ type: "asset", fileName, source });
      }
    },
  };
}
