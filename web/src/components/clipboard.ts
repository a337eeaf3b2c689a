/** By the clipboard, which browsers keep for HTTPS; else as it was done before. */
export async function copyText(text: string): Promise<boolean> {
  if (isSecureContext) return navigator.clipboard.writeText(text).then(() => true, () => false);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "unseen";
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  return copied;
}
