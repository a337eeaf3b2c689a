/** A Vite plugin that writes THIRD_PARTY_LICENSES.txt: name, version and license text of every package in the bundle. */

import { existsSync, readFileSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import type { Plugin } from "vite";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const FILE = "THIRD_PARTY_LICENSES.txt";
const LICENSE_FILE = /^(licen[cs]e|copying)(\.(md|txt))?$/i;
const NOTICE_FILE = /^notice(\.(md|txt))?$/i;
const RUNTIME = "rolldown"; // its virtual modules begin with this name
const RULE = "-".repeat(80);

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

function manifestOf(folder: string): Manifest {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Manifest;
}

/** The folder of an installed package, as Node finds it from another folder. */
function resolve(name: string, from: string): string {
  for (let folder = from; ; folder = dirname(folder)) {
    const candidate = join(folder, "node_modules", name);
    if (existsSync(join(candidate, "package.json"))) return candidate;
    if (folder === dirname(folder)) throw new Error(`${FILE}: ${name} is not installed; run npm ci`);
  }
}

/** Adds the folders of the dependencies of a package, and of theirs. */
function addDependencies(folder: string, folders: Set<string>): void {
  for (const name of Object.keys(manifestOf(folder).dependencies ?? {})) {
    const dependency = resolve(name, folder);
    if (folders.has(dependency)) continue;
    folders.add(dependency);
    addDependencies(dependency, folders);
  }
}

/** The folder of the package that a module of the bundle comes from; null for our own modules. */
function packageOf(module: string): string | null {
  if (module.startsWith(`\0${RUNTIME}/`)) return resolve(RUNTIME, ROOT);
  const [, folder] = /^(.*[\\/]node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+)/.exec(module.replace(/^\0/, "")) ?? [];
  return folder ?? null;
}

function noticeOf(folder: string): string {
  const { name, version, license } = manifestOf(folder);
  const files = readdirSync(folder).sort();
  const texts = [...files.filter((file) => LICENSE_FILE.test(file)), ...files.filter((file) => NOTICE_FILE.test(file))];
  if (!texts.some((file) => LICENSE_FILE.test(file))) throw new Error(`${FILE}: ${name} ${version} has no license text in ${folder}`);
  const text = texts.map((file) => readFileSync(join(folder, file), "utf8").trim()).join("\n\n");
  return `${RULE}\n${name} ${version}${license ? ` (${license})` : ""}\n${RULE}\n\n${text}\n`;
}

/** All dependencies count, for the Socket.IO client script is bundled by its own authors; build tools count if they leave code. */
export function thirdPartyLicenses(): Plugin {
  return {
    name: "third-party-licenses",
    apply: "build",
    generateBundle(_, bundle) {
      const folders = new Set<string>();
      addDependencies(ROOT, folders);
      for (const chunk of Object.values(bundle)) {
        if (chunk.type !== "chunk") continue;
        for (const module of chunk.moduleIds) {
          const folder = packageOf(module);
          if (folder !== null) folders.add(folder);
        }
      }
      const notices = [...new Set([...folders].map(noticeOf))].sort();
      const source = `The dashboard of Sensor Bridge contains code of these packages.\n\n${notices.join("\n")}`;
      this.emitFile({ type: "asset", fileName: FILE, source });
    },
  };
}
