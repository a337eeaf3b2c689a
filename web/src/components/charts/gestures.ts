import type uPlot from "uplot";

import type { TimeSpan } from "../../model/history/time-range";

/** Pointer gestures on a chart; they change the time range of all charts. */
export interface ChartGestures {
  zoomTo(span: TimeSpan): void;
  /** Scales the range around a moment. */
  zoomBy(factor: number, around: number): void;
  /** By a fraction of the visible range. */
  panBy(fraction: number): void;
  toLive(): void;
}

const LEAST_PINCH_PIXELS = 8;
/** After a touch, browsers emulate a mouse that comes and leaves. */
const EMULATED_MS = 700;

/**
 * What pointers do on a plot. A mouse selects a range, and pans with Shift. One finger shows the values under it, which stay until the
 * next tap elsewhere; two fingers pan and zoom.
 */
export class PlotGestures {
  readonly #gestures: ChartGestures;
  readonly #fingers = new Map<number, number>();
  #plot: uPlot | null = null;
  #touchedAt = Number.NEGATIVE_INFINITY;
  /** How much longer the time on screen is than the range that gestures change. */
  stretch = 1;

  constructor(gestures: ChartGestures) {
    this.#gestures = gestures;
  }

  /** For the options of a plot. */
  get bind(): NonNullable<uPlot.Cursor["bind"]> {
    return {
      mousedown: (_plot, _target, proceed) => (event) => {
        if (event.shiftKey) this.#beginPan(event);
        else proceed(event);
        return null;
      },
      mouseleave: (_plot, _target, proceed) => (event) => {
        if (performance.now() - this.#touchedAt > EMULATED_MS) proceed(event);
        return null;
      },
      dblclick: () => () => {
        this.#gestures.toLive();
        return null;
      },
    };
  }

  attach(plot: uPlot): void {
    this.#plot = plot;
    const { over } = plot;
    over.style.touchAction = "pan-y";
    over.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    over.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "touch") return;
      this.#fingers.set(event.pointerId, event.clientX);
      this.#showValues(event);
    });
    over.addEventListener("pointermove", (event) => this.#fingerMoved(event));
    for (const end of ["pointerup", "pointercancel", "pointerleave"] as const) over.addEventListener(end, (event) => this.#fingers.delete(event.pointerId));
  }

  selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width <= 0) return;
    const span = { from: plot.posToVal(left, "x") * 1000, to: plot.posToVal(left + width, "x") * 1000 };
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.#gestures.zoomTo(span);
  }

  #beginPan(event: MouseEvent): void {
    let { clientX } = event;
    const move = (moved: MouseEvent): void => {
      this.#panBy((clientX - moved.clientX) / (this.#plot?.over.clientWidth ?? 1));
      clientX = moved.clientX;
    };
    const end = (): void => {
      removeEventListener("mousemove", move);
      removeEventListener("mouseup", end);
    };
    addEventListener("mousemove", move);
    addEventListener("mouseup", end);
  }

  /** By a fraction of the width. */
  #panBy(fraction: number): void {
    this.#gestures.panBy(fraction * this.stretch);
  }

  /** Ctrl or ⌘ zooms, horizontal scrolling pans; anything else scrolls the page. */
  #wheel(event: WheelEvent): void {
    if (this.#plot === null) return;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.#gestures.zoomBy(2 ** (event.deltaY / 300), this.#plot.posToVal(event.offsetX, "x") * 1000);
    } else if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.#panBy(event.deltaX / this.#plot.over.clientWidth);
    }
  }

  #fingerMoved(event: PointerEvent): void {
    const before = this.#fingers.get(event.pointerId);
    if (before === undefined || this.#plot === null) return;
    const other = [...this.#fingers].find(([id]) => id !== event.pointerId)?.[1];
    const { left, width } = this.#plot.over.getBoundingClientRect();
    if (other === undefined) this.#showValues(event);
    else {
      const [was, is] = [Math.abs(before - other), Math.abs(event.clientX - other)];
      const around = this.#plot.posToVal((event.clientX + other) / 2 - left, "x") * 1000;
      if (was > LEAST_PINCH_PIXELS && is > LEAST_PINCH_PIXELS) this.#gestures.zoomBy(was / is, around);
      this.#panBy((before - event.clientX) / width / 2); // each of the two fingers moves half of it
    }
    this.#fingers.set(event.pointerId, event.clientX);
  }

  #showValues({ clientX, clientY }: PointerEvent): void {
    this.#touchedAt = performance.now();
    const { left, top } = this.#plot?.over.getBoundingClientRect() ?? { left: 0, top: 0 };
    this.#plot?.setCursor({ left: clientX - left, top: clientY - top });
  }
}
