/* Keeps nothing of the page, so nothing of it is ever stale: where the bridge cannot be reached, one plain page says so. */

const KEPT = ["offline.html", "offline.css", "favicon.svg"];
const CACHE = "offline-1";

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(KEPT.map((name) => new Request(name, { cache: "reload" })))));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => {
  const forgetOthers = async () => {
    for (const name of await caches.keys()) if (name !== CACHE) await caches.delete(name);
    await self.clients.claim();
  };
  event.waitUntil(forgetOthers());
});

self.addEventListener("fetch", (event) => {
  const { mode, url } = event.request;
  const isKept = KEPT.some((name) => new URL(name, self.registration.scope).href === url);
  if (mode === "navigate") event.respondWith(fetch(event.request).catch(() => caches.match("offline.html")));
  else if (isKept) event.respondWith(fetch(event.request).catch(() => caches.match(event.request)));
});
