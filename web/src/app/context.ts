import { createContext } from "preact";
import { useContext } from "preact/hooks";

import type { App } from "./app";
import type { Device } from "../model/devices/device";

export const AppContext = createContext<App | null>(null);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === null) throw new Error("a part was drawn outside of the page");
  return app;
}

/** Whoever shows what changes of a device says so: a device is one object for as long as the page is open. */
export function useDevice(device: Device): void {
  useApp().version(device.id).value;
}
