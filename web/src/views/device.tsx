import type { JSX } from "preact";
export function DeviceView(_: { id: string }): JSX.Element { return <p>Device</p>; }
