import type uPlot from "uplot";

import { t } from "../../i18n";

const GAP_PIXELS = 4;

/** The current time on a chart that goes on into the future. */
export class NowMark {
  #at: number | null = null;

  /** Null where the chart ends now. */
  set(at: number | null): void {
    this.#at = at;
  }

  draw(plot: uPlot, colour: string, font: string): void {
    if (this.#at === null) return;
    const { ctx, bbox } = plot;
    const x = Math.round(plot.valToPos(this.#at / 1000, "x", true));
    if (x < bbox.left || x > bbox.left + bbox.width) return;
    ctx.save();
    ctx.fillStyle = colour;
    ctx.fillRect(x, bbox.top, Math.max(Math.round(devicePixelRatio), 1), bbox.height);
    ctx.font = font;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    const [text, left] = [t("forecast.now"), x + GAP_PIXELS * devicePixelRatio];
    const { width, actualBoundingBoxDescent: height } = ctx.measureText(text);
    ctx.clearRect(left, bbox.top, width, height + 1); // a limit may be drawn there
    ctx.fillText(text, left, bbox.top);
    ctx.restore();
  }
}
