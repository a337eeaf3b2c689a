/** Closes a menu on Escape, and when the pointer or the focus goes elsewhere. Returns a function that removes the listeners. */
export function closeFromOutside(details: { readonly current: HTMLDetailsElement | null }): () => void {
  const onOutside = ({ target }: Event): void => {
    const { current } = details;
    if (current?.open && target instanceof Node && !current.contains(target)) current.open = false;
  };
  const onKeyDown = ({ key }: KeyboardEvent): void => {
    const { current } = details;
    if (key !== "Escape" || !current?.open) return;
    current.open = false;
    current.querySelector("summary")?.focus();
  };
  addEventListener("pointerdown", onOutside);
  addEventListener("focusin", onOutside);
  addEventListener("keydown", onKeyDown);
  return () => {
    removeEventListener("pointerdown", onOutside);
    removeEventListener("focusin", onOutside);
    removeEventListener("keydown", onKeyDown);
  };
}
