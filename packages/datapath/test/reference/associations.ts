/** Two hosts that speak ESP with each other, for tests: OWN's programs send to PEER, and what PEER sends comes to OWN. */
import type { EspTransform, Flow, InboundAssociation, OutboundAssociation } from "../../src/datapath.js";
import { Harness, locator } from "./harness.js";
import { ip4, ip6 } from "./packets.js";

export const OWN = ip4("10.0.0.1");
export const PEER = ip4("10.0.0.2");
export const OWN6 = ip6(1);
export const PEER6 = ip6(2);
export const SPI = 0x2000_0001;
export const REMOTE = locator("192.0.2.7", 4_500);

const counted = (length: number, first: number): Uint8Array => Uint8Array.from({ length }, (_, i) => first + i);
export const GCM = { kind: "aes-gcm-16", key: counted(32, 0), salt: counted(4, 0xa0) } satisfies EspTransform;
export const NULL = { kind: "null-hmac-sha-256", integrityKey: counted(32, 100) } satisfies EspTransform;
export const CBC = { kind: "aes-cbc-hmac-sha-256", key: counted(32, 0), integrityKey: counted(32, 100) } satisfies EspTransform;
export const GCM_128: EspTransform = { ...GCM, key: counted(16, 0) };
export const CBC_128: EspTransform = { ...CBC, key: counted(16, 0) };

export const outbound = (more: Partial<OutboundAssociation> = {}): OutboundAssociation => ({ spi: SPI, transform: GCM, beet: 4, checksumState: false, ...more });

const same = (address: Uint8Array): { from: Uint8Array; to: Uint8Array } => ({ from: address, to: address });

/** Of the receiving side: packets come from OWN and are for PEER, so that what one harness sends another takes. */
export const inbound = (more: Partial<InboundAssociation> = {}): InboundAssociation => ({
  transform: GCM, beet: 4, checksumState: false, flow: OWN, source4: same(OWN), destination4: same(PEER), source6: same(OWN6), destination6: same(PEER6), ...more,
});

export const espFlow = (more: Partial<Flow & { action: "esp" }> = {}): Flow => ({ action: "esp", association: 1, header: null, locator: REMOTE, source: OWN, ...more });

/** Whose programs send to PEER, both families, straight to REMOTE. */
export function makeSender(association: Partial<OutboundAssociation> = {}, mtu?: number): Harness {
  const harness = new Harness({ slots: 128, slotBytes: 70_000 });
  harness.engine.setOutboundAssociation(1, outbound(association));
  harness.engine.setFlow(PEER, espFlow(mtu === undefined ? {} : { mtu }));
  harness.engine.setFlow(PEER6, espFlow({ source: OWN6, ...(mtu === undefined ? {} : { mtu }) }));
  return harness;
}

export function makeReceiver(association: Partial<InboundAssociation> = {}): Harness {
  const harness = new Harness({ slots: 128, slotBytes: 70_000 });
  harness.engine.setInboundAssociation(SPI, inbound(association));
  harness.engine.setFlow(OWN, { action: "refuse" });
  return harness;
}
