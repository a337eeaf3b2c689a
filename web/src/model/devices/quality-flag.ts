/** Parses the bridge's quality flags, so that they can be translated. */

export type QualityFlag =
  | { readonly kind: "outside"; readonly low: number; readonly high: number; readonly clamped: boolean }
  | { readonly kind: "notANumber" | "notTrueOrFalse" | "notATime" | "before2020" | "ahead" }
  | { readonly kind: "other"; readonly text: string };

const OUTSIDE = /^outside (-?[\d.e+]+?)\.\.(-?[\d.e+]+)(, clamped)?$/;
const KINDS: Readonly<Record<string, "notANumber" | "notTrueOrFalse" | "notATime" | "before2020" | "ahead">> = {
  "not a number": "notANumber",
  "not true or false": "notTrueOrFalse",
  "not a time": "notATime",
  "before 2020-01-01": "before2020",
  "more than 5 minutes ahead": "ahead",
};

export function parseQualityFlag(text: string): QualityFlag {
  const outside = OUTSIDE.exec(text);
  if (outside) {
    const [low, high] = [Number(outside[1]), Number(outside[2])];
    if (Number.isFinite(low) && Number.isFinite(high)) return { kind: "outside", low, high, clamped: outside[3] !== undefined };
  }
  const kind = Object.hasOwn(KINDS, text) ? KINDS[text] : undefined;
  return kind ? { kind } : { kind: "other", text };
}
