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
