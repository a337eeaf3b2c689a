import { useSignal } from "@preact/signals";
import type { JSX } from "preact";

import { useStore } from "../../app/context";
import { t } from "../../i18n";
import type { Scope } from "../../model/admin/accounts";
import { linesOf } from "../../model/admin/accounts";

const SHOWN_SITES = 12;

/** Which devices a person or a key is limited to. */
export function ScopeFields({ scope }: { readonly scope: Scope }): JSX.Element {
  const { fleet } = useStore();
  const isLimited = useSignal(scope !== null);
  const sites = [...new Set([...fleet.devices.values()].flatMap(({ record }) => record?.site ?? []))].sort().slice(0, SHOWN_SITES);
  return (
    <fieldset>
      <legend>{t("admin.scope")}</legend>
      <label class="check">
        <input type="radio" name="scope" value="all" checked={!isLimited.value} onChange={() => (isLimited.value = false)} />
        <span>{t("admin.scope.all")}</span>
      </label>
      <label class="check">
        <input type="radio" name="scope" value="some" checked={isLimited.value} onChange={() => (isLimited.value = true)} />
        <span>{t("admin.scope.some")}</span>
      </label>
      {isLimited.value && (
        <>
          <label>
            <span>{t("admin.scope.sites")}</span>
            <textarea name="sites" rows={2} spellcheck={false} defaultValue={scope?.sites.join("\n") ?? ""} />
          </label>
          {sites.length > 0 && <p class="hint">{t("admin.scope.known", { sites: sites.join(", ") })}</p>}
          <label>
            <span>{t("admin.scope.devices")}</span>
            <textarea name="devices" rows={2} spellcheck={false} defaultValue={scope?.devices.join("\n") ?? ""} />
          </label>
        </>
      )}
    </fieldset>
  );
}

/** What was entered. Throws if devices are to be limited and none is named: that must not mean all of them. */
export function scopeIn(form: FormData): Scope {
  if (form.get("scope") !== "some") return null;
  const scope = { devices: linesOf(String(form.get("devices") ?? "")), sites: linesOf(String(form.get("sites") ?? "")) };
  if (scope.devices.length + scope.sites.length === 0) throw new Error(t("admin.scope.empty"));
  return scope;
}

export function scopeText(scope: Scope): string {
  return scope === null ? t("admin.scope.all") : [...scope.sites, ...scope.devices].join(", ");
}
