/** The bridge's flags taken apart, so that they can be said in any language. */

export type Flaw =
  | { readonly kind: "outside"; readonly low: number; readonly high: number; readonly clamped: boolean }
  | { readonly kind: "notANumber" | "notTrueOrFalse" | "notATime" | "before2020" | "ahead" }
  | { readonly kind: "other"; readonly text: string };

const OUTSIDE = /^outside (-?[\d.e+]+?)\.\.(-?[\d.e+]+)(, clamped)?$/;
const WORDS: Readonly<Record<string, "notANumber" | "notTrueOrFalse" | "notATime" | "before2020" | "ahead">> = {
  "not a number": "notANumber",
  "not true or false": "notTrueOrFalse",
  "not a time": "notATime",
  "before 2020-01-01": "before2020",
  "more than 5 minutes ahead": "ahead",
};

export function parseFlaw(text: string): Flaw {
  const outside = OUTSIDE.exec(text);
  if (outside) {
    const [low, high] = [Number(outside[1]), Number(outside[2])];
    if (Number.isFinite(low) && Number.isFinite(high)) return { kind: "outside", low, high, clamped: outside[3] !== undefined };
  }
  const kind = Object.hasOwn(WORDS, text) ? WORDS[text] : undefined;
  return kind ? { kind } : { kind: "other", text };
}
