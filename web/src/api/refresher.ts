const REST_MS = 1000;
const RETRY_MS = 5000;

/** Runs a job on request, never concurrently. Requests during a run are merged into one more run. A failed run is repeated. */
export class Refresher {
  readonly #job: () => Promise<void>;
  #isRunning = false;
  #isRequested = false;

  constructor(job: () => Promise<void>) {
    this.#job = job;
  }

  request(): void {
    this.#isRequested = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    while (this.#isRequested) {
      this.#isRequested = false;
      const succeeded = await this.#job().then(() => true, () => false);
      this.#isRequested ||= !succeeded;
      await new Promise((resolve) => setTimeout(resolve, succeeded ? REST_MS : RETRY_MS));
    }
    this.#isRunning = false;
  }
}
