/* Caches only the offline page, so the dashboard is never stale. */

const CACHED = ["offline.html", "offline.css", "favicon.svg"];
const CACHE = "offline-1";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(CACHED.map((name) => new Request(name, { cache: "reload" })))));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  const deleteOldCaches = async () => {
    for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(deleteOldCaches());
});

self.addEventListener("fetch", (event) => {
  const { mode, url } = event.request;
  const isCached = CACHED.some((name) => new URL(name, self.registration.scope).href === url);
  if (mode === "navigate") event.respondWith(fetch(event.request).catch(() => caches.match("offline.html")));
  else if (isCached) event.respondWith(fetch(event.request).catch(() => caches.match(event.request)));
});

/* Notifications of alarms. The bridge writes their texts; these are for messages that cannot be read, and an ended subscription. */

const LIMITS = { title: 300, body: 4000, tag: 100 };
const TEXTS = {
  en: {
    title: "An alarm has changed",
    body: "Open the page to see it. Not a life-safety device.",
    ended: "This browser is no longer notified",
    remedy: "Open the page to turn notifications on again.",
  },
  ru: {
    title: "Тревога изменилась",
    body: "Откройте страницу, чтобы её увидеть. Не является средством защиты жизни.",
    ended: "Этот браузер больше не получает уведомлений",
    remedy: "Откройте страницу, чтобы включить их снова.",
  },
  es: {
    title: "Una alarma ha cambiado",
    body: "Abra la página para verla. No es un dispositivo de protección de la vida.",
    ended: "Este navegador ya no recibe avisos",
    remedy: "Abra la página para activarlos de nuevo.",
  },
  fr: {
    title: "Une alarme a changé",
    body: "Ouvrez la page pour la voir. N’est pas un dispositif de protection des personnes.",
    ended: "Ce navigateur n’est plus notifié",
    remedy: "Ouvrez la page pour réactiver les notifications.",
  },
  de: {
    title: "Ein Alarm hat sich geändert",
    body: "Öffnen Sie die Seite, um ihn zu sehen. Kein Gerät zum Schutz von Leben.",
    ended: "Dieser Browser wird nicht mehr benachrichtigt",
    remedy: "Öffnen Sie die Seite, um Benachrichtigungen wieder einzuschalten.",
  },
};

const texts = () => TEXTS[navigator.language.split("-")[0]] ?? TEXTS.en;
const limited = (value, limit) => (typeof value === "string" ? value.slice(0, limit) : "");

/** What the bridge sent; an empty object if it cannot be read. Browsers demand a notification for every message. */
const contentOf = (data) => {
  try {
    const content = data?.json();
    return typeof content === "object" && content !== null ? content : {};
  } catch {
    return {};
  }
};

/** One with the same tag replaces the one before; critical alarms stay until somebody reacts. */
const notify = (title, body, tag, { isUrgent = false, isSilent = false } = {}) => {
  const options = { body, tag, icon: "icon-192.png", renotify: !isSilent, requireInteraction: isUrgent };
  return self.registration.showNotification(title, options);
};

self.addEventListener("push", (event) => {
  const content = contentOf(event.data);
  const { title, body } = texts();
  const isOver = content.kind === "cleared";
  const text = (name) => limited(content[name], LIMITS[name]);
  const manner = { isUrgent: content.priority === "critical" && !isOver, isSilent: isOver };
  event.waitUntil(notify(text("title") || title, text("body") || body, text("tag") || "alarm", manner));
});

self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  event.waitUntil(openAlarms());
});

/** Shows the alarms in an open page of the dashboard, the one in use first; without one, in a new page. */
async function openAlarms() {
  const address = new URL("#/alarms", self.registration.scope).href;
  const windows = await self.clients.matchAll({ type: "window", includeUncontrolled: true });
  const pages = windows.filter(({ url }) => url.replace(/[?#].*$/, "") === self.registration.scope);
  const page = pages.find(({ focused }) => focused) ?? pages[0];
  if (page === undefined) return self.clients.openWindow(address);
  await page.focus().catch(() => undefined);
  return page.navigate(address).catch(() => undefined); // fails for a page that this worker does not control
}

self.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(renew(event)));

/** The browser or its push service replaced or ended the subscription. */
async function renew({ newSubscription }) {
  try {
    const address = new URL("api/v1/push", self.registration.scope).href;
    const { publicKey } = await (await fetch(address)).json();
    const options = { userVisibleOnly: true, applicationServerKey: publicKey };
    const subscription = newSubscription ?? (await self.registration.pushManager.subscribe(options));
    const request = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(subscription) };
    if ((await fetch(`${address}/subscriptions`, request)).ok) return;
  } catch {
    // the user is told below
  }
  const { ended, remedy } = texts();
  await notify(ended, remedy, "subscription");
}
