import { Card } from "./card";
import { byId, setHidden, setOptionalText, setState, setText } from "./dom";
import { Feed } from "./feed";
import { formatCount, formatMoment } from "./format";
import type { Changes, Model } from "./model";

/** device2 before device10. */
const byName = new Intl.Collator("en", { numeric: true });

/** The page. It keeps no state of its own beyond the elements, and touches only what changed. */
export class View {
  readonly #connection: HTMLElement;
  readonly #clients: HTMLElement;
  readonly #deviceCount: HTMLElement;
  readonly #notice: HTMLElement;
  readonly #waiting: HTMLElement;
  readonly #empty: HTMLElement;
  readonly #feedSection: HTMLElement;
  readonly #cardsSection: HTMLElement;
  readonly #cardList: HTMLElement;
  readonly #feed: Feed;
  readonly #cards = new Map<string, Card>();
  #second = 0;

  constructor(root: Document) {
    this.#connection = byId(root, "connection");
    this.#clients = byId(root, "clients");
    this.#deviceCount = byId(root, "devices");
    this.#notice = byId(root, "notice");
    this.#waiting = byId(root, "waiting");
    this.#empty = byId(root, "empty");
    this.#feedSection = byId(root, "feed-section");
    this.#cardsSection = byId(root, "cards-section");
    this.#cardList = byId(root, "cards");
    this.#feed = new Feed(byId(root, "feed"));
  }

  render(model: Model, changes: Changes, now: number): void {
    if (changes.page) this.#renderPage(model, now);
    if (changes.feed) this.#feed.update(model.feed, model.table, now);
    this.#renderCards(model, changes.devices, now);
    this.#renderAges(now);
  }

  #renderPage(model: Model, now: number): void {
    const size = model.devices.size;
    setText(this.#connection, model.connection);
    setState(this.#connection, "state", model.connection);
    setOptionalText(this.#clients, model.clients === null ? "" : formatCount(model.clients, "client"));
    setOptionalText(this.#deviceCount, size === 0 ? "" : formatCount(size, "device"));
    setOptionalText(this.#notice, model.notice && `${formatMoment(model.notice.at, now)} – ${model.notice.message}`);
    setState(this.#notice, "level", model.notice?.level ?? "info");
    setHidden(this.#waiting, size > 0 || model.loaded);
    setHidden(this.#empty, size > 0 || !model.loaded);
    setHidden(this.#cardsSection, size === 0);
    setHidden(this.#feedSection, size === 0);
  }

  #renderCards(model: Model, changed: ReadonlySet<string>, now: number): void {
    let added = false;
    for (const id of changed) {
      const device = model.devices.get(id);
      if (device === undefined) {
        this.#cards.get(id)?.root.remove();
        this.#cards.delete(id);
        continue;
      }
      const card = this.#cards.get(id) ?? new Card(device);
      card.update(device, model.table, now);
      added ||= !this.#cards.has(id);
      this.#cards.set(id, card);
    }
    if (added) this.#placeNewCards();
  }

  #renderAges(now: number): void {
    const second = Math.floor(now / 1000);
    if (second === this.#second) return;
    this.#second = second;
    for (const card of this.#cards.values()) card.tick(now);
  }

  /** Walks the names in order and moves only the elements that are not yet where they belong. */
  #placeNewCards(): void {
    let next = this.#cardList.firstElementChild;
    for (const id of [...this.#cards.keys()].sort(byName.compare)) {
      const root = this.#cards.get(id)?.root;
      if (root === undefined) continue;
      if (root === next) next = next.nextElementSibling;
      else this.#cardList.insertBefore(root, next);
    }
  }
}
