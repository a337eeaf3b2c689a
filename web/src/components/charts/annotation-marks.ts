import type uPlot from "uplot";

import type { Annotation, AnnotationKind } from "../../model/history/annotations";
import { coloursOf } from "./plot-style";

const COLOURS: Readonly<Record<AnnotationKind, string>> = { alarm: "--alarm", offline: "--muted", command: "--accent", note: "--ink" };
const KINDS = Object.keys(COLOURS) as AnnotationKind[];
const SIZE = 4;
const NEAR_PIXELS = 8;
const LINE_OPACITY = 0.45;
const OFFLINE_OPACITY = 0.12;

/** Marks on the time axis of a chart. Each kind has a shape of its own: triangle, bar, square, disc. */
export class AnnotationMarks {
  #annotations: readonly Annotation[] = [];
  #colours: ReadonlyMap<AnnotationKind, string> | null = null;

  set(annotations: readonly Annotation[]): void {
    this.#annotations = annotations;
  }

  /** Those at a position of the pointer, in CSS pixels. */
  near(plot: uPlot, left: number): readonly Annotation[] {
    return this.#annotations.filter(({ at }) => Math.abs(plot.valToPos(at / 1000, "x") - left) <= NEAR_PIXELS);
  }

  draw(plot: uPlot): void {
    if (this.#annotations.length === 0) return;
    const colours = (this.#colours ??= new Map(coloursOf(plot.root, KINDS.map((kind) => COLOURS[kind])).map((colour, n) => [KINDS[n] ?? "note", colour])));
    const { ctx, bbox } = plot;
    const [right, bottom] = [bbox.left + bbox.width, bbox.top + bbox.height];
    const size = SIZE * devicePixelRatio;
    ctx.save();
    for (const { kind, at, to } of this.#annotations) {
      const x = plot.valToPos(at / 1000, "x", true);
      const end = to === null ? x : Math.min(plot.valToPos(to / 1000, "x", true), right);
      ctx.fillStyle = ctx.strokeStyle = colours.get(kind) ?? "";
      if (kind === "offline" && end > bbox.left) {
        const from = Math.max(x, bbox.left);
        ctx.globalAlpha = OFFLINE_OPACITY;
        ctx.fillRect(from, bbox.top, end - from, bbox.height);
        ctx.globalAlpha = 1;
        ctx.fillRect(from, bottom - size, end - from, size);
      }
      if (x < bbox.left || x > right) continue;
      ctx.globalAlpha = kind === "alarm" || kind === "offline" ? 0 : LINE_OPACITY;
      ctx.fillRect(Math.round(x) - devicePixelRatio / 2, bbox.top, Math.max(devicePixelRatio, 1), bbox.height);
      ctx.globalAlpha = 1;
      if (kind !== "offline") shape(ctx, kind, x, bbox.top + size, size);
    }
    ctx.restore();
  }
}

function shape(ctx: CanvasRenderingContext2D, kind: Exclude<AnnotationKind, "offline">, x: number, y: number, size: number): void {
  ctx.beginPath();
  if (kind === "note") ctx.arc(x, y, size, 0, 2 * Math.PI);
  else if (kind === "command") ctx.rect(x - size * 0.85, y - size * 0.85, size * 1.7, size * 1.7);
  else {
    ctx.moveTo(x, y - size);
    ctx.lineTo(x + size, y + size);
    ctx.lineTo(x - size, y + size);
    ctx.closePath();
  }
  ctx.fill();
}
