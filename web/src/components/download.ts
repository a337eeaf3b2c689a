const RELEASE_MS = 10_000;

/** Has the browser save a file. */
export function download(content: Blob, name: string): void {
  const url = URL.createObjectURL(content);
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), RELEASE_MS);
}

export function downloadCsv(text: string, name: string): void {
  download(new Blob([text], { type: "text/csv;charset=utf-8" }), name);
}
