/** Parses the bridge's quality flags, so that they can be translated. */

type FlagKind =
  | "notANumber"
  | "notTrueOrFalse"
  | "notATime"
  | "before2020"
  | "ahead"
  | "belowOnePpb"
  | "belowOnePercent"
  | "perhapsVolts";

export type QualityFlag =
  | { readonly kind: "outside"; readonly low: number; readonly high: number; readonly clamped: boolean }
  | { readonly kind: "failure"; readonly code: number }
  | { readonly kind: FlagKind }
  | { readonly kind: "other"; readonly text: string };

const OUTSIDE = /^outside (-?[\d.e+]+?)\.\.(-?[\d.e+]+)(, clamped)?$/;
const FAILURE = /^sensor failure: ([\d.e+]+) is a code, not a value$/;
const KINDS: Readonly<Record<string, FlagKind>> = {
  "not a number": "notANumber",
  "not true or false": "notTrueOrFalse",
  "not a time": "notATime",
  "before 2020-01-01": "before2020",
  "more than 5 minutes ahead": "ahead",
  "below 1 ppb: probably in ppm or mg/m³, state its unit": "belowOnePpb",
  "below 1 %: probably a fraction, state its unit": "belowOnePercent",
  "between 1 and 5 %: perhaps in volts, state its unit": "perhapsVolts",
};

export function parseQualityFlag(text: string): QualityFlag {
  const outside = OUTSIDE.exec(text);
  if (outside) {
    const [low, high] = [Number(outside[1]), Number(outside[2])];
    if (Number.isFinite(low) && Number.isFinite(high)) return { kind: "outside", low, high, clamped: outside[3] !== undefined };
  }
  const code = Number(FAILURE.exec(text)?.[1] ?? NaN);
  if (Number.isFinite(code)) return { kind: "failure", code };
  const kind = Object.hasOwn(KINDS, text) ? KINDS[text] : undefined;
  return kind ? { kind } : { kind: "other", text };
}
