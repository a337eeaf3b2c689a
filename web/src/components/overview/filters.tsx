import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useStore } from "../../app/context";
import { t } from "../../i18n";
import type { DeviceFilter, StatusFilter } from "../../model/devices/ranking";
import { Icon } from "../icon";

export const STATUS_FILTERS: readonly StatusFilter[] = ["all", "attention", "offline"];
export const VIEWS = ["cards", "table"] as const;
export type View = (typeof VIEWS)[number];

const SEARCH_KEY = "/";
const TEXT_FIELDS = "input, textarea, select, [contenteditable]";

interface FiltersProps {
  readonly filter: DeviceFilter;
  readonly onChange: (filter: DeviceFilter) => void;
}

export function Filters({ filter, onChange }: FiltersProps): JSX.Element {
  const { counts } = useStore();
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const focus = (event: KeyboardEvent): void => {
      const isText = event.target instanceof Element && event.target.closest(TEXT_FIELDS) !== null;
      if (event.key !== SEARCH_KEY || event.ctrlKey || event.altKey || event.metaKey || isText) return;
      event.preventDefault();
      input.current?.select();
      input.current?.focus();
    };
    addEventListener("keydown", focus);
    return () => removeEventListener("keydown", focus);
  }, []);
  return (
    <search class="filters">
      <label class="search" title={t("overview.search.key")}>
        <Icon name="search" />
        <span class="visually-hidden">{t("overview.search")}</span>
        <input
          ref={input}
          type="search"
          aria-keyshortcuts={SEARCH_KEY}
          placeholder={t("overview.search.hint")}
          value={filter.text}
          onInput={(event) => onChange({ ...filter, text: event.currentTarget.value })}
        />
        <kbd aria-hidden="true">{SEARCH_KEY}</kbd>
      </label>
      <div class="choices" role="group" aria-label={t("overview.filter.label")}>
        {STATUS_FILTERS.map((status) => (
          <button type="button" key={status} aria-pressed={filter.status === status} onClick={() => onChange({ ...filter, status })}>
            {t(`overview.filter.${status}`)} <span class="number">{counts.value[status]}</span>
          </button>
        ))}
      </div>
    </search>
  );
}

interface ViewChoiceProps {
  readonly view: View;
  readonly onChange: (view: View) => void;
}

export function ViewChoice({ view, onChange }: ViewChoiceProps): JSX.Element {
  return (
    <div class="choices" role="group" aria-label={t("overview.view.label")}>
      {VIEWS.map((one) => (
        <button type="button" key={one} aria-pressed={view === one} onClick={() => onChange(one)}>
          <Icon name={one === "cards" ? "overview" : "table"} />
          {t(`overview.view.${one}`)}
        </button>
      ))}
    </div>
  );
}
