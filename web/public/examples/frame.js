/* The colours and the header of the dashboard. A page of yours does not need it. */

try {
  document.documentElement.dataset.theme = localStorage.getItem("sensor-bridge.colours") ?? "auto";
} catch {
  // localStorage is blocked: the colours of the system
}

addEventListener("DOMContentLoaded", () => {
  const link = (href, text) => Object.assign(document.createElement("a"), { href, textContent: text });
  const logo = Object.assign(document.createElement("img"), { src: "../favicon.svg", alt: "", width: 28, height: 28 });
  const brand = link("../", "Sensor Bridge");
  brand.className = "brand";
  brand.prepend(logo);
  const links = document.createElement("nav");
  links.setAttribute("aria-label", "Sensor Bridge");
  links.append(link("./", "Examples"), link("../test", "Test page"), link("../api/docs", "API"));
  const bar = document.createElement("div");
  bar.className = "bar";
  bar.append(brand, links);
  document.body.prepend(bar);
});
