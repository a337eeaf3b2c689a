import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useRef } from "preact/hooks";

import { useApp, useStore } from "../../app/context";
import type { DeviceAnnotations } from "../../app/device-annotations";
import { formats, t } from "../../i18n";
import { messageText } from "../../i18n/alarm-text";
import { fieldName } from "../../i18n/sentence";
import type { Annotation, AnnotationKind } from "../../model/history/annotations";
import { NOTE_LENGTH } from "../../model/notes";
import { ANYONE } from "../../model/wire";
import { errorText } from "../error-text";
import type { IconName } from "../icon";
import { Icon } from "../icon";

const ICONS: Readonly<Record<AnnotationKind, IconName>> = { alarm: "warning", offline: "offline", command: "sent", note: "edit" };

/** What an annotation says. */
export function annotationText(annotation: Annotation): string {
  switch (annotation.kind) {
    case "alarm":
    case "offline":
      return messageText(annotation.alarm);
    case "command": {
      const { command, value, state } = annotation.command;
      return t("annotation.command", { command: value === null ? command : `${command} ${value}`, state: t(`command.state.${state}`) });
    }
    case "note":
      return annotation.note.text;
  }
}

/** What is marked in the charts, the latest first, and a form for notes. */
export function AnnotationList({ annotations, fields }: { annotations: DeviceAnnotations; fields: readonly string[] }): JSX.Element {
  const { session } = useApp();
  const shown = annotations.annotations.value.toReversed();
  const error = useSignal("");
  const mayWrite = session.can("command");
  const remove = (id: string) => async (): Promise<void> => {
    if (!confirm(t("annotation.remove.question"))) return;
    error.value = "";
    await annotations.remove(id).catch((failure: unknown) => (error.value = t("annotation.failed", { error: errorText(failure) })));
  };
  return (
    <section class="panel annotations" id="annotations" aria-labelledby="annotations-title">
      <h2 id="annotations-title">{t("annotation.title")}</h2>
      {shown.length === 0 && <p class="muted small">{t("annotation.none")}</p>}
      <ol>
        {shown.map((one) => <Item key={`${one.kind} ${one.id}`} annotation={one} onRemove={one.kind === "note" && mayWrite ? remove(one.id) : null} />)}
      </ol>
      {mayWrite && <NoteForm annotations={annotations} fields={fields} />}
      {error.value && <p class="error small" role="alert">{error.value}</p>}
    </section>
  );
}

function Item({ annotation, onRemove }: { annotation: Annotation; onRemove: (() => void) | null }): JSX.Element {
  const store = useStore();
  const { kind, at, field } = annotation;
  const text = annotationText(annotation);
  const by = annotation.kind === "note" && annotation.note.by !== ANYONE ? annotation.note.by : "";
  return (
    <li data-kind={kind}>
      <Icon name={ICONS[kind]} />
      <div>
        <p class="small muted">
          <span>{t(`annotation.${kind}.kind`)}</span> · <time>{formats.value.moment(at, store.now.peek())}</time>
          {kind === "note" && field && <span> · {fieldName(field, store.table.value)}</span>}
          {by && <span> · {by}</span>}
        </p>
        <p class="text">{text}</p>
      </div>
      {onRemove && <button type="button" class="icon-button" aria-label={t("annotation.remove", { text })} title={t("annotation.remove", { text })} onClick={onRemove}><Icon name="close" /></button>}
    </li>
  );
}

function NoteForm({ annotations, fields }: { annotations: DeviceAnnotations; fields: readonly string[] }): JSX.Element {
  const store = useStore();
  const error = useSignal("");
  const isSaving = useSignal(false);
  const form = useRef<HTMLFormElement>(null);
  const save = async (event: SubmitEvent): Promise<void> => {
    event.preventDefault();
    const data = new FormData(form.current ?? undefined);
    const at = Date.parse(String(data.get("at")));
    isSaving.value = true;
    error.value = "";
    try {
      await annotations.add({ at: Number.isNaN(at) ? store.bridgeNow() : at, text: String(data.get("text")).trim(), field: String(data.get("field")) || null });
      form.current?.reset();
    } catch (failure) {
      error.value = t("annotation.failed", { error: errorText(failure) });
    }
    isSaving.value = false;
  };
  return (
    <form class="note-form" ref={form} onSubmit={(event) => void save(event)}>
      <label>
        <span>{t("annotation.note.text")}</span>
        <input name="text" required maxLength={NOTE_LENGTH} pattern=".*\S.*" placeholder={t("annotation.note.example")} />
      </label>
      <label>
        <span>{t("annotation.note.at")}</span>
        <input name="at" type="datetime-local" step="1" />
      </label>
      <label>
        <span>{t("annotation.note.field")}</span>
        <select name="field">
          <option value="">{t("annotation.note.all")}</option>
          {fields.map((name) => <option key={name} value={name}>{fieldName(name, store.table.value)}</option>)}
        </select>
      </label>
      <button type="submit" disabled={isSaving.value}>{t("annotation.note.add")}</button>
      {error.value && <p class="error small" role="alert">{error.value}</p>}
    </form>
  );
}
