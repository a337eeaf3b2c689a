const REST_MS = 1000;
const RETRY_MS = 5000;

/** Runs a job when asked, never twice at once; asked meanwhile, it runs once more after a rest; failed, it tries again. */
export class Refresher {
  readonly #job: () => Promise<void>;
  #busy = false;
  #asked = false;

  constructor(job: () => Promise<void>) {
    this.#job = job;
  }

  ask(): void {
    this.#asked = true;
    if (!this.#busy) void this.#run();
  }

  async #run(): Promise<void> {
    this.#busy = true;
    while (this.#asked) {
      this.#asked = false;
      const done = await this.#job().then(() => true, () => false);
      this.#asked ||= !done;
      await new Promise((rested) => setTimeout(rested, done ? REST_MS : RETRY_MS));
    }
    this.#busy = false;
  }
}
