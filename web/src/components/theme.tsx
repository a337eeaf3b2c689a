import { computed, signal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../i18n";
import { remember, remembered } from "./preferences";
import { Icon } from "./icon";

const CHOICES = ["auto", "light", "dark"] as const;
type Choice = (typeof CHOICES)[number];

const KEY = "sensor-bridge.colours";
const system = matchMedia("(prefers-color-scheme: dark)");

const choice = signal<Choice>(CHOICES.find((one) => one === remembered(KEY)) ?? "auto");
const systemIsDark = signal(system.matches);

/** What is drawn on canvas reads its colours anew when this changes. */
export const isDark = computed(() => choice.value === "dark" || (choice.value === "auto" && systemIsDark.value));

system.addEventListener("change", ({ matches }) => (systemIsDark.value = matches));
apply();

function apply(): void {
  document.documentElement.dataset["theme"] = choice.value;
}

function next(): void {
  choice.value = CHOICES[(CHOICES.indexOf(choice.value) + 1) % CHOICES.length] ?? "auto";
  apply();
  remember(KEY, choice.value);
}

export function ThemeButton(): JSX.Element {
  const label = t(`theme.${choice.value}`);
  return (
    <button type="button" class="quiet-button" aria-label={label} title={label} onClick={next}>
      <Icon name={choice.value} />
    </button>
  );
}
