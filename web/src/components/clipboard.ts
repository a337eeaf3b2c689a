/** False when the browser refuses. The Clipboard API needs HTTPS; without it `execCommand` is used. */
export async function copyText(text: string): Promise<boolean> {
  if (isSecureContext) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "visually-hidden";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
