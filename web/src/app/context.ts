import { createContext } from "preact";
import { useContext, useEffect } from "preact/hooks";

import type { Device } from "../model/devices/device";
import type { App } from "./app";
import type { Store } from "./store";

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error("useApp called outside of AppContext.Provider");
  return app;
}

export function useStore(): Store {
  return useApp().store;
}

/**
 * Renders the component again when the device changes, and every half minute; off screen only every half minute. Needed because a
 * `Device` is one mutable object.
 */
export function useDevice(device: Device, isVisible = true): void {
  const store = useStore();
  store.calmVersion(device.id).value;
  if (isVisible) store.deviceVersion(device.id).value;
}

/** Loads the device's last hour while the component is on screen, and again after a gap. */
export function useTrend(device: Device, isVisible: boolean): void {
  const { store, history } = useApp();
  const [version, table] = [store.historyVersion.value, store.table.value];
  useEffect(() => (isVisible ? history.requestTrend(device) : undefined), [device, version, table, isVisible]);
}
