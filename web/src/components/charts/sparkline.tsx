import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Trend } from "../../model/history/trend";
import { linesOf, sparkRange } from "../../model/history/trend";
import { isDark } from "../theme";

const INSET = 3;
/** An hour on so few pixels changes slowly, and redrawing it with every reading is expensive on a busy page. */
const REFRESH_MS = 5000;
const NO_POINTS: readonly number[] = [];

/** The points of a trend, recomputed at most every `REFRESH_MS`. */
export function useTrendPoints(trend: Trend | undefined, now: number): readonly number[] {
  const cached = useRef<{ readonly trend: Trend | undefined; readonly at: number; readonly points: readonly number[] } | null>(null);
  const { current } = cached;
  if (current !== null && current.trend === trend && now - current.at < REFRESH_MS) return current.points;
  const points = trend?.points(now) ?? NO_POINTS;
  cached.current = { trend, at: now, points };
  return points;
}

interface SparklineProps {
  readonly field: string;
  readonly points: readonly number[];
  /** The usual time between readings; null when unknown. */
  readonly intervalMs: number | null;
  /** What else decides the text colour. */
  readonly tone: string;
}

/** The last hour of one field, in the text colour; where readings are missing the line has a gap. */
export function Sparkline({ field, points, intervalMs, tone }: SparklineProps): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current) scheduleDraw(canvas.current, { field, points, intervalMs });
  }, [points, intervalMs, tone, dark]);
  return <canvas class="sparkline" ref={canvas} aria-hidden="true" />;
}

interface Drawing {
  readonly field: string;
  readonly points: readonly number[];
  readonly intervalMs: number | null;
}

interface MeasuredDrawing extends Drawing {
  readonly canvas: HTMLCanvasElement;
  readonly width: number;
  readonly height: number;
  readonly colour: string;
}

const scheduled = new Map<HTMLCanvasElement, Drawing>();

/** Measures all canvases of a frame before drawing any, so that the page is laid out only once. */
function scheduleDraw(canvas: HTMLCanvasElement, drawing: Drawing): void {
  if (scheduled.size === 0) requestAnimationFrame(drawScheduled);
  scheduled.set(canvas, drawing);
}

function drawScheduled(): void {
  const measured = [...scheduled].map(([canvas, one]): MeasuredDrawing => {
    const { clientWidth: width, clientHeight: height } = canvas;
    return { ...one, canvas, width, height, colour: getComputedStyle(canvas).color };
  });
  scheduled.clear();
  for (const one of measured) draw(one);
}

function draw({ canvas, field, points, intervalMs, width, height, colour }: MeasuredDrawing): void {
  const context = canvas.getContext("2d");
  if (!context || width === 0) return;
  const range = sparkRange(field, points);
  const scale = devicePixelRatio;
  const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
  if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  if (range === null) return;
  const [low, top] = range;
  const x = (n: number): number => INSET + (n / (points.length - 1)) * (width - 2 * INSET);
  const y = (value: number): number => height - INSET - ((value - low) / (top - low)) * (height - 2 * INSET);

  context.strokeStyle = context.fillStyle = colour;
  context.lineWidth = 1.5;
  context.lineJoin = context.lineCap = "round";
  context.beginPath();
  const lines = linesOf(points, intervalMs);
  for (const line of lines) {
    const [first] = line;
    if (first) context.moveTo(x(first[0]), y(first[1]));
    for (const [slot, value] of line) context.lineTo(x(slot), y(value)); // an isolated point becomes a dot
  }
  context.stroke();

  const last = lines.at(-1)?.at(-1);
  if (last === undefined) return;
  context.beginPath();
  context.arc(x(last[0]), y(last[1]), 2.25, 0, 2 * Math.PI);
  context.fill();
}
