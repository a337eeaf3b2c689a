import type { ComponentChildren, JSX } from "preact";

import "../../style/records.css";

interface RecordsProps {
  readonly label: string;
  readonly columns: readonly string[];
  readonly children: ComponentChildren;
}

/** A table whose rows become cards on a phone. The roles are set because a table with another `display` loses its own. */
export function Records({ label, columns, children }: RecordsProps): JSX.Element {
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label={label}>
      <table class="records" role="table">
        <thead><tr>{columns.map((name) => <th key={name} scope="col">{name}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** A cell with the name of its column, which is shown on a phone. */
export function Cell({ name, children, ...others }: { readonly name: string; readonly children: ComponentChildren; readonly class?: string }): JSX.Element {
  return <td role="cell" data-name={name} {...others}><div>{children}</div></td>;
}
