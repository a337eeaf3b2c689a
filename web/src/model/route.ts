export type Route =
  | { readonly view: "overview" }
  | { readonly view: "device"; readonly id: string }
  | { readonly view: "feed"; readonly device: string }
  | { readonly view: "health" }
  | { readonly view: "audit" }
  | { readonly view: "nowhere" };

export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#/, "").split("?", 2);
  const [view = "", ...rest] = path.split("/").filter(Boolean);
  if (view === "" && rest.length === 0) return { view: "overview" };
  if (view === "device" && rest.length === 1) {
    const id = decode(rest[0] ?? "");
    return id ? { view: "device", id } : { view: "nowhere" };
  }
  if (view === "feed" && rest.length === 0) return { view: "feed", device: new URLSearchParams(query).get("device") ?? "" };
  if ((view === "health" || view === "audit") && rest.length === 0) return { view };
  return { view: "nowhere" };
}

export function link(route: Route): string {
  switch (route.view) {
    case "device":
      return `#/device/${encodeURIComponent(route.id)}`;
    case "feed":
      return route.device ? `#/feed?${new URLSearchParams({ device: route.device })}` : "#/feed";
    case "health":
    case "audit":
      return `#/${route.view}`;
    default:
      return "#/";
  }
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return "";
  }
}
