import type { JSX } from "preact";

import { t } from "../../i18n";
import type { Standard } from "../../model/standards";
import type { Measurement } from "../../model/wire";
import { standardTexts } from "./standard-text";

/** The bands of a chart by name: closed, one line. */
export function StandardLegend({ standard, measurement }: { standard: Standard; measurement: Measurement }): JSX.Element {
  const { title, bands } = standardTexts(standard, measurement);
  return (
    <details class="standard-legend">
      <summary>{t("chart.bands", { standard: title })}</summary>
      <ul>
        {bands.map(({ from, level, text }) => <li key={from} data-level={level}><i aria-hidden="true" />{text}</li>)}
      </ul>
    </details>
  );
}
