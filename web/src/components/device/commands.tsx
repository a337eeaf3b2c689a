import type { Signal } from "@preact/signals";
import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";

import { useApp, useDevice, useStore } from "../../app/context";
import { formats, t } from "../../i18n";
import { errorOf } from "../../i18n/reason-text";
import type { Command, CommandRequest } from "../../model/command";
import { isSettled, mergeCommands } from "../../model/command";
import type { Device } from "../../model/devices/device";
import { Age } from "../age";
import type { IconName } from "../icon";
import { Icon } from "../icon";

const POLL_INTERVAL_MS = 1000;
/** In seconds. */
const QUEUE_TIMES = { "10min": 600, "1h": 3600, "1d": 86_400 } as const;
type QueueTime = keyof typeof QUEUE_TIMES;

const ICONS: Readonly<Record<Command["state"], IconName>> = {
  queued: "queued",
  sent: "sent",
  confirmed: "check",
  failed: "warning",
  expired: "queued",
};

/** Sends commands to the device, and lists the recent ones with their states. */
export function Commands({ device }: { device: Device }): JSX.Element {
  const commands = useCommands(device);
  const { session } = useApp();
  return (
    <section class="panel commands" id="commands" aria-labelledby="commands-title">
      <h2 id="commands-title">{t("command.title")}</h2>
      {session.can("command") ? <Form device={device} commands={commands} /> : <p class="muted small">{t("command.forbidden")}</p>}
      {commands.value.length === 0 ? <p class="muted small">{t("command.none")}</p> : <Recent commands={commands.value} />}
    </section>
  );
}

/** The newest commands, polled every second while one of them is not settled. */
function useCommands(device: Device): Signal<readonly Command[]> {
  const { api, store } = useApp();
  const commands = useSignal<readonly Command[]>([]);
  const connected = store.connection.value.open;
  const isPolling = commands.value.some((one) => !isSettled(one, store.bridgeNow()));
  useEffect(() => {
    const load = async (): Promise<void> => {
      if (document.hidden) return;
      const loaded = await api.commands(device.id).catch(() => []);
      commands.value = mergeCommands(commands.peek(), loaded);
    };
    if (connected) void load();
    if (!isPolling) return undefined;
    const timer = setInterval(() => void load(), POLL_INTERVAL_MS);
    return () => clearInterval(timer);
  }, [device.id, connected, isPolling]);
  return commands;
}

function Form({ device, commands }: { device: Device; commands: Signal<readonly Command[]> }): JSX.Element {
  const { sync } = useApp();
  useDevice(device);
  const form = useRef<HTMLFormElement>(null);
  const isSending = useSignal(false);
  const error = useSignal("");
  /** Refused because the device is offline; the user chooses whether to queue it. */
  const undelivered = useSignal<CommandRequest | null>(null);

  const send = async (request: CommandRequest): Promise<void> => {
    isSending.value = true;
    error.value = "";
    undelivered.value = null;
    const result = await sync.sendCommand(request).catch(() => null);
    isSending.value = false;
    if (result?.ok) {
      commands.value = mergeCommands(commands.peek(), [result.command]);
      form.current?.reset();
    } else if (result?.offline) undelivered.value = request;
    else error.value = result ? errorOf(result) : t("command.unreachable");
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    if (!form.current) return;
    const fields = new FormData(form.current);
    const value = String(fields.get("value") ?? "");
    void send({ device: device.id, command: String(fields.get("command") ?? "").trim(), id: randomId(), ...(value ? { value } : {}) });
  };
  const names = [...new Set(commands.value.map(({ command }) => command))];
  return (
    <form ref={form} onSubmit={submit}>
      <div class="fields">
        <label>
          <span>{t("command.name")}</span>
          <input name="command" required maxLength={128} autoComplete="off" autoCapitalize="none" spellcheck={false} list="command-names" />
        </label>
        <label>
          <span>{t("command.value")} <span class="muted">({t("command.optional")})</span></span>
          <input name="value" maxLength={4096} autoComplete="off" autoCapitalize="none" spellcheck={false} />
        </label>
        <button type="submit" class="primary" disabled={isSending.value}>{t(isSending.value ? "command.sending" : "command.send")}</button>
      </div>
      <datalist id="command-names">{names.map((name) => <option key={name} value={name} />)}</datalist>
      {error.value && <p class="error small" role="alert">{t("command.refused", { error: error.value })}</p>}
      {undelivered.value && (
        <QueueChoice
          onQueue={(seconds) => undelivered.value && void send({ ...undelivered.value, queue: true, expires: seconds })}
          onDiscard={() => (undelivered.value = null)}
        />
      )}
      {!undelivered.value && device.isOffline && <p class="muted small">{t("command.offline.now")}</p>}
    </form>
  );
}

/** Offers to queue a command for an offline device. */
function QueueChoice({ onQueue, onDiscard }: { onQueue: (seconds: number) => void; onDiscard: () => void }): JSX.Element {
  const queueTime = useSignal<QueueTime>("10min");
  return (
    <div class="queue-choice" role="alert">
      <p><Icon name="offline" /> {t("command.offline")}</p>
      <label>
        <span>{t("command.queueFor")}</span>
        <select value={queueTime.value} onChange={(event) => (queueTime.value = event.currentTarget.value as QueueTime)}>
          {(Object.keys(QUEUE_TIMES) as QueueTime[]).map((name) => <option key={name} value={name}>{t(`command.queueFor.${name}`)}</option>)}
        </select>
      </label>
      <div class="buttons">
        <button type="button" class="primary" onClick={() => onQueue(QUEUE_TIMES[queueTime.value])}>{t("command.queue")}</button>
        <button type="button" onClick={onDiscard}>{t("command.discard")}</button>
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
            <p class="muted small"><StateText command={command} /> <Age at={command.changedAt} /></p>
          </li>
        ))}
      </ol>
    </>
  );
}

function StateText({ command }: { command: Command }): JSX.Element {
  const { now } = useStore();
  const text = (): string => {
    switch (command.state) {
      case "queued":
        return t("command.queued.more", { time: formats.value.moment(command.expiresAt, now.peek()) });
      case "sent":
        return t(isSettled(command, now.value) ? "command.unconfirmed.more" : "command.sent.more");
      case "failed":
        return errorOf(command);
      case "confirmed":
      case "expired":
        return t(`command.${command.state}.more`);
    }
  };
  return <span>{text()}</span>;
}

/** `crypto.randomUUID` needs HTTPS, which many bridges do not have. */
function randomId(): string {
  return [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
