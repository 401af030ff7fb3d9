/** Both packet engines with one way to feed them: packets of the TUN and datagrams in, the other out. */
import { NativeEngine, type Datapath, type DropReason, type EspTransform } from "@i3/datapath";
import { encodeEndpoint } from "../../packages/datapath/src/reference/endpoints.js";
import { cutTrain, NO_VNET, takeVnet, withVnet } from "../../packages/datapath/test/conformance/cut.js";
import { espFlow, outbound, OWN6, PEER, PEER6, REMOTE } from "../../packages/datapath/test/reference/associations.js";
import { Harness, risen } from "../../packages/datapath/test/reference/harness.js";
import { ESP_ROWS, type EspRow } from "./esp-rows.js";

export interface SteppedEngine {
  readonly engine: Datapath;
  /** Datagrams that left. */
  fromTun(packets: readonly Uint8Array[]): readonly Uint8Array[];
  /** Packets for the TUN, and why others were dropped. */
  fromUdp(datagrams: readonly Uint8Array[]): { readonly tun: readonly Uint8Array[]; readonly drops: Partial<Record<DropReason, number>> };
  close(): void;
}

function referenceEngine(): SteppedEngine {
  const harness = new Harness({ slots: 256, slotBytes: 4_096 });
  return {
    engine: harness.engine,
    fromTun: (packets) => harness.fromTun(...packets).udp.map(({ bytes }) => bytes),
    fromUdp: (datagrams) => harness.fromUdp(REMOTE, ...datagrams),
    close: () => undefined,
  };
}

function nativeEngine(): SteppedEngine {
  const engine = NativeEngine.stepped();
  const endpoint = encodeEndpoint(REMOTE);
  return {
    engine,
    fromTun: (packets) =>
      engine.step(1_000, { tun: packets.map((packet) => withVnet(NO_VNET, packet)) }, false).udp.flatMap(({ bytes, segmentBytes }) => cutTrain(bytes, segmentBytes)),
    fromUdp: (datagrams) => {
      const before = engine.counters().drops;
      const { tun } = engine.step(1_000, { udp: datagrams.map((bytes) => ({ bytes, segmentBytes: 0, endpoint, trafficClass: 0 })) }, false);
      return { tun: tun.map((packet) => takeVnet(packet).packet), drops: risen(before, engine.counters().drops) };
    },
    close: () => engine.close(),
  };
}

export const ENGINES = [
  { name: "native", make: nativeEngine },
  { name: "reference", make: referenceEngine },
] as const;

export interface SealedRow {
  readonly row: EspRow;
  readonly sequence: bigint;
  readonly esp: Uint8Array;
}

/** What a new engine makes of the packets of all rows, in their order, with numbers from `firstSequence` on. */
export function sealRows(make: () => SteppedEngine, transform: EspTransform, firstSequence: bigint): readonly SealedRow[] {
  const stepped = make();
  const { engine } = stepped;
  try {
    engine.setFlow(PEER, espFlow());
    engine.setFlow(PEER6, espFlow({ source: OWN6 }));
    return ESP_ROWS.map((row, i) => {
      // The same keys: the counter goes on.
      engine.setOutboundAssociation(1, outbound({ transform, beet: row.beet, firstSequence }));
      const [esp, ...more] = stepped.fromTun([row.packet]);
      if (esp === undefined || more.length > 0) throw new Error(`${row.name}: ${more.length + (esp === undefined ? 0 : 1)} datagrams for one packet`);
      return { row, sequence: firstSequence + BigInt(i), esp };
    });
  } finally {
    stepped.close();
  }
}
