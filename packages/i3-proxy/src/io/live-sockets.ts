/** Which of this machine's IPv4 addresses programs have connections from: the kernel's tables of sockets, as text. */
import { readFileSync } from "node:fs";
import { endianness } from "node:os";

import { bytesKey } from "@i3/common";

/** TIME_WAIT, CLOSE, LISTEN: nobody waits for these. */
const OVER = new Set(["06", "07", "0A"]);
/** Of an IPv4 address in an IPv6 socket: the last of its four words. */
const [WORD, WORDS] = [8, 4] as const;

/** Keys of local addresses, from the text of /proc/net/tcp, tcp6, udp or udp6. @param isLittle whether the machine is little-endian, in whose order the words stand there */
export function localAddresses(text: string, isLittle: boolean): ReadonlySet<string> {
  const found = new Set<string>();
  for (const line of text.split("\n").slice(1)) {
    // sl local_address rem_address st …
    const [, local = "", , state = ""] = line.trim().split(/\s+/);
    const [words = ""] = local.split(":");
    if (OVER.has(state) || (words.length !== WORD && words.length !== WORD * WORDS)) continue;
    const word = Uint8Array.from(Buffer.from(words.slice(-WORD), "hex"));
    found.add(bytesKey(isLittle ? word.reverse() : word));
  }
  return found;
}

/** Those of the network namespace. */
export const liveAddresses = (): ReadonlySet<string> => new Set(["tcp", "tcp6", "udp", "udp6"].flatMap((name) => [...localAddresses(readText(`/proc/net/${name}`), endianness() === "LE")]));

/** Empty when it cannot be read. */
function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
