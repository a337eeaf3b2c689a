import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { formats, t } from "../../i18n";
import type { Command, CommandRequest } from "../../model/command";
import { isSettled, merged } from "../../model/command";
import type { Device } from "../../model/devices/device";
import { Age } from "../age";
import { useApp, useDevice } from "../../app/context";
import type { IconName } from "../icon";
import { Icon } from "../icon";

const WATCH_MS = 1000;
const WAITS = { "10min": 600, "1h": 3600, "1d": 86_400 } as const;
type Wait = keyof typeof WAITS;

const ICONS: Readonly<Record<Command["state"], IconName>> = {
  queued: "queued",
  sent: "sent",
  confirmed: "check",
  failed: "warning",
  expired: "queued",
};

/** Asks the device to do something, and tells what becomes of it. */
export function Commands({ device }: { device: Device }): JSX.Element {
  const commands = useCommands(device);
  const { access } = useApp();
  return (
    <section class="panel commands" id="commands" aria-labelledby="commands-title">
      <h2 id="commands-title">{t("command.title")}</h2>
      {access.may("command") ? <Form device={device} commands={commands} /> : <p class="quiet small">{t("command.notYours")}</p>}
      {commands.value.length === 0 ? <p class="quiet small">{t("command.none")}</p> : <Recent commands={commands.value} />}
    </section>
  );
}

/** The newest commands, asked for again every second as long as something can still happen to one of them. */
function useCommands(device: Device): Signal<readonly Command[]> {
  const app = useApp();
  const commands = useSignal<readonly Command[]>([]);
  const connected = app.link.value.open;
  const isWatching = commands.value.some((one) => !isSettled(one, app.bridgeNow()));
  useEffect(() => {
    const read = async (): Promise<void> => {
      if (document.hidden) return;
      const found = await app.http.commands(device.id).catch(() => []);
      commands.value = merged(commands.peek(), found);
    };
    if (connected) void read();
    if (!isWatching) return undefined;
    const watching = setInterval(() => void read(), WATCH_MS);
    return () => clearInterval(watching);
  }, [device.id, connected, isWatching]);
  return commands;
}

function Form({ device, commands }: { device: Device; commands: Signal<readonly Command[]> }): JSX.Element {
  const app = useApp();
  useDevice(device);
  const form = useRef<HTMLFormElement>(null);
  const isSending = useSignal(false);
  const error = useSignal("");
  /** What could not be sent, while the device is offline and nobody has decided whether it should wait. */
  const undecided = useSignal<CommandRequest | null>(null);

  const send = async (request: CommandRequest): Promise<void> => {
    isSending.value = true;
    error.value = "";
    undecided.value = null;
    const answer = await app.send(request).catch(() => null);
    isSending.value = false;
    if (answer?.ok) {
      commands.value = merged(commands.peek(), [answer.command]);
      form.current?.reset();
    } else if (answer?.offline) undecided.value = request;
    else error.value = answer?.error ?? t("command.unreachable");
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!form.current) return;
    const said = new FormData(form.current);
    const value = String(said.get("value") ?? "");
    void send({ device: device.id, command: String(said.get("command") ?? "").trim(), id: randomId(), ...(value ? { value } : {}) });
  };
  const names = [...new Set(commands.value.map(({ command }) => command))];
  return (
    <form ref={form} onSubmit={submit}>
      <div class="ask">
        <label>
          <span>{t("command.name")}</span>
          <input name="command" required maxLength={128} autoComplete="off" autoCapitalize="none" spellcheck={false} list="command-names" />
        </label>
        <label>
          <span>{t("command.value")} <span class="quiet">({t("command.optional")})</span></span>
          <input name="value" maxLength={4096} autoComplete="off" autoCapitalize="none" spellcheck={false} />
        </label>
        <button type="submit" class="primary" disabled={isSending.value}>{t(isSending.value ? "command.sending" : "command.send")}</button>
      </div>
      <datalist id="command-names">{names.map((name) => <option key={name} value={name} />)}</datalist>
      {error.value && <p class="error small" role="alert">{t("command.refused", { error: error.value })}</p>}
      {undecided.value && (
        <Decision
          onQueue={(seconds) => undecided.value && void send({ ...undecided.value, queue: true, expires: seconds })}
          onDrop={() => (undecided.value = null)}
        />
      )}
      {!undecided.value && device.presence === "offline" && <p class="quiet small">{t("command.offline.now")}</p>}
    </form>
  );
}

/** The device is not there: let it wait, or leave it. */
function Decision({ onQueue, onDrop }: { onQueue: (seconds: number) => void; onDrop: () => void }): JSX.Element {
  const wait = useSignal<Wait>("10min");
  return (
    <div class="decision" role="alert">
      <p><Icon name="offline" /> {t("command.offline")}</p>
      <label>
        <span>{t("command.wait")}</span>
        <select value={wait.value} onChange={(event) => (wait.value = event.currentTarget.value as Wait)}>
          {(Object.keys(WAITS) as Wait[]).map((name) => <option key={name} value={name}>{t(`command.wait.${name}`)}</option>)}
        </select>
      </label>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => onQueue(WAITS[wait.value])}>{t("command.queue")}</button>
        <button type="button" onClick={onDrop}>{t("command.drop")}</button>
      </div>
    </div>
  );
}

function Recent({ commands }: { commands: readonly Command[] }): JSX.Element {
  return (
    <>
      <h3>{t("command.recent")}</h3>
      <ol>
        {commands.map((command) => (
          <li key={command.id} data-state={command.state}>
            <p>
              <span class="code">{command.command}{command.value === null ? "" : ` ${command.value}`}</span>
              <span class="command-state"><Icon name={ICONS[command.state]} />{t(`command.state.${command.state}`)}</span>
            </p>
            <p class="quiet small"><More command={command} /> <Age at={command.changedAt} /></p>
          </li>
        ))}
      </ol>
    </>
  );
}

function More({ command }: { command: Command }): JSX.Element {
  const { now } = useApp();
  const text = (): string => {
    switch (command.state) {
      case "queued":
        return t("command.queued.more", { time: formats.value.moment(command.expiresAt, now.peek()) });
      case "sent":
        return t(isSettled(command, now.value) ? "command.unconfirmed.more" : "command.sent.more");
      case "failed":
        return command.error ?? "";
      case "confirmed":
      case "expired":
        return t(`command.${command.state}.more`);
    }
  };
  return <span>{text()}</span>;
}

/** `crypto.randomUUID` is there on HTTPS alone, and many a bridge is reached without. */
function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
