import type { ApiClient } from "../api/client";
import { parseOutcome } from "../model/command-outcome";
import type { Store } from "./store";

/** Shows what became of a command that was sent by form, once: the address no longer says so afterwards. */
export async function showOutcome(store: Store, api: ApiClient): Promise<void> {
  const outcome = parseOutcome(location.search, location.hash);
  if (outcome === null) return;
  history.replaceState(null, "", location.pathname + location.hash);
  if (outcome.kind === "refused") {
    store.notify(outcome);
    return;
  }
  const commands = await api.commands(outcome.device).catch(() => []);
  const command = commands.find(({ id }) => id === outcome.id);
  if (command) store.notify({ kind: "sent", command });
}
