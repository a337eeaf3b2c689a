/** The subset of the Prometheus text format that the page needs. */

export interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

export type Metrics = ReadonlyMap<string, readonly Sample[]>;

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)/;
const LABEL = /([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g;

export function parseMetrics(text: string): Metrics {
  const metrics = new Map<string, Sample[]>();
  for (const line of text.split("\n")) {
    const components = line.startsWith("#") ? null : LINE.exec(line);
    const [name, labels = "", value] = components?.slice(1) ?? [];
    if (name === undefined || !Number.isFinite(Number(value))) continue;
    const sample = { labels: new Map([...labels.matchAll(LABEL)].map((one) => [one[1] ?? "", one[2] ?? ""])), value: Number(value) };
    const known = metrics.get(name);
    if (known) known.push(sample);
    else metrics.set(name, [sample]);
  }
  return metrics;
}

export function total(metrics: Metrics, name: string): number {
  return metrics.get(name)?.reduce((totalOf, { value }) => totalOf + value, 0) ?? 0;
}

export function label(metrics: Metrics, name: string, key: string): string {
  return metrics.get(name)?.[0]?.labels.get(key) ?? "";
}
