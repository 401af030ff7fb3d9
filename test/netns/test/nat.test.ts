/** Each kind of NAT behaves as RFC 4787 names it, seen from real sockets. */
import { describe, expect, test } from "vitest";
import type { NatKind, StandardTopology } from "../src/index.js";
import { UdpPeer } from "./udp-peer.js";
import { buildStandard } from "./with-topology.js";

async function build(nat1: NatKind, udpTimeoutS?: number): Promise<StandardTopology & { s1: UdpPeer; s2: UdpPeer; s3: UdpPeer }> {
  const built = await buildStandard({ nat1: { kind: nat1, ...(udpTimeoutS === undefined ? {} : { udpTimeoutS }) } });
  const [s1, s2, s3] = await Promise.all(built.servers.map((server) => UdpPeer.open(server, 7000)));
  if (s1 === undefined || s2 === undefined || s3 === undefined) throw new Error("the standard topology has three servers");
  return { ...built, s1, s2, s3 };
}

describe.each<NatKind>(["port-restricted", "full-cone"])("%s", (kind) => {
  test("maps one socket to one port, its own, towards every destination", async () => {
    const { laptop, nat1, s1, s2 } = await build(kind);
    const socket = await UdpPeer.open(laptop, 5000);
    expect(await socket.mappedBy(s1)).toEqual({ address: nat1.address4, port: 5000 });
    expect(await socket.mappedBy(s2)).toEqual({ address: nat1.address4, port: 5000 });
  });

  test("gives two hosts that use one source port two mappings, each endpoint-independent", async () => {
    const { laptop, neighbour, s1, s2, s3 } = await build(kind);
    const first = await UdpPeer.open(laptop, 5000);
    const second = await UdpPeer.open(neighbour, 5000);
    const [toS1, alsoToS1] = [await first.mappedBy(s1), await second.mappedBy(s2)];
    expect(toS1.port).not.toBe(alsoToS1.port);
    for (const server of [s1, s2, s3]) {
      expect(await first.mappedBy(server)).toEqual(toS1);
      expect(await second.mappedBy(server)).toEqual(alsoToS1);
    }
  });

  test("keeps the port although the peer's first packet came too early", async () => {
    const { laptop, nat1, s1 } = await build(kind);
    await s1.send({ address: nat1.address4, port: 5000 }, "early");
    const socket = await UdpPeer.open(laptop, 5000);
    expect(await socket.mappedBy(s1)).toEqual({ address: nat1.address4, port: 5000 });
    expect(socket.hasReceived("early")).toBe(false);
  });

  test("forgets its mappings on reboot", async () => {
    const { laptop, nat1, s1, s2 } = await build(kind);
    const socket = await UdpPeer.open(laptop, 5000);
    const mapped = await socket.mappedBy(s1);
    await nat1.reboot();
    await s1.send(mapped, "after-reboot");
    await socket.mappedBy(s2);
    expect(socket.hasReceived("after-reboot")).toBe(false);
  });
});

test("port-restricted lets in only the address and port that were sent to", async () => {
  const { laptop, servers, s1, s3 } = await build("port-restricted");
  const socket = await UdpPeer.open(laptop);
  const mapped = await socket.mappedBy(s1);
  const [server1] = servers;
  if (server1 === undefined) throw new Error("no s1");
  const otherPort = await UdpPeer.open(server1, 7001);
  await s3.send(mapped, "other-address");
  await otherPort.send(mapped, "other-port");
  await s1.send(mapped, "expected");
  await socket.received("expected");
  expect([socket.hasReceived("other-address"), socket.hasReceived("other-port")]).toEqual([false, false]);
});

test("full-cone lets anybody in to a mapped port, to the host that owns it, and nobody to another", async () => {
  const { laptop, neighbour, nat1, s1, s3 } = await build("full-cone");
  const socket = await UdpPeer.open(laptop, 5000);
  const other = await UdpPeer.open(neighbour, 6000);
  const mapped = await socket.mappedBy(s1);
  const otherMapped = await other.mappedBy(s1);
  const unmapped = await UdpPeer.open(laptop, 5001);
  await s3.send({ address: nat1.address4, port: 5001 }, "unmapped");
  await s3.send(mapped, "to-laptop");
  await s3.send(otherMapped, "to-neighbour");
  await socket.received("to-laptop");
  await other.received("to-neighbour");
  expect(unmapped.hasReceived("unmapped")).toBe(false);
});

test("full-cone keeps the owner of a mapping when the inside answers a stranger", async () => {
  const { laptop, s1, s2, s3 } = await build("full-cone");
  const socket = await UdpPeer.open(laptop, 5000);
  const mapped = await socket.mappedBy(s1);
  await s3.send(mapped, "echo-stranger");
  await s3.received(`seen ${s3.endpoint.address} ${s3.port} echo-stranger`);
  await s2.send(mapped, "later");
  await socket.received("later");
});

test("symmetric maps one socket to another port for each destination", async () => {
  const { laptop, servers, s1, s2, s3 } = await build("symmetric");
  const socket = await UdpPeer.open(laptop, 5000);
  const [server1] = servers;
  if (server1 === undefined) throw new Error("no s1");
  const otherPort = await UdpPeer.open(server1, 7001);
  const ports: number[] = [];
  for (const server of [s1, otherPort, s2, s3]) ports.push((await socket.mappedBy(server)).port);
  expect(new Set(ports).size).toBe(4);
  expect((await socket.mappedBy(s1)).port, "a mapping once made stays").toBe(ports[0]);
});

test("symmetric lets in only the address and port that were sent to", async () => {
  const { laptop, s1, s2, s3 } = await build("symmetric");
  const socket = await UdpPeer.open(laptop);
  const mapped = await socket.mappedBy(s1);
  await socket.mappedBy(s2);
  await s2.send(mapped, "known-elsewhere");
  await s3.send(mapped, "stranger");
  await s1.send(mapped, "expected");
  await socket.received("expected");
  expect([socket.hasReceived("known-elsewhere"), socket.hasReceived("stranger")]).toEqual([false, false]);
});

test("a mapping ends after the configured time without packets", async () => {
  const { laptop, nat1, s1, s3 } = await build("full-cone", 1);
  const socket = await UdpPeer.open(laptop, 5000);
  const mapped = await socket.mappedBy(s1);
  await expect.poll(async () => (await nat1.exec("nft", ["list", "map", "ip", "nat", "owner"])).stdout, { timeout: 5_000 }).not.toContain("5000");
  await s3.send(mapped, "too-late");
  await socket.mappedBy(s1);
  expect(socket.hasReceived("too-late")).toBe(false);
});
