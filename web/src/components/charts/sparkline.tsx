import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Trend } from "../../model/history/trend";
import { sparkRange } from "../../model/history/trend";
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

/** The last hour of one field, in the text colour; without readings the line has a gap. */
export function Sparkline({ field, points }: { field: string; points: readonly number[] }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current) scheduleDraw(canvas.current, field, points);
  }, [points, dark]);
  return <canvas class="sparkline" ref={canvas} aria-hidden="true" />;
}

interface Drawing {
  readonly field: string;
  readonly points: readonly number[];
}

interface MeasuredDrawing extends Drawing {
  readonly canvas: HTMLCanvasElement;
  readonly width: number;
  readonly height: number;
  readonly colour: string;
}

const scheduled = new Map<HTMLCanvasElement, Drawing>();

/** Measures all canvases of a frame before drawing any, so that the page is laid out only once. */
function scheduleDraw(canvas: HTMLCanvasElement, field: string, points: readonly number[]): void {
  if (scheduled.size === 0) requestAnimationFrame(drawScheduled);
  scheduled.set(canvas, { field, points });
}

function drawScheduled(): void {
  const measured = [...scheduled].map(([canvas, one]): MeasuredDrawing => {
    const { clientWidth: width, clientHeight: height } = canvas;
    return { ...one, canvas, width, height, colour: getComputedStyle(canvas).color };
  });
  scheduled.clear();
  for (const one of measured) draw(one);
}

function draw({ canvas, field, points, width, height, colour }: MeasuredDrawing): void {
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
  let drawing = false;
  points.forEach((value, n) => {
    if (Number.isNaN(value)) drawing = false;
    else if (drawing) context.lineTo(x(n), y(value));
    else {
      context.moveTo(x(n), y(value));
      context.lineTo(x(n), y(value)); // an isolated point becomes a dot
      drawing = true;
    }
  });
  context.stroke();

  const last = points.findLastIndex((value) => !Number.isNaN(value));
  context.beginPath();
  context.arc(x(last), y(points[last] ?? 0), 2.25, 0, 2 * Math.PI);
  context.fill();
}
