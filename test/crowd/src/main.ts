/**
 * The program that is the crowd: `node main.js FILE`, in a host of the topology. FILE is JSON, {@link CrowdFile}. Prints "READY" when all clients have been led to the server; then a line
 * `{"seconds": …}` ({@link LoadOptions}) on standard input begins a load, and `RESULT {…}` on standard output is how it went.
 */
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { parseIpText } from "@i3/common";
import { loadNativeIo } from "@i3/datapath/native-io";
import { hostIdentityFromPem } from "@i3/hip";

import { CrowdClient } from "./client.js";
import { load, type LoadOptions } from "./load.js";

export interface CrowdFile {
  /** PEM keys, and an address of this machine for each. */
  readonly clients: readonly { readonly key: string; readonly address: string }[];
  /** On which those addresses are. */
  readonly interface: string;
  readonly gateway: { readonly hit: string; readonly address: string };
  readonly name: string;
  readonly pattern: string;
}

/** So many begin at once: a gateway takes 100 new hosts a second. */
const AT_ONCE = 20;
const TRIES = 5;

const io = loadNativeIo();
const file = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as CrowdFile;
const targets: string[] = [];

async function begin(number: number): Promise<void> {
  const { key, address } = file.clients[number] as CrowdFile["clients"][number];
  io.addAddress({ index: io.interfaceIndex(file.interface), address: parseIpText(address) as Uint8Array, prefixBits: 32 });
  const client = await CrowdClient.open({ io, number, identity: hostIdentityFromPem(key), address, gateway: file.gateway, pattern: file.pattern });
  let found: string | null = null;
  for (let i = 0; i < TRIES && found === null; i += 1) found = await client.lookUp(file.name);
  if (found === null) throw new Error(`client ${number} is not led to ${file.name}`);
  targets[number] = found;
}

let next = 0;
const beginners = Array.from({ length: AT_ONCE }, async () => {
  while (next < file.clients.length) await begin(next++);
});
await Promise.all(beginners);
process.stdout.write("READY\n");
createInterface({ input: process.stdin }).on("line", (line) => {
  void load(targets, JSON.parse(line) as LoadOptions).then((result) => process.stdout.write(`RESULT ${JSON.stringify(result)}\n`));
});
