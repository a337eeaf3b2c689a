import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

const watched = new WeakMap<Element, (isSeen: boolean) => void>();
let observer: IntersectionObserver | null = null;

/** One observer for all that wants to know; a screen ahead counts as seen, so that nothing is empty when it is scrolled to. */
function watch(element: Element, tell: (isSeen: boolean) => void): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) watched.get(target)?.(isIntersecting);
    },
    { rootMargin: "50% 0px" },
  );
  const watching = observer;
  watched.set(element, tell);
  watching.observe(element);
  return () => {
    watching.unobserve(element);
    watched.delete(element);
  };
}

/** Whether the element is in sight, or nearly. */
export function useSeen<Target extends Element>(): [RefObject<Target | null>, boolean] {
  const target = useRef<Target>(null);
  const [isSeen, setSeen] = useState(false);
  useEffect(() => (target.current ? watch(target.current, setSeen) : undefined), []);
  return [target, isSeen];
}
