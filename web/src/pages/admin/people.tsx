import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo } from "preact/hooks";

import { AdminClient } from "../../api/admin-client";
import { useApp } from "../../app/context";
import { NewPassword } from "../../components/admin/new-password";
import { OutcomeLine, useOutcome } from "../../components/admin/outcome";
import { Cell, Records } from "../../components/admin/records";
import { ScopeFields, scopeIn, scopeText } from "../../components/admin/scope-fields";
import { ConfirmDialog, FormDialog } from "../../components/dialog";
import { Icon } from "../../components/icon";
import { useAction } from "../../components/use-action";
import { formats, t } from "../../i18n";
import type { MadeKeys, Person } from "../../model/admin/accounts";
import { ROLES } from "../../model/admin/accounts";

type Task = "edit" | "password" | "disable" | "remove";
type Open = { readonly task: "add" } | { readonly task: Task; readonly person: Person };

/** The people who may log in. */
export function PeoplePage(): JSX.Element {
  const { api, session } = useApp();
  const admin = useMemo(() => new AdminClient(api), [api]);
  const people = useSignal<readonly Person[] | null>(null);
  const open = useSignal<Open | null>(null);
  const loading = useAction();
  const outcome = useOutcome();
  const load = (): Promise<boolean> => loading.run(async () => (people.value = await admin.people()));
  useEffect(() => void load(), []);
  const close = (): void => {
    open.value = null;
  };
  const done = async (text: string): Promise<void> => {
    close();
    await load();
    outcome.tell(text);
  };
  const enable = async (person: Person): Promise<void> => {
    if (await loading.run(() => admin.changePerson(person.name, { disabled: false }))) await done(t("people.enabled", { name: person.name }));
  };
  const shown = open.value;
  return (
    <>
      <div class="intro">
        <p class="muted">{t("people.intro")}</p>
        <button type="button" class="primary" onClick={() => (open.value = { task: "add" })}><Icon name="discovery" />{t("people.add")}</button>
      </div>
      <OutcomeLine outcome={outcome} />
      {loading.error.value && <p class="error" role="alert">{loading.error.value}</p>}
      {people.value === null ? !loading.error.value && <p class="waiting">{t("app.loading")}</p> : (
        <Records label={t("admin.tab.people")} columns={[t("people.name"), t("people.role"), t("admin.scope"), t("people.since"), t("admin.actions")]}>
          {people.value.map((person) => (
            <Row key={person.name} person={person} isSelf={person.name === session.userName} onTask={(task) => (open.value = { task, person })} onEnable={() => void enable(person)} />
          ))}
        </Records>
      )}
      {shown?.task === "add" && <AddDialog admin={admin} onClose={close} onDone={done} />}
      {shown !== null && shown.task !== "add" && <TaskDialog admin={admin} task={shown.task} person={shown.person} onClose={close} onDone={done} />}
    </>
  );
}

interface RowProps {
  readonly person: Person;
  readonly isSelf: boolean;
  readonly onTask: (task: Task) => void;
  readonly onEnable: () => void;
}

function Row({ person, isSelf, onTask, onEnable }: RowProps): JSX.Element {
  const { name, role, scope, createdAt, isDisabled } = person;
  const label = (text: string): string => `${text}: ${name}`;
  return (
    <tr role="row" data-muted={isDisabled}>
      <Cell name={t("people.name")} class="name">
        <strong>{name}</strong>
        {isSelf && <span class="tag">{t("people.you")}</span>}
        {isDisabled && <span class="tag"><Icon name="pause" />{t("people.disabled")}</span>}
      </Cell>
      <Cell name={t("people.role")}>{t(`auth.role.${role}`)}</Cell>
      <Cell name={t("admin.scope")} class="wide">{scopeText(scope)}</Cell>
      <Cell name={t("people.since")}>{createdAt === null ? t("value.none") : formats.value.day(createdAt)}</Cell>
      <Cell name={t("admin.actions")} class="actions">
        <button type="button" aria-label={label(t("details.edit"))} onClick={() => onTask("edit")}>{t("details.edit")}</button>
        <button type="button" aria-label={label(t("people.reset"))} onClick={() => onTask("password")}>{t("people.reset")}</button>
        {isDisabled
          ? <button type="button" aria-label={label(t("people.enable"))} onClick={onEnable}>{t("people.enable")}</button>
          : <button type="button" aria-label={label(t("people.disable"))} onClick={() => onTask("disable")}>{t("people.disable")}</button>}
        <button type="button" aria-label={label(t("admin.remove"))} onClick={() => onTask("remove")}>{t("admin.remove")}</button>
      </Cell>
    </tr>
  );
}

interface DialogProps {
  readonly admin: AdminClient;
  readonly onClose: () => void;
  readonly onDone: (text: string) => Promise<void>;
}

function AddDialog({ admin, onClose, onDone }: DialogProps): JSX.Element {
  const add = async (form: FormData): Promise<void> => {
    const name = String(form.get("name")).trim();
    const role = String(form.get("role"));
    await admin.addPerson(name, String(form.get("password")), role, role === "admin" ? null : scopeIn(form));
    await onDone(t("people.added", { name }));
  };
  return (
    <FormDialog title={t("people.add")} action={t("admin.add")} onSubmit={add} onClose={onClose}>
      <label>
        <span>{t("people.name")}</span>
        <input name="name" required autoFocus maxLength={64} autoComplete="off" autoCapitalize="none" spellcheck={false} />
      </label>
      <p class="hint">{t("people.name.hint")}</p>
      <NewPassword label={t("auth.password")} />
      <RoleFields person={null} />
    </FormDialog>
  );
}

/** The role, and for all but admins the devices. */
function RoleFields({ person }: { readonly person: Person | null }): JSX.Element {
  const role = useSignal(person?.role ?? "viewer");
  return (
    <>
      <fieldset>
        <legend>{t("people.role")}</legend>
        {ROLES.map((one) => (
          <label key={one} class="check">
            <input type="radio" name="role" value={one} checked={role.value === one} onChange={() => (role.value = one)} />
            <span>{t(`auth.role.${one}`)} <span class="muted small">{t(`people.role.${one}`)}</span></span>
          </label>
        ))}
      </fieldset>
      {role.value !== "admin" && <ScopeFields scope={person?.scope ?? null} />}
    </>
  );
}

function TaskDialog({ admin, task, person, onClose, onDone }: DialogProps & { readonly task: Task; readonly person: Person }): JSX.Element {
  const { name } = person;
  switch (task) {
    case "edit": {
      const save = async (form: FormData): Promise<void> => {
        const role = String(form.get("role"));
        const made = await admin.changePerson(name, { role, scope: role === "admin" ? null : scopeIn(form) });
        await onDone(withKeys(t("people.changed", { name }), made));
      };
      return (
        <FormDialog title={t("people.edit", { name })} action={t("details.save")} onSubmit={save} onClose={onClose}>
          <RoleFields person={person} />
          <p class="hint">{t("people.edit.hint")}</p>
        </FormDialog>
      );
    }
    case "password": {
      const save = async (form: FormData): Promise<void> => {
        await admin.changePerson(name, { password: String(form.get("password")) });
        await onDone(t("people.wasReset", { name }));
      };
      return (
        <FormDialog title={t("people.reset.title", { name })} action={t("auth.setup.submit")} onSubmit={save} onClose={onClose}>
          <NewPassword label={t("password.new")} hasInitialFocus />
          <p class="hint">{t("people.reset.hint")}</p>
        </FormDialog>
      );
    }
    case "disable": {
      const disable = async (): Promise<void> => {
        const made = await admin.changePerson(name, { disabled: true });
        await onDone(withKeys(t("people.wasDisabled", { name }), made));
      };
      return (
        <ConfirmDialog title={t("people.disable.title", { name })} action={t("people.disable")} onConfirm={disable} onClose={onClose}>
          <p>{t("people.disable.more")}</p>
          {person.role === "admin" && <p>{t("people.keysEnd")}</p>}
        </ConfirmDialog>
      );
    }
    case "remove": {
      const remove = async (): Promise<void> => {
        const made = await admin.removePerson(name);
        await onDone(withKeys(t("people.removed", { name }), made));
      };
      return (
        <ConfirmDialog title={t("people.remove.title", { name })} action={t("admin.remove")} onConfirm={remove} onClose={onClose}>
          <p>{t("people.remove.more")}</p>
          {person.role === "admin" && <p>{t("people.keysEnd")}</p>}
        </ConfirmDialog>
      );
    }
  }
}

/** What was done, and what became of the keys and links that the person made. */
function withKeys(text: string, { ended, kept, links }: MadeKeys): string {
  return [
    text,
    ...(ended.length > 0 ? [t("people.keys.ended", { names: ended.join(", ") })] : []),
    ...(kept.length > 0 ? [t("people.keys.kept", { names: kept.join(", ") })] : []),
    ...(links.length > 0 ? [t("people.links.ended", { names: links.join(", ") })] : []),
  ].join(" ");
}
