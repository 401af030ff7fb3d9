/**
 * What entries of one of the engine's tables cost: `node --expose-gc engine-memory.js ENTRY` inserts many into an engine without a TUN
 * and prints one line of JSON, {@link EntryBytes}. One table a process, so that none gets what another has given back.
 *
 * Memory is what the process has grown by. JavaScript keeps nothing of a call, since the engine copies its arguments, which are written
 * over from call to call; and its heap has grown before, by as many calls about a few entries.
 */
import { ID_BYTES, LIMITS, MIN_SPI, RING_KEY_BYTES, encodeDataHeader, COPY_BUDGET, HOP_LIMIT, NONCE_BYTES, PAYLOAD_KIND, type EspTransform } from "@i3/datapath";

import { openEngine } from "./engine-process.js";
import { writeTriggerId } from "./trigger-ids.js";

/** Bytes for one. */
export interface EntryBytes {
  /** Of the process. */
  readonly process: number;
  /** As the engine counts them. */
  readonly tables: number;
}

export type MemoryEntry = "tunnel flow" | "esp flow" | "inbound id" | "outbound association" | "inbound association" | "trigger";

const FLOWS = LIMITS.flows;
const TRIGGERS = 1_000_000;
const WARM_UP_ENTRIES = 64;
const SETTLE_ROUNDS = 4;

const engine = openEngine({ port: 0 });
const id = new Uint8Array(ID_BYTES);
const address = new Uint8Array(4);
const own = Uint8Array.of(10, 66, 0, 1);
const locator = { address: Uint8Array.of(192, 0, 2, 1), port: 5_610 } as const;
const header = encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind: PAYLOAD_KIND.ipPacket, nonce: new Uint8Array(NONCE_BYTES), ids: [id] });
const transform = { kind: "aes-gcm-16" as const, key: new Uint8Array(16), salt: new Uint8Array(4) } satisfies EspTransform;
const rewrites = { source4: { from: address, to: address }, destination4: { from: own, to: own }, source6: null, destination6: null };
const form = { transform, beet: 4, checksumState: true } as const;
const trigger = [{ id, target: { kind: "locator", locator } }] as const;

/** 11.x.y.z, and keys that differ. */
function write(index: number): void {
  new DataView(address.buffer).setUint32(0, 0x0b00_0000 + index);
  new DataView(transform.key.buffer).setUint32(0, index);
  writeTriggerId(index, id);
}

const inserts: Readonly<Record<MemoryEntry, { readonly count: number; readonly insert: (index: number) => void; readonly remove: (index: number) => void }>> = {
  "tunnel flow": { count: FLOWS, insert: () => engine.setFlow(address, { action: "tunnel", header, source: own, mtu: 1_360 }), remove: () => engine.setFlow(address, null) },
  "inbound id": { count: FLOWS, insert: () => engine.setInbound(id, { action: "tun", flow: address, ...rewrites }), remove: () => engine.setInbound(id, null) },
  "outbound association": { count: FLOWS, insert: (i) => engine.setOutboundAssociation(i, { spi: MIN_SPI + i, ...form }), remove: (i) => engine.setOutboundAssociation(i, null) },
  "inbound association": { count: FLOWS, insert: (i) => engine.setInboundAssociation(MIN_SPI + i, { ...form, flow: address, ...rewrites }), remove: (i) => engine.setInboundAssociation(MIN_SPI + i, null) },
  "esp flow": { count: FLOWS, insert: (i) => engine.setFlow(address, { action: "esp", association: i, header: null, locator, source: own, mtu: 1_360 }), remove: () => engine.setFlow(address, null) },
  trigger: { count: TRIGGERS, insert: () => engine.setTriggers(id.subarray(0, RING_KEY_BYTES), trigger), remove: () => engine.setTriggers(id.subarray(0, RING_KEY_BYTES), []) },
};

function processBytes(): number {
  for (let i = 0; i < SETTLE_ROUNDS; i += 1) void globalThis.gc?.();
  return process.memoryUsage.rss();
}

function each(count: number, visit: (index: number) => void): void {
  for (let i = 0; i < count; i += 1) {
    write(i);
    visit(i);
  }
}

function measure(entry: MemoryEntry): EntryBytes {
  const { count, insert, remove } = inserts[entry];
  for (let calls = 0; calls < count; calls += WARM_UP_ENTRIES) each(WARM_UP_ENTRIES, insert);
  each(WARM_UP_ENTRIES, remove);
  const before = { process: processBytes(), tables: engine.tableBytes() };
  each(count, insert);
  return { process: (processBytes() - before.process) / count, tables: (engine.tableBytes() - before.tables) / count };
}

if (globalThis.gc === undefined) throw new Error("start node with --expose-gc");
const [, , entry = ""] = process.argv;
if (!(entry in inserts)) throw new Error(`no entry "${entry}"`);
process.stdout.write(`${JSON.stringify(measure(entry as MemoryEntry))}\n`);
engine.close();
process.exit(0);
