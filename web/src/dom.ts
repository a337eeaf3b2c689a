/** The only ways this page writes to the document: text as text, and only where it differs. */

export function element<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  className = "",
  ...children: Node[]
): HTMLElementTagNameMap[Tag] {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function byId(root: Document, id: string): HTMLElement {
  const node = root.getElementById(id);
  if (node === null) throw new Error(`the page has no #${id}`);
  return node;
}

export function setText(node: HTMLElement, value: string): void {
  if (node.textContent !== value) node.textContent = value;
}

/** Shows the text, or hides the element when there is none. */
export function setOptionalText(node: HTMLElement, value: string | null): void {
  setText(node, value ?? "");
  setHidden(node, !value);
}

export function setHidden(node: HTMLElement, hidden: boolean): void {
  if (node.hidden !== hidden) node.hidden = hidden;
}

export function setState(node: HTMLElement, name: string, value: string): void {
  if (node.dataset[name] !== value) node.dataset[name] = value;
}
