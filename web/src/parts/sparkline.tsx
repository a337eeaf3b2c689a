import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { sparkRange } from "../model/trend";
import { isDark } from "./theme";

const INSET = 3;

/** The last hour of one field, drawn in the colour of the text; a gap is a gap. */
export function Sparkline({ field, points }: { field: string; points: readonly number[] }): JSX.Element {
  const canvas = useRef<HTMLCanvasElement>(null);
  const dark = isDark.value;
  useEffect(() => {
    if (canvas.current) draw(canvas.current, points, sparkRange(field, points));
  }, [points, dark]);
  return <canvas class="sparkline" ref={canvas} aria-hidden="true" />;
}

function draw(canvas: HTMLCanvasElement, points: readonly number[], range: readonly [number, number] | null): void {
  const context = canvas.getContext("2d");
  const { clientWidth: width, clientHeight: height } = canvas;
  if (!context || width === 0) return;
  const scale = devicePixelRatio;
  canvas.width = Math.round(width * scale);
  canvas.height = Math.round(height * scale);
  context.scale(scale, scale);
  if (range === null) return;
  const [low, high] = range;
  const x = (n: number): number => INSET + (n / (points.length - 1)) * (width - 2 * INSET);
  const y = (value: number): number => height - INSET - ((value - low) / (high - low)) * (height - 2 * INSET);

  context.strokeStyle = context.fillStyle = getComputedStyle(canvas).color;
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
