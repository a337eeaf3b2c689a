import type { JSX } from "preact";

/** Paths on a 20 × 20 grid, stroked in the text colour. */
const SHAPES = {
  flame: "M10.2 2c.7 2.5-.6 3.9-1.9 5.4C6.9 9 5.5 10.5 5.5 12.8A4.6 4.6 0 0 0 10 17.5a4.6 4.6 0 0 0 4.5-4.7c0-1.9-.8-3.3-1.7-4.5-.2 1-.7 1.7-1.5 2.1.4-3-.1-6.1-1.1-8.4Z",
  warning: "M10 3 2.5 16.5h15L10 3Zm0 5v4.2M10 14.3v.2",
  notice: "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15Zm0 6.5v5M10 6v.2",
  check: "m4.5 10.5 3.7 3.7 7.3-8",
  offline: "M3 3l14 14M6.2 12.8a5.4 5.4 0 0 1 6.2-1M3.5 9.8A9.3 9.3 0 0 1 8 7.2m3.9 0a9.3 9.3 0 0 1 4.6 2.6M10 16v.2",
  overview: "M3 3h5.5v5.5H3zM11.5 3H17v5.5h-5.5zM3 11.5h5.5V17H3zM11.5 11.5H17V17h-5.5z",
  table: "M3 4h14v12H3zM3 8h14M3 12h14M8 8v8",
  feed: "M3 5h14M3 10h14M3 15h9",
  discovery: "M10 3v14M3 10h14",
  health: "M2.5 10.5h3.5l2-5.5 3.5 10.5 2.3-5h3.7",
  back: "M12 4.5 6.5 10l5.5 5.5",
  forward: "m8 4.5 5.5 5.5L8 15.5",
  zoomIn: "M8.5 3.5a5 5 0 1 0 0 10 5 5 0 0 0 0-10Zm3.7 8.7 4.3 4.3M8.5 6.5v4m-2-2h4",
  zoomOut: "M8.5 3.5a5 5 0 1 0 0 10 5 5 0 0 0 0-10Zm3.7 8.7 4.3 4.3M6.5 8.5h4",
  search: "M8.5 3.5a5 5 0 1 0 0 10 5 5 0 0 0 0-10Zm3.7 8.7 4.3 4.3",
  close: "m5 5 10 10M15 5 5 15",
  copy: "M7 7V3.5h9.5V13H13M3.5 7H13v9.5H3.5z",
  pause: "M7 4.5v11M13 4.5v11",
  play: "M6.5 4v12l9-6-9-6Z",
  auto: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm0 0v14",
  light: "M10 6.5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7ZM10 2v1.5m0 13V18m8-8h-1.5M3.5 10H2m13.7-5.7-1.1 1.1M5.4 14.6l-1.1 1.1m11.4 0-1.1-1.1M5.4 5.4 4.3 4.3",
  dark: "M16.5 11.8A7 7 0 0 1 8.2 3.5a7 7 0 1 0 8.3 8.3Z",
  edit: "M3.5 16.5v-3L13 4l3 3-9.5 9.5h-3Z",
  queued: "M10 3a7 7 0 1 0 0 14 7 7 0 0 0 0-14Zm0 3v4.2l2.7 1.8",
  person: "M10 3a3.2 3.2 0 1 0 0 6.4A3.2 3.2 0 0 0 10 3ZM3.5 17c.6-3.4 3-5.2 6.5-5.2s5.9 1.8 6.5 5.2",
  alarms: "M10 3a4.8 4.8 0 0 0-4.8 4.8c0 4-1.7 5.2-1.7 6.2h13c0-1-1.7-2.2-1.7-6.2A4.8 4.8 0 0 0 10 3Zm-1.8 13.6a2 2 0 0 0 3.6 0",
  alarmsOff: "M5.9 5.2a4.8 4.8 0 0 0-.7 2.6c0 4-1.7 5.2-1.7 6.2H14M8.2 3.4A4.8 4.8 0 0 1 14.8 7.8c0 1.6.3 2.8.6 3.6M8.2 16.6a2 2 0 0 0 3.6 0M3 3l14 14",
  soundOn: "M3.5 7.8v4.4h3L10.5 16V4L6.5 7.8h-3Zm10-.3a3.6 3.6 0 0 1 0 5m2-7.2a6.6 6.6 0 0 1 0 9.4",
  soundOff: "M3.5 7.8v4.4h3L10.5 16V4L6.5 7.8h-3Zm10 .2 4 4m0-4-4 4",
  battery: "M2.5 6.5h13v7h-13zM17.5 8.8v2.4M5 9v2",
  admin: "M3 5.5h6.5m3 0H17M11 3.5v4M3 10h2.5m3 0H17M7 8v4M3 14.5h8.5m3 0H17M13 12.5v4",
  audit: "M5 2.8h10v14.4H5zM8 6.8h4M8 10h4M8 13.2h2.5",
  more: "M4.5 10h.2M10 10h.2M15.5 10h.2",
  compare: "M3 14.5c3-8 5 2 8-3s3.500-6 6-6M3 7c3 0 4 6 7 6s4-1 7-1",
  share: "M10 12.5V3m-3.5 3.5L10 3l3.5 3.5M5.5 9.5h-1v7.5h11V9.5h-1",
  sent: "M3.5 10h12m-5-5 5 5-5 5",
} as const;

export type IconName = keyof typeof SHAPES;

export function Icon({ name }: { name: IconName }): JSX.Element {
  return (
    <svg class="icon" data-icon={name} viewBox="0 0 20 20" aria-hidden="true" focusable="false">
      <path d={SHAPES[name]} />
    </svg>
  );
}
