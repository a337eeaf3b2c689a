import type uPlot from "uplot";

import type { Standard } from "../../model/standards";
import type { Conversion } from "../../model/units";
import { shown } from "../../model/units";
import { clipped, coloursOf } from "./plot-style";

/** Of each level: higher classes are a little stronger. */
const BAND_OPACITY = 0.025;
const EDGE_OPACITY = 0.75;
const EDGE_PIXELS = 3;
const LINE_OPACITY = 0.35;
const LEVELS = [0, 1, 2, 3, 4, 5] as const;

/** The classes of a standard behind the values of a chart, faintly, and as a strip at its left edge. */
export class StandardMarks {
  #standard: Standard | null = null;
  #conversion: Conversion | null = null;
  #colours: readonly string[] = [];

  set(standard: Standard | null, conversion: Conversion): void {
    this.#standard = standard;
    this.#conversion = conversion;
  }

  draw(plot: uPlot): void {
    const [standard, conversion] = [this.#standard, this.#conversion];
    if (standard === null || conversion === null) return;
    if (this.#colours.length === 0) this.#colours = coloursOf(plot.root, LEVELS.map((level) => `--level-${level}`));
    clipped(plot, (ctx, bbox) => {
      const edge = EDGE_PIXELS * devicePixelRatio;
      standard.bands.forEach(({ from, level }, n) => {
        const next = standard.bands[n + 1];
        const bottom = plot.valToPos(shown(from, conversion), "y", true);
        const top = next === undefined ? bbox.top : plot.valToPos(shown(next.from, conversion), "y", true);
        const [start, end] = [Math.max(top, bbox.top), Math.min(bottom, bbox.top + bbox.height)];
        if (end <= start) return;
        ctx.fillStyle = this.#colours[level] ?? "transparent";
        ctx.globalAlpha = level === 0 ? 0 : BAND_OPACITY * (1 + level);
        ctx.fillRect(bbox.left, start, bbox.width, end - start);
        ctx.globalAlpha = EDGE_OPACITY;
        ctx.fillRect(bbox.left, start, edge, end - start);
        if (n === 0 || bottom !== end) return;
        ctx.globalAlpha = LINE_OPACITY;
        ctx.fillRect(bbox.left, bottom - devicePixelRatio / 2, bbox.width, Math.max(devicePixelRatio, 1));
      });
    });
  }
}
