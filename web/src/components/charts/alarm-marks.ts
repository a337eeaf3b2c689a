import type uPlot from "uplot";

import type { Priority } from "../../model/alarms/alarm";
import type { DrawnLimit } from "../../model/alarms/rules";
import { extendedRange } from "../../model/alarms/rules";
import type { AlarmSpan } from "../../model/alarms/spans";
import { clipped } from "./plot-style";

const SPAN_OPACITY = 0.14;
const DEADBAND_OPACITY = 0.12;
const MIN_WIDTH_PIXELS = 2;

/** The limits of alarms on a chart, with their deadbands, and the times in which an alarm was active. */
export class AlarmMarks {
  #limits: readonly DrawnLimit[] = [];
  #spans: readonly AlarmSpan[] = [];

  set(limits: readonly DrawnLimit[], spans: readonly AlarmSpan[]): void {
    this.#limits = limits;
    this.#spans = spans;
  }

  extended(low: number | null, high: number | null): [number | null, number | null] {
    return low === null || high === null ? [low, high] : extendedRange(this.#limits, low, high);
  }

  drawBehind(plot: uPlot): void {
    clipped(plot, (ctx, bbox) => {
      for (const { from, to, priority } of this.#spans) {
        const [start, end] = [plot.valToPos(from / 1000, "x", true), plot.valToPos(to / 1000, "x", true)];
        ctx.globalAlpha = SPAN_OPACITY;
        ctx.fillStyle = colourOf(plot, priority);
        ctx.fillRect(start, bbox.top, Math.max(end - start, MIN_WIDTH_PIXELS), bbox.height);
      }
      for (const { at, clear, priority } of this.#limits) {
        const [limit, end] = [plot.valToPos(at, "y", true), plot.valToPos(clear, "y", true)];
        ctx.globalAlpha = DEADBAND_OPACITY;
        ctx.fillStyle = colourOf(plot, priority);
        ctx.fillRect(bbox.left, Math.min(limit, end), bbox.width, Math.abs(end - limit));
      }
    });
  }

  /** Long dashes for single values, short ones for means. */
  drawLimits(plot: uPlot): void {
    clipped(plot, (ctx, bbox) => {
      ctx.lineWidth = devicePixelRatio * 1.5;
      for (const { at, priority, isOfSingleValues } of this.#limits) {
        const y = plot.valToPos(at, "y", true);
        ctx.strokeStyle = colourOf(plot, priority);
        ctx.setLineDash((isOfSingleValues ? [8, 4] : [2, 4]).map((length) => length * devicePixelRatio));
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
      }
    });
  }
}

/** A canvas cannot use CSS variables: the chart's element has the colours as properties. */
function colourOf(plot: uPlot, priority: Priority): string {
  const style = getComputedStyle(plot.root.parentElement ?? plot.root);
  return style.getPropertyValue(priority === "critical" || priority === "high" ? "column-rule-color" : "text-decoration-color");
}
