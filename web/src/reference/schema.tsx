import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { t } from "../i18n";
import { field, text } from "../model/json";
import { namesIn, propertiesOf, typeText } from "../model/reference/description";

/** A text of the description, whose code stands between backticks. */
export function withCode(described: string): (JSX.Element | string)[] {
  return described.split("`").map((part, index) => (index % 2 === 1 ? <code key={index}>{part}</code> : part));
}

interface SchemaProps {
  readonly label: string;
  readonly schema: unknown;
  readonly schemas: ReadonlyMap<string, unknown>;
}

/** A schema: its type, and its properties once it is opened, those of named schemas in it likewise. */
export function SchemaDetails({ label, schema, schemas }: SchemaProps): JSX.Element {
  const isOpen = useSignal(false);
  const title = <><span class="muted">{label}</span> <code>{typeText(schema)}</code></>;
  const names = namesIn(schema);
  const own = propertiesOf(schema);
  if (names.length === 0 && own.length === 0) return <p class="schema small">{title}</p>;
  return (
    <details class="schema small" onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>{title}</summary>
      {isOpen.value && own.length > 0 && <Properties schema={schema} schemas={schemas} />}
      {isOpen.value && names.map((name) => <Named key={name} name={name} schemas={schemas} isOnly={names.length === 1} />)}
    </details>
  );
}

function Named({ name, schemas, isOnly }: { readonly name: string; readonly schemas: ReadonlyMap<string, unknown>; readonly isOnly: boolean }): JSX.Element {
  const schema = schemas.get(name);
  const description = text(field(schema, "description"), 2000);
  return (
    <>
      {!isOnly && <p><code>{name}</code></p>}
      {description && <p>{withCode(description)}</p>}
      {propertiesOf(schema).length > 0 ? <Properties schema={schema} schemas={schemas} /> : <SchemaDetails label="" schema={schema} schemas={schemas} />}
    </>
  );
}

function Properties({ schema, schemas }: { readonly schema: unknown; readonly schemas: ReadonlyMap<string, unknown> }): JSX.Element {
  return (
    <ul class="properties">
      {propertiesOf(schema).map((one) => (
        <li key={one.name}>
          <p><code>{one.name}</code>{one.isRequired && <span class="muted"> {t("reference.required")}</span>} {withCode(one.description)}</p>
          <SchemaDetails label="" schema={one.schema} schemas={schemas} />
        </li>
      ))}
    </ul>
  );
}
