import type { JSX } from "preact";
export function FeedView(_: { device: string }): JSX.Element { return <p>Feed</p>; }
