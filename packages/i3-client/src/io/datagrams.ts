/** A program's one UDP socket, of node's: whole datagrams in and out. What the system does not take is dropped and counted by the port. */
import { makeLocator, type Locator } from "@i3/common";
import { makeDatagramBatch, openDgramPort, UDP_SLOT_BYTES, type Datagram, type PortDrops } from "@i3/datapath";

/** Of one turn of the event loop; the port's queue holds what comes beyond. */
const SLOTS = 64;
const ADDRESS_BYTES = 18;
const MAPPED_PREFIX_BYTES = 12;

export interface Datagrams {
  readonly port: number;
  readonly drops: PortDrops;
  /** False: one of them was not taken, since too many wait for the system. */
  send(datagrams: readonly Datagram[]): boolean;
  /** Nothing comes any more. Twice is no error. */
  close(): void;
}

/** Rejects with I3Error ERR_I3_PORT_IN_USE or ERR_I3_NO_UDP. `port` 0: any that is free. */
export async function openDatagrams(address: string, port: number, onDatagram: (from: Locator, bytes: Uint8Array) => void): Promise<Datagrams> {
  const udp = await openDgramPort({ address, port });
  const input = makeDatagramBatch(SLOTS, UDP_SLOT_BYTES);
  const output = makeDatagramBatch(1, UDP_SLOT_BYTES);
  const read = (): void => {
    udp.read(input);
    for (let i = 0; i < input.count; i += 1) {
      const at = i * ADDRESS_BYTES;
      const fromPort = ((input.addresses[at + 16] ?? 0) << 8) | (input.addresses[at + 17] ?? 0);
      // Nobody can be answered there.
      if (fromPort === 0) continue;
      const start = i * input.slotBytes;
      onDatagram(makeLocator(input.addresses.subarray(at, at + 16), fromPort), input.arena.slice(start, start + (input.lengths[i] ?? 0)));
    }
  };
  const watch = udp.watch(read);
  return {
    port: udp.port,
    drops: udp.drops,
    send: (datagrams) => {
      const before = udp.drops.ioError;
      for (const { locator, bytes } of datagrams) {
        output.arena.set(bytes);
        output.lengths[0] = bytes.length;
        writeAddress(locator, output.addresses);
        output.count = 1;
        udp.write(output);
      }
      return udp.drops.ioError === before;
    },
    close: () => {
      watch.close();
      udp.close();
    },
  };
}

/** As the port wants it: IPv6 or IPv4-mapped address 16, port 2. */
function writeAddress({ address, port }: Locator, into: Uint8Array): void {
  into.fill(0);
  if (address.length === 4) into.set([0xff, 0xff, ...address], MAPPED_PREFIX_BYTES - 2);
  else into.set(address);
  into[16] = port >> 8;
  into[17] = port & 0xff;
}
