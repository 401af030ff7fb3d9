/** Debian's Chromium without a screen, as an ordinary user and in its own sandbox. */
import { copyFile, readdir, readFile, readlink } from "node:fs/promises";
import { tmpdir } from "node:os";

import type { Host } from "@i3/netns";

import { succeed } from "../demo/src/checks.js";
import { isSingleUserNamespace } from "../demo/src/sshd.js";
import type { Loaded } from "./browser-site.js";

const LOAD_MS = 120_000;
/** A page asked for by http would be looked for by https first. */
const AS_ASKED = "--disable-features=HttpsUpgrades,HttpsFirstBalancedModeAutoEnable";
/** Root's Chromium would run only without a sandbox. */
const AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"] as const;
/** Where no other user is, as one that is not root of a user namespace inside. */
const AS_MAPPED = ["unshare", "--user", "--map-user=65534", "--map-group=65534"] as const;

export class Browser {
  readonly #host: Host;
  readonly #home: string;
  readonly #asUser: readonly string[];

  private constructor(host: Host, home: string, asUser: readonly string[]) {
    this.#host = host;
    this.#home = home;
    this.#asUser = asUser;
  }

  /** @param authorities files of the certificates that it trusts besides its own */
  static async make(host: Host, authorities: readonly string[]): Promise<Browser> {
    const isSingle = await isSingleUserNamespace();
    const asUser = isSingle ? AS_MAPPED : AS_NOBODY;
    // Not below the directory of the node, which is root's alone.
    const home = (await succeed(host, "mktemp", ["-d", `${tmpdir()}/i3-browser-XXXXXX`])).stdout.trim();
    await Promise.all(authorities.map((file, i) => copyFile(file, `${home}/authority-${i}.crt`)));
    if (!isSingle) await succeed(host, "chown", ["-R", "65534:65534", home]);
    const browser = new Browser(host, home, asUser);
    const database = `sql:${home}/.pki/nssdb`;
    await browser.#run("mkdir", "-p", `${home}/.pki/nssdb`);
    await browser.#run("certutil", "-d", database, "-N", "--empty-password");
    for (const [i] of authorities.entries()) await browser.#run("certutil", "-d", database, "-A", "-n", `authority ${i}`, "-t", "C,,", "-i", `${home}/authority-${i}.crt`);
    return browser;
  }

  /** What the page at `url` says of itself when it has loaded. Rejects when it says nothing. */
  async load(url: string): Promise<Loaded> {
    const args = ["--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", AS_ASKED, "--enable-logging=stderr", "--remote-debugging-port=0"];
    const [program = "", ...rest] = [...this.#asUser, "chromium", ...args, `--user-data-dir=${await this.#freshProfile()}`, url];
    const child = this.#host.spawn(program, rest, { env: { HOME: this.#home, XDG_RUNTIME_DIR: this.#home, TMPDIR: this.#home } });
    try {
      const [, text = ""] = await child.waitForLine(/CONSOLE.*"LOADED (\{.*\})", source:/, LOAD_MS);
      await requireSandbox(child.pid ?? 0);
      return JSON.parse(text.replaceAll('\\"', '"')) as Loaded;
    } finally {
      await child.stop();
    }
  }

  async close(): Promise<void> {
    await succeed(this.#host, "rm", ["-rf", this.#home]);
  }

  async #freshProfile(): Promise<string> {
    return (await this.#run("mktemp", "-d", `${this.#home}/profile-XXXXXX`)).trim();
  }

  async #run(...argv: readonly string[]): Promise<string> {
    const [program = "", ...args] = [...this.#asUser, ...argv];
    return (await succeed(this.#host, program, args)).stdout;
  }

}

/** Pages are drawn by processes in a user and a network namespace of their own, without rights and with a filter of system calls. */
async function requireSandbox(browser: number): Promise<void> {
  const renderers = (await descendants(browser)).filter(({ command }) => command.includes("--type=renderer"));
  if (renderers.length === 0) throw new Error("Chromium draws pages in no process of their own");
  for (const { pid, status } of renderers) {
    const isBound = /^NoNewPrivs:\s1$/m.test(status) && /^Seccomp:\s2$/m.test(status) && /^CapEff:\s0+$/m.test(status);
    const apart = await Promise.all(["user", "net"].map(async (kind) => (await readlink(`/proc/${pid}/ns/${kind}`)) !== (await readlink(`/proc/${browser}/ns/${kind}`))));
    if (!isBound || apart.includes(false)) throw new Error(`Chromium draws pages outside of its sandbox: ${status}`);
  }
}

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly command: string;
  readonly status: string;
}

async function descendants(root: number): Promise<readonly Process[]> {
  const pids = (await readdir("/proc")).map(Number).filter((pid) => pid > 0);
  const read = async (pid: number): Promise<Process> => {
    const [command, status] = await Promise.all(["cmdline", "status"].map((name) => readFile(`/proc/${pid}/${name}`, "utf8")));
    return { pid, parent: Number(/^PPid:\s(\d+)$/m.exec(status ?? "")?.[1]), command: command ?? "", status: status ?? "" };
  };
  // Those that end meanwhile are not asked about.
  const all = (await Promise.allSettled(pids.map(read))).flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const below = (parent: number): readonly Process[] => all.filter((one) => one.parent === parent).flatMap((one) => [one, ...below(one.pid)]);
  return below(root);
}
