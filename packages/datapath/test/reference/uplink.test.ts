/** By which interface datagrams leave that name none (docs/datapath.md, "Ways"). */
import type { ViaLocator } from "@i3/common";
import { expect, it } from "vitest";

import { OWN, PEER } from "./associations.js";
import { dataPacket, Harness, locator } from "./harness.js";
import { bytes, data, ip4, makeId, packet, udp } from "./packets.js";

const SERVER = locator("192.0.2.1");

it("is the uplink, until there is none", () => {
  const harness = new Harness();
  const rows: readonly (readonly [sent: ViaLocator, leaves: ViaLocator])[] = [
    [SERVER, { ...SERVER, interfaceIndex: 7 }],
    [{ ...SERVER, isWhole: true }, { ...SERVER, isWhole: true, interfaceIndex: 7 }],
    [{ ...SERVER, interfaceIndex: 3 }, { ...SERVER, interfaceIndex: 3 }],
    [{ ...SERVER, local: ip4("192.0.2.9") }, { ...SERVER, local: ip4("192.0.2.9") }],
    [{ ...SERVER, via: "hip" }, { ...SERVER, via: "hip" }],
    [{ ...SERVER, port: 50, via: "ip" }, { ...SERVER, port: 50, via: "ip" }],
  ];
  const send = (): readonly ViaLocator[] => {
    harness.engine.send(rows.map(([sent]) => ({ locator: sent, bytes: bytes(0x19) })));
    harness.step();
    return harness.udpRoutes;
  };
  expect(send()).toEqual(rows.map(([sent]) => sent));
  harness.engine.setUplink(7);
  expect(send()).toEqual(rows.map(([, leaves]) => leaves));
  harness.engine.setUplink(0);
  expect(send()).toEqual(rows.map(([sent]) => sent));
});

it("is that of the moment at which they leave, whether the control plane or a flow made them", () => {
  const harness = new Harness();
  harness.engine.setDefaultServer(SERVER);
  harness.engine.setFlow(PEER, { action: "tunnel", header: dataPacket({ ids: [makeId(9)] }), source: OWN });
  harness.engine.send([{ locator: SERVER, bytes: bytes(0x19) }]);
  harness.engine.setUplink(7);
  harness.fromTun(packet(OWN, PEER, 17, udp(data(5))));
  expect(harness.udpRoutes).toEqual([{ ...SERVER, interfaceIndex: 7 }, { ...SERVER, interfaceIndex: 7 }]);
});
