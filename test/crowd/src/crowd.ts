/** The crowd as the owner of the topology has it. */
import { fileURLToPath } from "node:url";
import { formatIpText } from "@i3/common";
import { generateHostIdentity, hostIdentityToPem } from "@i3/hip";
import type { Child, Host } from "@i3/netns";

import type { LoadOptions, LoadResult } from "./load.js";
import type { CrowdFile } from "./main.js";

interface CrowdOptions {
  /** The gateway's HIT and address; a name that it leads to a web server, and the pattern of the rule that names it. */
  readonly gateway: { readonly hit: string; readonly address: string };
  readonly name: string;
  readonly pattern: string;
}

const PROGRAM = fileURLToPath(new URL("../dist/main.js", import.meta.url));
const READY_MS = 180_000;
const END_MS = 60_000;

/** What client `number` sends from, in 198.18.0.0/16; the first 256 are the topology's own. */
const crowdAddress = (number: number): string => `198.18.${(number >> 8) + 1}.${number & 0xff}`;

export class Crowd {
  readonly #child: Child;

  private constructor(child: Child) {
    this.#child = child;
  }

  /** Keys of so many clients: what a gateway's address book needs, and what {@link start} does. */
  static makeKeys(clients: number): readonly { readonly key: string; readonly hit: string }[] {
    return Array.from({ length: clients }, () => {
      const identity = generateHostIdentity("ecdsa-p256");
      return { key: hostIdentityToPem(identity), hit: formatIpText(identity.hit) };
    });
  }

  /** Resolves when all clients have been led to the server. Its subnet has 198.18.0.0/16. */
  static async start(host: Host, keys: readonly { readonly key: string }[], { gateway, name, pattern }: CrowdOptions): Promise<Crowd> {
    const file: CrowdFile = { clients: keys.map(({ key }, i) => ({ key, address: crowdAddress(i) })), interface: host.interfaces[0]?.name ?? "", gateway, name, pattern };
    const child = host.spawn(process.execPath, [PROGRAM, await host.writeFile("crowd.json", JSON.stringify(file))]);
    await child.waitForLine(/^READY$/, READY_MS);
    return new Crowd(child);
  }

  /** One at a time. */
  async load(options: LoadOptions): Promise<LoadResult> {
    const result = new Promise<LoadResult>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`the crowd says nothing:\n${this.#child.tail(20)}`)), options.seconds * 1_000 + options.limitMs + END_MS);
      this.#child.on("line", ({ text }) => {
        if (!text.startsWith("RESULT ")) return;
        clearTimeout(timer);
        resolve(JSON.parse(text.slice("RESULT ".length)) as LoadResult);
      });
    });
    this.#child.stdin.write(`${JSON.stringify(options)}\n`);
    return await result;
  }
}
