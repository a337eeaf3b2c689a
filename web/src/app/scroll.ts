/** Content that is loaded later makes a page tall enough only then. */
const DEADLINE_MS = 5000;
const USER_EVENTS = ["wheel", "touchstart", "keydown", "pointerdown"] as const;

/** Scrolls to `top` as soon as the page is tall enough, unless the user scrolls first. Returns what ends the attempt. */
export function scrollWhenTallEnough(top: number): () => void {
  const observer = new ResizeObserver(attempt);
  const timer = setTimeout(end, DEADLINE_MS);
  for (const type of USER_EVENTS) addEventListener(type, end, { passive: true });
  observer.observe(document.documentElement);
  attempt();
  return end;

  function attempt(): void {
    scrollTo(0, top);
    if (document.documentElement.scrollHeight - innerHeight >= top) end();
  }

  function end(): void {
    observer.disconnect();
    clearTimeout(timer);
    for (const type of USER_EVENTS) removeEventListener(type, end);
  }
}
