import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import type { AuthSession } from "../auth/session";
import { t } from "../i18n";
import type { Operation } from "../model/reference/description";
import { typeText } from "../model/reference/description";
import { SchemaDetails, withCode } from "./schema";
import { TryForm } from "./try-form";

interface OperationProps {
  readonly operation: Operation;
  readonly schemas: ReadonlyMap<string, unknown>;
  readonly base: URL;
  readonly session: AuthSession;
}

/** A route; what it takes and answers is rendered once it is opened. */
export function OperationItem(props: OperationProps): JSX.Element {
  const { id, method, path, summary } = props.operation;
  const isOpen = useSignal(false);
  return (
    <details id={id} class="route" onToggle={(event) => (isOpen.value = event.currentTarget.open)}>
      <summary>
        <span class="method" data-method={method}>{method}</span>
        <code>{path}</code>
        <span class="summary-text">{withCode(summary)}</span>
      </summary>
      {isOpen.value && <OperationBody {...props} />}
    </details>
  );
}

function OperationBody({ operation, schemas, base, session }: OperationProps): JSX.Element {
  const { aliases, permission, isGuarded, parameters, bodies, answers } = operation;
  return (
    <div class="route-body">
      <p class="small muted">{permission === null ? t(isGuarded ? "reference.needs.login" : "reference.needs.nothing") : t("reference.needs.right", { right: permission })}</p>
      {aliases.length > 0 && <p class="small">{t("reference.aliases")} {aliases.map((alias) => <code key={alias} class="alias">{alias}</code>)}</p>}
      {parameters.length > 0 && (
        <div class="scroll" tabIndex={0} role="region" aria-label={t("reference.parameters")}>
          <table>
            <thead><tr><th scope="col">{t("reference.parameters")}</th><th scope="col">{t("reference.type")}</th><th scope="col">{t("reference.meaning")}</th></tr></thead>
            <tbody>
              {parameters.map((one) => (
                <tr key={one.in + one.name}>
                  <th scope="row"><code>{one.name}</code> <span class="muted">{one.in}{one.isRequired && `, ${t("reference.required")}`}</span></th>
                  <td>{typeText(one.schema)}</td>
                  <td>{withCode(one.description)}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {bodies.length > 0 && <h3>{t("reference.body")}</h3>}
      {bodies.map(({ media, schema }) => <SchemaDetails key={media} label={media} schema={schema} schemas={schemas} />)}
      <TryForm operation={operation} schemas={schemas} base={base} session={session} />
      <h3>{t("reference.answers")}</h3>
      <ul class="answers">
        {answers.map(({ status, description, body }) => (
          <li key={status}>
            <p><code>{status}</code> {withCode(description)}</p>
            {body && <SchemaDetails label={body.media} schema={body.schema} schemas={schemas} />}
          </li>
        ))}
      </ul>
    </div>
  );
}
