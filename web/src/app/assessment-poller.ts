import type { App } from "./app";

/** The bridge announces a change of rating at once, but not one of figures. */
const INTERVAL_MS = 3000;

/** Loads the assessments of the device on screen while its page is open. */
export class AssessmentPoller {
  readonly #app: App;
  readonly #deviceId: string;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  constructor(app: App, deviceId: string) {
    this.#app = app;
    this.#deviceId = deviceId;
    void this.#run();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  async #run(): Promise<void> {
    const { api, store, sync } = this.#app;
    const reports = document.hidden ? [] : await api.assessments([this.#deviceId], store.airScale.peek()).catch(() => []);
    if (this.#isClosed) return;
    sync.applyAssessments(reports);
    this.#timer = setTimeout(() => void this.#run(), INTERVAL_MS);
  }
}
