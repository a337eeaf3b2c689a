import type { RefObject } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

type Listener = (isVisible: boolean) => void;

const listeners = new Map<Element, Listener>();
let observer: IntersectionObserver | null = null;

/** One observer for all elements. Half a screen around the viewport counts as visible, so that scrolling shows no empty cards. */
function observe(element: Element, listener: Listener): () => void {
  observer ??= new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) listeners.get(target)?.(isIntersecting);
    },
    { rootMargin: "50% 0px" },
  );
  const current = observer;
  listeners.set(element, listener);
  current.observe(element);
  return () => {
    current.unobserve(element);
    listeners.delete(element);
  };
}

/** Paper has no screen: everything is printed, as far as it can be rendered at once. */
addEventListener("beforeprint", () => {
  for (const listener of listeners.values()) listener(true);
});

/** Whether the element is on screen or close to it. */
export function useVisible<Target extends Element>(): [RefObject<Target | null>, boolean] {
  const target = useRef<Target>(null);
  const [isVisible, setVisible] = useState(false);
  useEffect(() => (target.current ? observe(target.current, setVisible) : undefined), []);
  return [target, isVisible];
}
