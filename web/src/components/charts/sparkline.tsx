import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import type { Trend } from "../../model/history/trend";
import { sparkRange } from "../../model/history/trend";
import { isDark } from "../theme";

const INSET = 3;
/** An hour on so few pixels does not change sooner, and to draw it with every reading would cost a busy page much. */
const STANDS_MS = 5000;

const NONE: readonly number[] = [];

/** The points of a trend, the same ones for a while. */
export function usePoints(trend: Trend | undefined, now: number): readonly number[] {
  const known = useRef<{ readonly trend: Trend | undefined; readonly at: number; readonly points: readonly number[] } | null>(null);
  const { current } = known;
  if (current !== null && current.trend === trend && now - current.at < STANDS_MS) return current.points;
  const points = trend?.points(now) ?? NONE;
  known.current = { trend, at: now, points };
  return points;
}

/** The last hour of one field, drawn in the colour of the text; a gap is a gap. */
export function Sparkline({ field, points }: { field: string; points: readonly number[] }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current) drawSoon(canvas.current, field, points);
  }, [points, dark]);
  return <canvas class="sparkline" ref={canvas} aria-hidden="true" />;
}

interface Due {
  readonly field: string;
  readonly points: readonly number[];
}

interface Measured extends Due {
  readonly canvas: HTMLCanvasElement;
  readonly width: number;
  readonly height: number;
  readonly colour: string;
}

const due = new Map<HTMLCanvasElement, Due>();

/** All of a frame together: first every canvas is measured, then every one is drawn, so the page is laid out once. */
function drawSoon(canvas: HTMLCanvasElement, field: string, points: readonly number[]): void {
  if (due.size === 0) requestAnimationFrame(drawDue);
  due.set(canvas, { field, points });
}

function drawDue(): void {
  const measured = [...due].map(([canvas, one]): Measured => {
    const { clientWidth: width, clientHeight: height } = canvas;
    return { ...one, canvas, width, height, colour: getComputedStyle(canvas).color };
  });
  due.clear();
  for (const one of measured) draw(one);
}

function draw({ canvas, field, points, width, height, colour }: Measured): void {
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
      context.lineTo(x(n), y(value)); // a point alone is a dot
      drawing = true;
    }
  });
  context.stroke();

  const last = points.findLastIndex((value) => !Number.isNaN(value));
  context.beginPath();
  context.arc(x(last), y(points[last] ?? 0), 2.25, 0, 2 * Math.PI);
  context.fill();
}
