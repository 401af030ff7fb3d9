/**
 * One host with our engine and a TUN, all modes at once: `node engine-host.js JSON` with {@link HostOptions}. Addresses of the TUN are
 * the caller's to set. Speaks as engine-process.ts says.
 */
import type { Locator } from "@i3/common";
import { COPY_BUDGET, encodeDataHeader, HOP_LIMIT, NONCE_BYTES, PAYLOAD_KIND, type Datapath, type Flow } from "@i3/datapath";

import { openEngine, serve } from "./engine-process.js";
import {
  addressBytes, associationOf, ENGINE_PORT, idOf, isPlain, isRelayed, MODES, otherSide, overlayAddress, ringKeyOf, spiOf, transformOf, TUN_MTU_BYTES, TUN_NAME, type Mode, type Side,
} from "./modes.js";

export interface HostOptions {
  readonly side: Side;
  /** Underlay addresses, as this host reaches them. */
  readonly peer: string;
  readonly relay: string;
}

const options = JSON.parse(process.argv[2] ?? "{}") as HostOptions;
const engine = openEngine({ port: ENGINE_PORT, tun: { name: TUN_NAME, mtu: TUN_MTU_BYTES } });
for (const mode of MODES) install(engine, mode, options);
serve(engine);

function install(datapath: Datapath, mode: Mode, { side, peer, relay }: HostOptions): void {
  const other = otherSide(side);
  const source = addressBytes(overlayAddress(mode, side));
  const flow = addressBytes(overlayAddress(mode, other));
  const unchanged = { source4: { from: flow, to: flow }, destination4: { from: source, to: source }, source6: null, destination6: null };
  const peerId = idOf(mode, other);
  const nextHop: Locator = { address: addressBytes(isRelayed(mode) ? relay : peer), port: ENGINE_PORT };

  datapath.setNextServer(ringKeyOf(peerId), nextHop);
  datapath.setInbound(idOf(mode, side), { action: "tun", flow, ...unchanged });
  if (!isPlain(mode)) {
    const form = { beet: 4, checksumState: true } as const;
    datapath.setOutboundAssociation(associationOf(mode), { spi: spiOf(mode, other), transform: transformOf(mode, other), ...form });
    datapath.setInboundAssociation(spiOf(mode, side), { transform: transformOf(mode, side), ...form, flow, ...unchanged });
  }
  datapath.setFlow(flow, flowOf(mode, peerId, nextHop, source));
}

function flowOf(mode: Mode, peerId: Uint8Array, nextHop: Locator, source: Uint8Array): Flow {
  const header = (payloadKind: number): Uint8Array =>
    encodeDataHeader({ flags: 0, hopLimit: HOP_LIMIT, copyBudget: COPY_BUDGET, payloadKind, nonce: new Uint8Array(NONCE_BYTES), ids: [peerId] });
  const ends = { source, mtu: TUN_MTU_BYTES };
  if (isPlain(mode)) return { action: "tunnel", header: header(PAYLOAD_KIND.ipPacket), ...ends };
  const way = isRelayed(mode) ? { header: header(PAYLOAD_KIND.esp), locator: null } : { header: null, locator: nextHop };
  return { action: "esp", association: associationOf(mode), ...way, ...ends };
}
