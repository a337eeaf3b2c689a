import { computed, effect, signal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../i18n";
import { Icon } from "./icon";
import { loadPreference, savePreference } from "../app/preferences";

const THEMES = ["auto", "light", "dark"] as const;
export type Theme = (typeof THEMES)[number];

const KEY = "sensor-bridge.colours";
const systemDark = matchMedia("(prefers-color-scheme: dark)");

const theme = signal<Theme>(THEMES.find((one) => one === loadPreference(KEY)) ?? "auto");
const systemIsDark = signal(systemDark.matches);

/** Canvases are redrawn when this changes. */
export const isDark = computed(() => theme.value === "dark" || (theme.value === "auto" && systemIsDark.value));

systemDark.addEventListener("change", ({ matches }) => (systemIsDark.value = matches));
apply();
/** For what is drawn already when the page is printed. */
effect(() => {
  document.documentElement.dataset["dark"] = String(isDark.value);
});

function apply(): void {
  document.documentElement.dataset["theme"] = theme.value;
}

function next(): void {
  theme.value = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length] ?? "auto";
  apply();
  savePreference(KEY, theme.value);
}

/** The theme of this page alone: `given`, else the one that this browser remembers, else dark. For screens on a wall. */
export function setWallTheme(given: Theme | null): void {
  theme.value = given ?? (loadPreference(KEY) === null ? "dark" : theme.peek());
  apply();
}

export function ThemeToggle(): JSX.Element {
  const label = t(`theme.${theme.value}`);
  return (
    <button type="button" class="icon-button" aria-label={label} title={label} onClick={next}>
      <Icon name={theme.value} />
    </button>
  );
}
