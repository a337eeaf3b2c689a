const ENTRY = /<script\b[^>]*\bsrc="([^"]*\bassets\/[^"]+\.js)"/;

/** The entry script of the dashboard's HTML, whose name changes with every build; null if it has none, as while developing. */
export function entryScript(html: string): string | null {
  return ENTRY.exec(html)?.[1]?.replace(/^.*\//, "") ?? null;
}
