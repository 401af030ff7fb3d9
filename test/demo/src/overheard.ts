/** Listens on all interfaces of machines for a word while something runs, with python3's packet socket: no capture program need be there. */
import type { Child, Host } from "@i3/netns";

// Ends with its input; what has come by then is still read. Packets that this machine sends count too.
const LISTEN = `
import select, socket, sys
word = sys.argv[1].encode()
wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
print("listening", flush=True)
packets = holding = 0
ended = False
while True:
    ready = select.select([wire] if ended else [wire, sys.stdin], [], [], 0 if ended else None)[0]
    if wire in ready:
        packets += 1
        holding += word in wire.recv(65536)
    elif ended:
        break
    ended = ended or sys.stdin in ready
print("heard", packets, holding)
`;

export interface Overheard {
  readonly packets: number;
  /** Of these, those that hold the word. */
  readonly holding: number;
}

/** What passes each of the machines while `work` runs. Rejects when a listener does not start, or ends early. */
export async function overhear(hosts: readonly Pick<Host, "spawn">[], word: string, work: () => Promise<unknown>): Promise<readonly Overheard[]> {
  const listeners = hosts.map((host) => host.spawn("python3", ["-c", LISTEN, word]));
  await Promise.all(listeners.map((listener) => listener.waitForLine(/listening/)));
  try {
    await work();
  } finally {
    for (const { stdin } of listeners) stdin.end();
    await Promise.all(listeners.map(({ ended }) => ended));
  }
  return listeners.map(overheard);
}

function overheard(listener: Child): Overheard {
  const found = listener.lines.flatMap(({ text }) => /^heard (\d+) (\d+)$/.exec(text) ?? []);
  if (found.length === 0) throw new Error(`the listener ended: ${listener.tail(5)}`);
  return { packets: Number(found[1]), holding: Number(found[2]) };
}
