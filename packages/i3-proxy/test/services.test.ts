/** Rules per service end to end: two proxies, a ring, real cores and engines, virtual time (docs/policy.md). */
import { describe, expect, it } from "vitest";

import { locatorKey, publicId } from "@i3/common";
import { generateHostIdentity } from "@i3/hip";

import { addHost, bookOf, World, type Host } from "../../../test/sim/world.js";
import { mappingFromJson, mappingToJson, type Mapping } from "../src/mappings/mapping.js";
import { addressOf, packet4, rulesOf, textOf, type PacketKind } from "./traffic.js";

const ICMP: PacketKind = { protocol: 1 };
const NFS: PacketKind = { protocol: 6, ports: [1_000, 2_049] };
const NFS_BACK: PacketKind = { protocol: 6, ports: [2_049, 1_000] };
const SSH: PacketKind = { protocol: 6, ports: [1_001, 22] };
const SSH_BACK: PacketKind = { protocol: 6, ports: [22, 1_001] };

/** ICMP in clear, NFS authenticated, the rest encrypted. */
const NAS = '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/><rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="2049"/><rule name=".*\\.i3" go="i3"/>';
const NO_REST = '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/><rule name=".*\\.i3" go="i3" protocol="tcp" ports="22"/>';
const ESP = '<rule name=".*\\.i3" go="i3"/>';
const AUTH = '<rule name=".*\\.i3" go="i3" security="auth"/>';
const NONE = '<rule name=".*\\.i3" go="i3" security="none"/>';

interface Bed {
  readonly world: World;
  readonly laptop: Host;
  readonly nas: Host;
}

function bed(laptopRules: string, nasRules: string): Bed & { readonly ring: ReturnType<World["ring"]>; readonly book: ReturnType<typeof bookOf> } {
  const world = new World({ delayMs: 10 });
  const ring = world.ring(3);
  world.run(3_000);
  const [laptopKey, nasKey] = [generateHostIdentity(), generateHostIdentity()];
  const book = bookOf({ "laptop.i3": laptopKey, "nas.i3": nasKey });
  const laptop = addHost(world, "198.51.100.1", { servers: ring, identity: laptopKey, book, rules: rulesOf(laptopRules) });
  const nas = addHost(world, "198.51.100.2", { servers: ring, identity: nasKey, book, rules: rulesOf(nasRules) });
  world.run(10_000, () => laptop.proxy.isReady(world.nowMs) && nas.proxy.isReady(world.nowMs));
  world.run(1_000);
  return { world, ring, laptop, nas, book };
}

const bodyOf = (packet: Uint8Array, { ports }: PacketKind): string => textOf(packet).slice(ports === undefined ? 0 : 4);

/** Sends one packet, and says whether it arrived and whether anybody on the way could read it. */
function carry({ world }: Bed, from: Host, to: Host, name: string, kind: PacketKind, text: string): "unread" | "readable" | "lost" {
  const address = addressOf(from, name);
  world.wire.length = 0;
  world.inject(from.node, { tun: packet4(from.proxy.own4, address, text, kind) });
  world.run(3_000, () => to.node.received.some((packet) => bodyOf(packet, kind) === text));
  if (!to.node.received.some((packet) => bodyOf(packet, kind) === text)) return "lost";
  return world.wire.some(({ bytes }) => Buffer.from(bytes).includes(text)) ? "readable" : "unread";
}

/** Payload kinds of i3 data packets that carry a text. */
const kindsOf = ({ world }: Bed, text: string): Set<number> => new Set(world.wire.filter(({ bytes }) => Buffer.from(bytes).includes(text)).map(({ bytes }) => bytes[5] ?? 0));
const mappingOf = (host: Host, peer: Host): Mapping | undefined => host.proxy.mappings.byPeer(publicId(peer.identity.hit));
const policyDrops = (host: Host): number => host.node.engine.counters().drops.policy;
const logged = (host: Host, event: string): number => host.node.log.filter((line) => line.event === event).length;

describe("services", () => {
  it("go as their rules say, both ways: in clear, readable and authenticated, encrypted", () => {
    const at = bed(NAS, NAS);
    const { laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "a ping to read")).toBe("readable");
    expect(kindsOf(at, "a ping to read")).toEqual(new Set([1]));
    expect(carry(at, nas, laptop, "laptop.i3", ICMP, "a pong to read")).toBe("readable");
    expect(carry(at, laptop, nas, "nas.i3", NFS, "a file to read")).toBe("readable");
    expect(kindsOf(at, "a file to read")).toEqual(new Set([4]));
    expect(carry(at, nas, laptop, "laptop.i3", NFS_BACK, "its answer to read")).toBe("readable");
    expect(carry(at, laptop, nas, "nas.i3", SSH, "a password")).toBe("unread");
    expect(carry(at, nas, laptop, "laptop.i3", SSH_BACK, "a prompt")).toBe("unread");
    expect([policyDrops(laptop), policyDrops(nas)]).toEqual([0, 0]);
    expect([laptop, nas].map(({ proxy }) => proxy.setups.hip?.counters.paired)).toEqual([1, 1]);
  });

  it.each([["what goes in clear", ICMP], ["what is authenticated", NFS], ["what is encrypted", SSH]] as const)("begin with any of them: %s", (_, kind) => {
    const at = bed(NAS, NAS);
    expect(carry(at, at.laptop, at.nas, "nas.i3", kind, "the first packet")).not.toBe("lost");
    expect(carry(at, at.nas, at.laptop, "laptop.i3", kind, "and its answer")).not.toBe("lost");
  });

  it("both ends may need the second kind of keys at once", () => {
    const at = bed(NAS, NAS);
    const { world, laptop, nas } = at;
    carry(at, laptop, nas, "nas.i3", SSH, "opens");
    world.run(1_000);
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "nas.i3"), "from laptop", NFS) });
    world.inject(nas.node, { tun: packet4(nas.proxy.own4, addressOf(nas, "laptop.i3"), "from nas", NFS_BACK) });
    world.run(2_000);
    expect([bodyOf(nas.node.received.at(-1) as Uint8Array, NFS), bodyOf(laptop.node.received.at(-1) as Uint8Array, NFS)]).toEqual(["from laptop", "from nas"]);
    expect(laptop.proxy.setups.hip?.counters.paired).toBe(1);
  });

  it("what no rule takes is refused at once, whoever sends it", () => {
    const at = bed(NO_REST, NAS);
    const { world, laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "wanted")).toBe("unread");
    const answers = laptop.node.received.length;
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "nas.i3"), "not wanted", NFS) });
    // ICMP host unreachable.
    expect(laptop.node.received.slice(answers).map((packet) => [packet[9], packet[20], packet[21]])).toEqual([[1, 3, 1]]);
    expect(policyDrops(laptop)).toBe(1);
    expect(carry(at, nas, laptop, "laptop.i3", { protocol: 17, ports: [5_000, 5_001] }, "not wanted either")).toBe("lost");
    expect(policyDrops(laptop)).toBe(2);
  });

  it("more than the rules ask for is welcome, less is not", () => {
    const at = bed(NAS, ESP);
    const { laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "as both want")).toBe("unread");
    expect(carry(at, nas, laptop, "laptop.i3", ICMP, "more than asked for")).toBe("unread");
    expect(carry(at, nas, laptop, "laptop.i3", NFS, "more here too")).toBe("unread");
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "less than asked for")).toBe("lost");
    expect([nas.proxy.setups.plain.counters.tooLittleProtection, nas.proxy.setups.plain.counters.unconfirmed]).toEqual([1, 0]);
    at.world.run(2_000);
    expect(nas.node.log.filter(({ event }) => event === "too-little-protection").map(({ level, fields }) => [level, fields])).toEqual([["warn", {
      packets: 1, peer: "laptop.i3", protocol: "icmp", why: expect.stringContaining("less protection") as unknown, remedy: expect.any(String) as unknown,
    }]]);
  });

  it("less is dropped by a host that has services too", () => {
    const at = bed(NAS, '<rule name=".*\\.i3" go="i3" security="none" protocol="udp"/><rule name=".*\\.i3" go="i3"/>');
    const { laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "opens")).toBe("unread");
    const before = policyDrops(nas);
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "less than asked for")).toBe("lost");
    expect(policyDrops(nas)).toBe(before + 1);
    expect(carry(at, laptop, nas, "nas.i3", SSH, "still")).toBe("unread");
  });

  it("less than asked for is dropped, and people hear how many packets, once a minute", () => {
    const at = bed(AUTH, '<rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="22"/><rule name=".*\\.i3" go="i3"/>');
    const { world, laptop, nas } = at;
    const told = () => nas.node.log.filter(({ event }) => event === "too-little-protection").map(({ level, fields }) => [level, fields["packets"], fields["among"]]);
    expect(carry(at, laptop, nas, "nas.i3", SSH, "as both want")).toBe("readable");
    expect([carry(at, laptop, nas, "nas.i3", NFS, "too little"), told()]).toEqual(["lost", [["warn", 1, ["laptop.i3"]]]]);
    for (let n = 0; n < 3; n += 1) carry(at, laptop, nas, "nas.i3", NFS, `too little ${n}`);
    expect(told()).toHaveLength(1);
    world.run(60_000);
    expect(told()).toEqual([["warn", 1, ["laptop.i3"]], ["warn", 3, ["laptop.i3"]]]);
    world.run(120_000);
    expect(told()).toHaveLength(2);
  });

  it("keys without encryption carry nothing that has to be encrypted", () => {
    const at = bed('<rule name=".*\\.i3" go="i3" security="auth" protocol="tcp" ports="22"/><rule name=".*\\.i3" go="i3"/>', NAS);
    const { laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "authenticated where esp is asked for")).toBe("lost");
    expect([nas.proxy.setups.hip?.counters.paired, policyDrops(nas)]).toEqual([1, 1]);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "encrypted where auth is asked for")).toBe("unread");
  });

  it("a peer that does not take the second kind of keys: what needs it goes encrypted, the log says so once, the rest goes on", () => {
    const at = bed(NAS, ESP);
    const { world, laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "opens")).toBe("unread");
    world.run(1_000);
    for (let i = 0; i < 4; i += 1) {
      expect(carry(at, laptop, nas, "nas.i3", NFS, `a file ${i}`)).toBe("unread");
      expect(carry(at, nas, laptop, "laptop.i3", NFS_BACK, `its answer ${i}`)).toBe("unread");
      expect(carry(at, laptop, nas, "nas.i3", SSH, `goes on ${i}`)).toBe("unread");
      world.run(20_000);
    }
    expect([logged(laptop, "service-encrypted"), logged(laptop, "service-refused")]).toEqual([1, 0]);
    expect(nas.proxy.setups.hip?.counters.pairsRefused).toBeGreaterThan(1);
    // The other one may have learnt it meanwhile.
    nas.proxy.setRules(world.nowMs, rulesOf(NAS));
    world.run(31_000);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "readable now")).toBe("readable");
  });

  it("a caller that has less in its rules than who is called gets its answers", () => {
    const at = bed(ESP, NAS);
    expect(carry(at, at.laptop, at.nas, "nas.i3", NFS, "a question")).toBe("unread");
    expect(carry(at, at.nas, at.laptop, "laptop.i3", NFS_BACK, "an answer")).toBe("unread");
    expect([policyDrops(at.laptop), policyDrops(at.nas)]).toEqual([0, 0]);
  });

  it("a peer that knows no second pairs is asked once, and packets wait for it once", () => {
    const at = bed(NAS, NAS);
    const { world, laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "opens")).toBe("unread");
    world.run(1_000);
    const hip = nas.proxy.setups.hip?.hip as { handle: (nowMs: number, bytes: Uint8Array, from: unknown) => void };
    const handle = hip.handle.bind(hip);
    // UPDATE is type 16.
    hip.handle = (nowMs, bytes, from) => bytes[2] === 16 ? undefined : handle(nowMs, bytes, from);
    const to = addressOf(laptop, "nas.i3");
    const arrives = (text: string): boolean => nas.node.received.some((packet) => bodyOf(packet, NFS) === text);
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, to, "waits", NFS) });
    const sentMs = world.nowMs;
    world.run(20_000, () => arrives("waits"));
    expect([arrives("waits"), world.nowMs - sentMs <= 3_100]).toEqual([true, true]);
    for (let n = 0; n < 5; n += 1) {
      expect(carry(at, laptop, nas, "nas.i3", NFS, `at once ${n}`)).toBe("unread");
      expect(carry(at, nas, laptop, "laptop.i3", SSH_BACK, `heard ${n}`)).toBe("unread");
      world.run(20_000);
    }
    expect([logged(laptop, "service-encrypted"), logged(laptop, "unreachable")]).toEqual([1, 0]);
  });

  it("a peer that answers late gets the second pair, and what needs it goes encrypted until then", () => {
    const at = bed(NAS, NAS);
    const { world, laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", SSH, "opens")).toBe("unread");
    world.run(1_000);
    const hip = nas.proxy.setups.hip?.hip as { handle: (nowMs: number, bytes: Uint8Array, from: unknown) => void };
    const [handle, lateMs] = [hip.handle.bind(hip), world.nowMs + 5_000];
    hip.handle = (nowMs, bytes, from) => bytes[2] === 16 && nowMs < lateMs ? undefined : handle(nowMs, bytes, from);
    world.inject(laptop.node, { tun: packet4(laptop.proxy.own4, addressOf(laptop, "nas.i3"), "waits", NFS) });
    world.run(3_500);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "meanwhile")).toBe("unread");
    world.run(6_000);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "a file to read")).toBe("readable");
  });

  it("a peer that does not take the encrypted kind: what needs it is refused, and never sent readable", () => {
    const at = bed(AUTH, AUTH);
    const { world, laptop, nas } = at;
    expect(carry(at, laptop, nas, "nas.i3", NFS, "opens")).toBe("readable");
    world.run(1_000);
    // From here on the laptop wants SSH encrypted, beside what it has.
    laptop.proxy.setRules(world.nowMs, rulesOf(`<rule name=".*\\.i3" go="i3" protocol="tcp" ports="22"/>${AUTH}`));
    world.run(4_000);
    expect(carry(at, laptop, nas, "nas.i3", SSH, "a password")).toBe("lost");
    expect(laptop.node.received.at(-1)?.[9]).toBe(1);
    expect(logged(laptop, "service-refused")).toBe(1);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "goes on")).toBe("readable");
  });

  it("without encryption anywhere: authenticated and in clear, by one kind of keys", () => {
    const rules = '<rule name=".*\\.i3" go="i3" security="none" protocol="icmp"/><rule name=".*\\.i3" go="i3" security="auth"/>';
    const at = bed(rules, rules);
    expect(carry(at, at.laptop, at.nas, "nas.i3", SSH, "authenticated")).toBe("readable");
    expect(kindsOf(at, "authenticated")).toEqual(new Set([4]));
    expect(carry(at, at.laptop, at.nas, "nas.i3", ICMP, "in clear")).toBe("readable");
    expect(kindsOf(at, "in clear")).toEqual(new Set([1]));
    expect(at.laptop.proxy.setups.hip?.counters.paired).toBe(0);
  });

  it("without protection anywhere services say what passes", () => {
    const rules = '<rule name=".*\\.i3" go="i3" security="none" protocol="tcp" ports="22"/>';
    const at = bed(rules, rules);
    expect(carry(at, at.laptop, at.nas, "nas.i3", SSH, "in clear")).toBe("readable");
    expect(carry(at, at.nas, at.laptop, "laptop.i3", SSH_BACK, "and back")).toBe("readable");
    expect(carry(at, at.laptop, at.nas, "nas.i3", NFS, "not wanted")).toBe("lost");
    expect(policyDrops(at.laptop)).toBe(1);
  });

  it("survive a restart of one proxy", () => {
    const at = bed(NAS, NAS);
    const { world, ring, laptop, nas, book } = at;
    for (const kind of [ICMP, NFS, SSH]) expect(carry(at, laptop, nas, "nas.i3", kind, "before")).not.toBe("lost");
    world.run(4_000);
    const restored = [...nas.proxy.mappings.all()].map((mapping) => mappingFromJson(JSON.parse(JSON.stringify(mappingToJson(mapping)))));
    world.nodes.delete(locatorKey(nas.node.locator));
    const again = addHost(world, "198.51.100.2", { servers: ring, identity: nas.identity, sharedKey: nas.sharedKey, book, rules: rulesOf(NAS), restored, lastOwn4: nas.proxy.own4 });
    world.run(15_000, () => mappingOf(again, laptop)?.state === "open");
    world.run(1_000);
    expect(carry({ ...at, nas: again }, laptop, again, "nas.i3", ICMP, "clear again")).toBe("readable");
    expect(carry({ ...at, nas: again }, laptop, again, "nas.i3", NFS, "readable again")).toBe("readable");
    expect(carry({ ...at, nas: again }, laptop, again, "nas.i3", SSH, "secret again")).toBe("unread");
  });

  it("other rules act on what lives", () => {
    const at = bed(ESP, ESP);
    const { world, laptop, nas } = at;
    const set = (rules: string): void => {
      for (const host of [laptop, nas]) host.proxy.setRules(world.nowMs, rulesOf(rules));
      world.run(4_000);
    };
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "one")).toBe("unread");
    set(NAS);
    expect(mappingOf(laptop, nas)?.state).toBe("open");
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "two")).toBe("readable");
    expect(carry(at, laptop, nas, "nas.i3", NFS, "three")).toBe("readable");
    expect(carry(at, laptop, nas, "nas.i3", SSH, "four")).toBe("unread");
    set(NO_REST);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "five")).toBe("lost");
    expect(carry(at, laptop, nas, "nas.i3", SSH, "six")).toBe("unread");
    set(AUTH);
    expect(carry(at, laptop, nas, "nas.i3", SSH, "seven")).toBe("readable");
    set(NONE);
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "eight")).toBe("readable");
    expect(kindsOf(at, "eight").has(4)).toBe(false);
    set(ESP);
    expect(carry(at, laptop, nas, "nas.i3", ICMP, "nine")).toBe("unread");
    expect(carry(at, nas, laptop, "laptop.i3", ICMP, "ten")).toBe("unread");
  });

  it("a fresh exchange brings both kinds of keys anew", () => {
    const at = bed(NAS, NAS);
    const { world, laptop, nas } = at;
    for (const kind of [NFS, SSH]) carry(at, laptop, nas, "nas.i3", kind, "before");
    world.run(11_000);
    const { hip } = laptop.proxy.setups;
    // The first that the laptop's HIP host made.
    hip?.hip.close(world.nowMs, 1);
    world.run(1_000);
    expect(carry(at, laptop, nas, "nas.i3", NFS, "readable again")).toBe("readable");
    expect(carry(at, laptop, nas, "nas.i3", SSH, "secret again")).toBe("unread");
    expect(hip?.counters.paired).toBe(2);
  });

  it("rules that find no room are refused, and the log says where, once", () => {
    const many = Array.from({ length: 33 }, (_, i) => `<rule name="n[a]s\\.i3${"|x".repeat(i)}" go="i3" protocol="tcp" ports="${i + 1}"/>`).join("");
    const at = bed(many + ESP, ESP);
    expect(carry(at, at.laptop, at.nas, "nas.i3", { protocol: 6, ports: [40_000, 32] }, "has room")).toBe("unread");
    expect(carry(at, at.laptop, at.nas, "nas.i3", { protocol: 6, ports: [40_000, 33] }, "has none")).toBe("lost");
    expect(logged(at.laptop, "services-cut-off")).toBe(1);
  });
});
