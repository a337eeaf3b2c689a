import { coloursOf } from "./plot-style";

export interface LegendEntry {
  readonly label: string;
  readonly colour: string;
  readonly dash: readonly number[];
}

const PADDING = 16;
const TITLE_PIXELS = 18;
const TEXT_PIXELS = 13;
const SWATCH = 26;
const LINE_HEIGHT = 1.5;

/** A picture of a chart as it is shown, on its background, with title and legend. Null if the browser cannot make one. */
export function chartPicture(root: HTMLElement, canvas: HTMLCanvasElement, title: string, subtitle: string, legend: readonly LegendEntry[]): Promise<Blob | null> {
  const scale = canvas.width / Math.max(canvas.clientWidth, 1);
  const [background = "", ink = "", muted = ""] = coloursOf(root, ["--surface", "--ink", "--muted"]);
  const family = getComputedStyle(root).fontFamily;
  const width = canvas.clientWidth + 2 * PADDING;
  const picture = document.createElement("canvas");
  const ctx = picture.getContext("2d");
  if (ctx === null) return Promise.resolve(null);
  const setFont = (pixels: number, weight = 400): string => (ctx.font = `${weight} ${pixels}px ${family}`);
  setFont(TEXT_PIXELS);
  const rows = legendRows(ctx, legend, width - 2 * PADDING);
  const head = PADDING + TITLE_PIXELS * LINE_HEIGHT + TEXT_PIXELS * LINE_HEIGHT + PADDING / 2;
  const height = head + canvas.clientHeight + (rows.length > 0 ? PADDING / 2 : 0) + rows.length * TEXT_PIXELS * LINE_HEIGHT + PADDING;
  Object.assign(picture, { width: Math.round(width * scale), height: Math.round(height * scale) });
  ctx.scale(scale, scale);
  ctx.fillStyle = background;
  ctx.fillRect(0, 0, width, height);
  ctx.textBaseline = "top";
  ctx.fillStyle = ink;
  setFont(TITLE_PIXELS, 600);
  ctx.fillText(title, PADDING, PADDING, width - 2 * PADDING);
  ctx.fillStyle = muted;
  setFont(TEXT_PIXELS);
  ctx.fillText(subtitle, PADDING, PADDING + TITLE_PIXELS * LINE_HEIGHT, width - 2 * PADDING);
  ctx.drawImage(canvas, PADDING, head, canvas.clientWidth, canvas.clientHeight);
  rows.forEach((row, n) => {
    let x = PADDING;
    const y = head + canvas.clientHeight + PADDING / 2 + n * TEXT_PIXELS * LINE_HEIGHT;
    for (const { label, colour, dash, wide } of row) {
      ctx.strokeStyle = colour;
      ctx.lineWidth = 2;
      ctx.setLineDash([...dash]);
      ctx.beginPath();
      ctx.moveTo(x, y + TEXT_PIXELS / 2);
      ctx.lineTo(x + SWATCH, y + TEXT_PIXELS / 2);
      ctx.stroke();
      ctx.fillStyle = ink;
      ctx.fillText(label, x + SWATCH + 6, y, width - x - SWATCH - PADDING);
      x += wide;
    }
  });
  return new Promise((resolve) => picture.toBlob(resolve, "image/png"));
}

type Placed = LegendEntry & { readonly wide: number };

function legendRows(ctx: CanvasRenderingContext2D, legend: readonly LegendEntry[], width: number): Placed[][] {
  const rows: Placed[][] = [];
  let left = 0;
  for (const entry of legend) {
    const wide = SWATCH + 6 + ctx.measureText(entry.label).width + PADDING;
    if (wide > left) {
      rows.push([]);
      left = width;
    }
    left -= wide;
    rows.at(-1)?.push({ ...entry, wide });
  }
  return rows;
}
