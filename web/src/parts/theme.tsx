import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../i18n";
import { Icon } from "./icon";

const CHOICES = ["auto", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];

const KEY = "sensor-bridge.colours";
const system = matchMedia("(prefers-color-scheme: dark)");

const choice = signal<Choice>(remembered());
const systemIsDark = signal(system.matches);

/** What is drawn on canvas reads its colours anew when this changes. */
export const isDark = computed(() => choice.value === "dark" || (choice.value === "auto" && systemIsDark.value));

system.addEventListener("change", ({ matches }) => (systemIsDark.value = matches));
apply();

function remembered(): Choice {
  try {
    return CHOICES.find((one) => one === localStorage.getItem(KEY)) ?? "auto";
  } catch {
    return "auto"; // storage is not allowed here
  }
}

function apply(): void {
  document.documentElement.dataset["theme"] = choice.value;
}

function next(): void {
  choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length] ?? "auto";
  apply();
  try {
    localStorage.setItem(KEY, choice.value);
  } catch {
    // for this visit, then
  }
}

export function ThemeButton(): JSX.Element {
  const label = t(`theme.${choice.value}`);
  return (
    <button type="button" class="quiet-button" aria-label={label} title={label} onClick={next}>
      <Icon name={choice.value} />
    </button>
  );
}
