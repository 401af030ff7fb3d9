/** Lines with numbers from the laptop's programs to home's, by UDP, nothing back. */
import type { Nat } from "@i3/netns";

import type { PairBed } from "./pair-bed.js";

const PORT = 7_000;
const EVERY_MS = 50;
/** Long enough that the server which carries them is the busiest. */
const LINE_BYTES = 1_000;

export interface NumberedFlow {
  /** The last number. */
  readonly sent: number;
  /** The last number that came; 0: none. */
  readonly arrived: number;
  /** Until that number has come. */
  untilArrived(number: number, limitMs: number): Promise<unknown>;
  stop(): Promise<void>;
}

export function startFlow({ laptop, home, homeProxy }: PairBed): NumberedFlow {
  const sink = home.spawn("nc", ["-u", "-l", String(PORT)]);
  const source = laptop.spawn("nc", ["-u", homeProxy.address4, String(PORT)]);
  let sent = 0;
  const timer = setInterval(() => source.stdin.write(`${(sent += 1)} `.padEnd(LINE_BYTES - 1, "x") + "\n"), EVERY_MS);
  return {
    get sent() {
      return sent;
    },
    get arrived() {
      return Number(/^\d+/.exec(sink.lines.at(-1)?.text ?? "")?.[0] ?? 0);
    },
    untilArrived: (number, limitMs) => sink.waitForLine(new RegExp(`^${number} `), limitMs),
    stop: async () => {
      clearInterval(timer);
      await Promise.all([source.stop(), sink.stop()]);
    },
  };
}

/** From now on nothing that begins like an i3 control message leaves through the NAT: who is behind it can refresh, insert and ask nothing. */
export const muteControl = (nat: Nat): Promise<void> => nat.namespace.nft("table inet mute { chain out { type filter hook forward priority -200; udp dport 5610 @th,64,8 0x19 counter drop; }; }");

export async function mutedPackets(nat: Nat): Promise<number> {
  const { stdout } = await nat.exec("nft", ["list", "table", "inet", "mute"]);
  return Number(/counter packets (\d+)/.exec(stdout)?.[1] ?? 0);
}
