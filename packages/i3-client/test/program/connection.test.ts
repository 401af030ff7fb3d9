/** The public client on real sockets of loopback: what works, what is refused and how, and that nothing is left open. */
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { encodeServerList, makeLocator, publicId, RECORD_KIND } from "@i3/common";
import { generateHostIdentity, generateTriggerKey, signRecord } from "@i3/hip";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";

import { connect, fromHex, I3Client, newGroup, readServerList, serverListOf, toHex, writeServerList, type Group, type I3Connection, type Message, type Trigger } from "../../src/index.js";
import { LoopbackServer } from "./loopback-server.js";

const text = ({ payload }: Message): string => Buffer.from(payload).toString();
/** Of a machine with other work. */
const PATIENT = { timeoutMs: 100_000 };
const TOMORROW = new Date(Date.now() + 86_400_000);
let server: LoopbackServer;
const connections: I3Connection[] = [];
beforeAll(async () => (server = await LoopbackServer.open()));
afterEach(async () => void (await Promise.all(connections.splice(0).map((connection) => connection.close()))));
afterAll(() => server.close());

async function open(options: Partial<Parameters<typeof connect>[0]> = {}): Promise<I3Connection> {
  const connection = await connect({ servers: [server.address], ...options });
  connections.push(connection);
  return connection;
}

/** As a daemon that publishes a list does. */
async function putRecord(record: Uint8Array, port: number): Promise<void> {
  const socket = createSocket("udp4");
  const none = (): void => undefined;
  const client = new I3Client({
    randomBytes: (length) => new Uint8Array(randomBytes(length)), wallMs: () => Date.now(),
    datapath: { send: (datagrams) => datagrams.forEach(({ bytes }) => socket.send(bytes, port, "127.0.0.1")), setNextServer: none, setDefaultServer: none, setKnownSource: none, setUplink: none },
  });
  const from = makeLocator(Uint8Array.of(127, 0, 0, 1), port);
  client.addServer(performance.now(), from);
  client.keepRecord(performance.now(), record);
  const timer = setInterval(() => client.handleTimer(performance.now()), 10);
  await new Promise<void>((resolve) => socket.on("message", (bytes) => {
    client.handleControl(performance.now(), from, bytes);
    if (client.takeEvents().some(({ kind }) => kind === "record-kept")) resolve();
  }));
  clearInterval(timer);
  socket.close();
}

/** The next messages of a trigger, as text. */
async function take(trigger: Trigger, count: number): Promise<string[]> {
  const heard: string[] = [];
  for await (const message of trigger) if (heard.push(text(message)) === count) break;
  return heard;
}

it("one connection has 1,024 triggers, those that are on their way included: one more is refused at once", async () => {
  const home = await open();
  const inserts = Promise.allSettled(Array.from({ length: 1_024 }, () => home.insert(home.id(), PATIENT)));
  await expect(home.insert()).rejects.toMatchObject({ code: "ERR_I3_FULL", message: expect.stringContaining("1024 triggers") as string });
  await home.close();
  const codes = (await inserts).map((insert) => (insert.status === "rejected" ? (insert.reason as { readonly code: string }).code : "live"));
  expect(codes.filter((code) => code !== "live" && code !== "ERR_I3_CLOSED")).toEqual([]);
});

it("more triggers than a server takes of one key are live when their ids have no label; of those with labels one more is refused at once", async () => {
  const [large, key] = [await LoopbackServer.open(4_096, 4_096), "7".repeat(64)];
  const home = await open({ servers: [large.address], key });
  const drawn = Array.from({ length: 160 }, () => home.id());
  const triggers = await Promise.all(drawn.map((id) => home.insert(id, PATIENT)));
  expect(triggers.filter(({ live }) => !live)).toEqual([]);
  const labelled = Array.from({ length: 128 }, (_, i) => home.insert(home.id(`box ${i}`), PATIENT));
  const refused = { code: "ERR_I3_FULL", message: expect.stringContaining("more than 128 triggers") as string, remedy: expect.stringContaining("without a label") as string };
  await expect(home.insert(home.id("one more"))).rejects.toMatchObject(refused);
  expect((await Promise.all(labelled)).filter(({ live }) => !live)).toEqual([]);
  expect((await home.insert(home.id(), PATIENT)).live).toBe(true);
  await home.close();
  // After a restart the ids are still its own.
  const again = await open({ servers: [large.address], key });
  expect((await again.insert(drawn.at(-1), PATIENT)).live).toBe(true);
  await again.close();
  large.close();
}, 120_000);

describe("two programs", () => {
  it("send to ids, by bytes and by text", async () => {
    const [home, other] = [await open(), await open()];
    const inbox = await home.insert();
    expect(inbox.live).toBe(true);
    expect(other.send(inbox.id, "one")).toBe(true);
    other.send(toHex(inbox.id), Buffer.from("two"));
    expect(await take(inbox, 2)).toEqual(["one", "two"]);
    expect(home.counters()).toMatchObject({ received: 2, unknownId: 0, shortcutsFailed: 0, proofsRefused: 0 });
    expect(home.servers()).toMatchObject([{ address: server.address, alive: true }]);
    expect(home.server()).toBe(server.address);
  });

  it("are told when the socket takes no more: what was not sent is not counted as sent", async () => {
    const i3 = await open();
    const id = i3.id();
    const before = i3.counters();
    const taken = Array.from({ length: 5_000 }, () => i3.send(id, "all in one turn")).filter((isSent) => isSent).length;
    const { sent, socket } = i3.counters();
    expect(taken).toBeLessThan(5_000);
    expect([sent - before.sent, socket - before.socket]).toEqual([taken, 5_000 - taken]);
  });

  it("send straight to each other when both allow it, and never before the receiver does", async () => {
    const [home, other] = [await open(), await open()];
    const [open_, hidden] = [await home.insert(undefined, { shortcut: true }), await home.insert()];
    for (const inbox of [open_, hidden]) inbox.on("message", () => undefined);
    const untilStraight = async (id: Uint8Array): Promise<void> => {
      while (other.counters().straight === 0) {
        other.send(id, "by whatever way", { shortcut: true });
        await once(open_, "message");
      }
    };
    for (let i = 0; i < 5; i += 1) {
      other.send(hidden.id, "over i3", { shortcut: true });
      await once(hidden, "message");
    }
    expect(other.counters().straight).toBe(0);
    await untilStraight(open_.id);
    const before = other.counters().straight;
    other.send(open_.id, "over i3 all the same");
    await once(open_, "message");
    expect(other.counters().straight).toBe(before);
    await expect(home.insert(undefined, { shortcut: true, identity: generateHostIdentity("rsa") })).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
    await expect(home.insert(home.id(), { shortcut: true, via: [other.consent(other.id(), home.id(), TOMORROW)] })).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
  });

  it("carry the longest payload along the longest stack", async () => {
    const [home, other] = [await open(), await open()];
    const inbox = await home.insert();
    const heard = once(inbox, "message") as Promise<[Message]>;
    const rest = Array.from({ length: 14 }, () => other.id());
    other.send([inbox.id, ...rest], new Uint8Array(736).fill(5));
    const [message] = await heard;
    expect(message.payload).toEqual(new Uint8Array(736).fill(5));
    expect(message.stack).toEqual(rest);
  });

  it("hear that nobody is there", async () => {
    const [other, third] = [await open(), await open()];
    const gone = once(other, "not-present") as Promise<[Uint8Array]>;
    const [asked, id] = [third.id(), other.id()];
    // The answer would be longer than this.
    other.send(asked, "no");
    other.send(id, "yes");
    expect((await gone)[0]).toEqual(id);
  });

  it("are members of one group: multicast to all, anycast to the one whose preference is nearest", async () => {
    const [founder, guest, sender] = [await open(), await open(), await open()];
    const group = newGroup();
    const rooms = [await founder.join(group), await guest.join(group.admit(guest.publicKey, TOMORROW))];
    const [eu, us] = [await founder.join(group, { preference: "eu/paris" }), await guest.join(group, { preference: "us/boston" })];
    sender.send(group.id, "to all");
    sender.anycast(group, "to boston", { preference: "us/chicago" });
    sender.anycast(group.id, "to paris", { preference: "eu/berlin" });
    expect(await Promise.all([...rooms, us, eu].map((trigger) => take(trigger, 1)))).toEqual([["to all"], ["to all"], ["to boston"], ["to paris"]]);
    us.remove();
    // Until the server has heard of it.
    const again = setInterval(() => sender.anycast(group, "to who is left", { preference: "us/chicago" }), 20);
    expect(await take(eu, 1)).toEqual(["to who is left"]);
    clearInterval(again);
  });

  it("with one preference share the work: each packet goes to one of them", async () => {
    const group = newGroup();
    const members = await Promise.all(Array.from({ length: 6 }, () => open()));
    const heard = members.map(() => 0);
    for (const [i, member] of members.entries()) (await member.join(group, { preference: "eu" })).on("message", () => (heard[i] = (heard[i] ?? 0) + 1));
    const sender = await open();
    const inbox = await sender.insert();
    for (let i = 0; i < 60; i += 1) sender.anycast(group, "work", { preference: "eu" });
    sender.send(inbox.id, "the last"); // by the same server, so that all before it have gone out
    await take(inbox, 1);
    await expect.poll(() => heard.reduce((sum, count) => sum + count), { timeout: 10_000 }).toBeGreaterThanOrEqual(60);
    expect(heard.reduce((sum, count) => sum + count)).toBe(60);
    expect(heard.filter((count) => count > 0).length).toBeGreaterThan(1);
  });

  it("put a service on the way: the sender by its stack, the receiver by a consent", async () => {
    const [box, home, sender] = [await open(), await open(), await open()];
    const service = await box.insert();
    service.on("message", (message) => box.forward(message, text(message).toUpperCase()));
    const plain = await home.insert();
    const id = home.id("shop");
    const behind = await home.insert(id, { via: [box.consent(service.id, id, TOMORROW)] });
    sender.send([service.id, plain.id], "by the sender");
    sender.send(id, "by the receiver");
    expect([await take(plain, 1), await take(behind, 1)]).toEqual([["BY THE SENDER"], ["BY THE RECEIVER"]]);
    // A chain leads away from who made it.
    const from = sender.id();
    await sender.insert(from, { to: [home.consent(plain.id, from, TOMORROW)] });
    sender.send(from, "by a chain");
    expect(await take(plain, 1)).toEqual(["by a chain"]);
  });

  it("put a service on the way: what comes from it goes to an id of a key that no other id of the receiver is of", async () => {
    const [box, home, sender] = [await open(), await open(), await open()];
    const service = await box.insert();
    const through = once(service, "message") as Promise<[Message]>;
    const id = home.id();
    await home.insert(id, { via: [box.consent(service.id, id, TOMORROW)] });
    sender.send(id, "by the service");
    const [{ stack }] = await through;
    const prefix = (of: Uint8Array | undefined): string => toHex(of?.subarray(0, 16) ?? new Uint8Array(0));
    expect(stack).toHaveLength(1);
    expect([id, home.id(), home.id("shop")].map(prefix)).not.toContain(prefix(stack[0]));
  });

  it("make a tree of groups: a member that leads on, with a later certificate too, under the same trigger", async () => {
    const [root, left, right] = [newGroup(), newGroup(), newGroup()];
    const [founder, other, sender] = [await open(), await open(), await open()];
    const branch = async (host: I3Connection, child: Group, certificate: Group | Uint8Array = root) => await host.join(certificate, { to: [child.consent(root.id, TOMORROW)] });
    const inboxes = await Promise.all([left, left, right].map(async (group) => await (await open()).join(group)));
    const trigger = await branch(founder, left);
    await branch(other, right);
    expect(await branch(founder, left, root.admit(founder.publicKey, TOMORROW))).toBe(trigger);
    sender.send(root.id, "to all leaves");
    for (const inbox of inboxes) expect(await take(inbox, 1)).toEqual(["to all leaves"]);
    trigger.remove();
    await expect(founder.join(root, { to: [left.consent(right.id, TOMORROW)] })).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
    await expect(founder.join(root, { to: [left.consent(root.id, TOMORROW)], preference: "a" })).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
    expect(() => left.consent(root.id, new Date(NaN))).toThrow("notAfter is a Date that is no time");
  });

  it("go on with a later certificate, and with other services on the way, under the same trigger", async () => {
    const [member, box, sender] = [await open(), await open(), await open()];
    const group = newGroup();
    const until = (s: number): Date => new Date(Date.now() + s * 1_000);
    const room = await member.join(group.admit(member.publicKey, until(5)));
    const work = await member.join(group.admit(member.publicKey, until(5)), { preference: "a" });
    expect(await member.join(group.admit(member.publicKey, TOMORROW))).toBe(room);
    expect(await member.join(group.admit(member.publicKey, TOMORROW), { preference: "a" })).toBe(work);
    const [upper, lower] = [await box.insert(), await box.insert()];
    upper.on("message", (message) => box.forward(message, text(message).toUpperCase()));
    lower.on("message", (message) => box.forward(message, text(message).toLowerCase()));
    const id = member.id();
    const inbox = await member.insert(id, { via: [box.consent(upper.id, id, TOMORROW)] });
    expect(await member.insert(id, { via: [box.consent(lower.id, id, TOMORROW)] })).toBe(inbox);
    const again = setInterval(() => sender.send(id, "Shout"), 20); // until the server has heard of it
    for await (const message of inbox) if (text(message) === "shout") break;
    clearInterval(again);
    // The first certificates have ended meanwhile.
    const ended = setInterval(() => {
      sender.send(group.id, String(Date.now()));
      sender.anycast(group, String(Date.now()), { preference: "a" });
    }, 100);
    const endMs = until(5.5).getTime();
    for (const trigger of [room, work]) for await (const message of trigger) if (Number(text(message)) > endMs) break;
    clearInterval(ended);
  });

  it("are a host whose public id is known", async () => {
    const [home, other] = [await open(), await open()];
    const identity = generateHostIdentity();
    const inbox = await home.insert(publicId(identity.hit), { identity });
    other.send(publicId(identity.hit), "to a host");
    expect(await take(inbox, 1)).toEqual(["to a host"]);
  });
});

describe("ids", () => {
  it("with a label stay with the key, in a file that only its owner reads", async () => {
    const stateDir = join(mkdtempSync(join(tmpdir(), "i3-client-")), "state");
    const [first, again, other] = [await open({ stateDir }), await open({ stateDir }), await open()];
    expect(first.id("inbox")).toEqual(again.id("inbox"));
    expect(first.id("inbox")).not.toEqual(first.id("outbox"));
    expect(first.id()).not.toEqual(first.id());
    expect(first.id("inbox")).not.toEqual(other.id("inbox"));
    const file = join(stateDir, "client.key");
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const [seed = ""] = /[0-9a-f]{64}/.exec(readFileSync(file, "utf8")) ?? [];
    expect((await open({ key: seed })).id("inbox")).toEqual(first.id("inbox"));
    expect((await open({ key: fromHex(seed) })).id("inbox")).toEqual(first.id("inbox"));
    chmodSync(file, 0o640);
    await expect(open({ stateDir })).rejects.toMatchObject({ code: "ERR_I3_KEY_FILE", remedy: `Run: chmod 600 ${file}` });
    chmodSync(file, 0o600);
    writeFileSync(file, "i3 client key 1 00\n");
    await expect(open({ stateDir })).rejects.toMatchObject({ code: "ERR_I3_KEY_FILE" });
    rmSync(stateDir, { recursive: true });
  });
});

describe("a near id", () => {
  it("is found once, is another each time, and works like any id", async () => {
    const [home, other] = [await open(), await open()];
    const [first, second] = await Promise.all([home.nearId(), home.nearId()]);
    const third = await home.nearId({ timeoutMs: 0 });
    expect(new Set([first, second, third].map(toHex)).size).toBe(3);
    const prefixes = new Set([first, second, third].map((id) => toHex(id.subarray(0, 16))));
    expect([prefixes.size, prefixes.has(toHex(home.id().subarray(0, 16)))]).toEqual([1, false]);
    const inbox = await home.insert(first);
    other.send(first, "near");
    expect(await take(inbox, 1)).toEqual(["near"]);
    // On the path of another's id, with its own key.
    const source = other.id();
    const [service, away] = [await home.insert(second), await other.insert(source, { to: [home.consent(second, source, TOMORROW)] })];
    other.send(away.id, "led on");
    expect(await take(service, 1)).toEqual(["led on"]);
    await expect(other.insert(third)).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
  });

  it("is any id when none is found in time, and none of a closed connection", async () => {
    const home = await open();
    const id = await home.nearId({ timeoutMs: 1 });
    expect(toHex(id.subarray(0, 16))).toBe(toHex(home.id().subarray(0, 16)));
    expect((await home.insert(id)).live).toBe(true);
    const waiting = home.nearId();
    await home.close();
    expect(await waiting).toHaveLength(32);
    await expect(home.nearId()).rejects.toMatchObject({ code: "ERR_I3_CLOSED" });
  });
});

describe("a signed list of servers", () => {
  const signer = generateTriggerKey();
  const key = signer.publicKey;
  const folder = mkdtempSync(join(tmpdir(), "i3-program-list-"));
  const [file, stateDir] = [join(folder, "origin"), join(folder, "state")];
  afterAll(() => rmSync(folder, { recursive: true }));
  /** With the test's server at these ports. */
  const sign = (sequence: number, ...ports: readonly number[]) => serverListOf(signRecord(signer, {
    kind: RECORD_KIND.serverList, label: "", sequence, notAfterS: Math.floor(TOMORROW.getTime() / 1_000),
    value: encodeServerList(ports.map((port, i) => ({ key: new Uint8Array(16).fill(i), locator: makeLocator(Uint8Array.of(127, 0, 0, 1), port) }))),
  }), key);
  const port = (): number => Number(server.address.split(":")[1]);
  const start = async (options: Parameters<typeof connect>[0]): Promise<I3Connection> => {
    const connection = await connect(options);
    connections.push(connection);
    return connection;
  };

  it("is enough to start from; and its copy is, when the origin is gone", async () => {
    writeServerList(file, sign(1, port()));
    const first = await start({ serverList: { key, file }, stateDir });
    expect(first.servers().map(({ address }) => address)).toEqual([server.address]);
    await first.close();
    rmSync(file);
    const second = await start({ serverList: { key: toHex(key), file }, stateDir });
    expect(second.servers()).toMatchObject([{ address: server.address, alive: true }]);
    expect((await second.insert()).live).toBe(true);
    // Another process, without a copy.
    await expect(connect({ serverList: { key, file } })).rejects.toMatchObject({ code: "ERR_I3_NO_SERVER", message: `no server is known: no list of them can be used (${file} does not exist)` });
  });

  it("is taken from the ring by a program that has one of its servers", async () => {
    await putRecord(sign(2, port(), 9).record.bytes, port());
    const program = await start({ servers: [server.address], serverList: { key }, stateDir: join(folder, "ring") });
    const [servers, problem] = (await once(program, "server-list")) as [number | null, string | null];
    expect([servers, problem]).toEqual([2, null]);
    expect(program.servers().map(({ address }) => address)).toEqual([server.address, "127.0.0.1:9"]);
    expect(readServerList(join(folder, "ring", "server-list"), key)?.record.sequence).toBe(2);
  }, 20_000);

  it("that nobody has published is told of", async () => {
    const program = await start({ servers: [server.address], serverList: { key: generateTriggerKey().publicKey } });
    expect(await once(program, "server-list")).toEqual([null, "the ring has none of this key and label"]);
  }, 60_000);

  it("is refused when it is another's, and says so", async () => {
    writeServerList(file, sign(3, port()));
    const stranger = generateTriggerKey().publicKey;
    await expect(connect({ serverList: { key: stranger, file } })).rejects.toMatchObject({ code: "ERR_I3_NO_SERVER", message: expect.stringContaining(`${file} is of the key ${toHex(key)}, not of ${toHex(stranger)}`) as string });
    await expect(connect({ serverList: { key, file, label: "b" } })).rejects.toMatchObject({ message: expect.stringContaining(`${file} has the label "", not "b"`) as string });
    // Beside servers, after connect: who listens then hears it.
    const program = await start({ servers: [server.address], serverList: { key, file: join(folder, "none") } });
    expect(await once(program, "server-list")).toEqual([null, `${join(folder, "none")} does not exist`]);
    for (const bad of ["short", new Uint8Array(31), undefined]) await expect(connect({ serverList: { key: bad as never, file } })).rejects.toMatchObject({ code: "ERR_I3_USAGE" });
  });
});

describe("what cannot work is said at once", () => {
  it("of connect", async () => {
    for (const bad of [{ servers: [] }, { servers: "127.0.0.1" }, {}, { servers: ["nowhere"] }, { servers: [server.address], key: "short" }, { servers: [server.address], key: new Uint8Array(32), stateDir: "/x" }]) {
      await expect(connect(bad as never)).rejects.toMatchObject({ name: "ClientError", code: "ERR_I3_USAGE" });
    }
    const socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(socket, "listening");
    const { port } = socket.address();
    await expect(connect({ servers: [server.address], address: "127.0.0.1", port })).rejects.toMatchObject({ code: "ERR_I3_PORT_IN_USE", remedy: expect.stringContaining("Leave port out") as string });
    // A server that says nothing.
    await expect(connect({ servers: [`127.0.0.1:${port}`], timeoutMs: 100 })).rejects.toMatchObject({ code: "ERR_I3_NO_SERVER", message: `no server has answered within 100 ms: 127.0.0.1:${port}` });
    socket.close();
  });

  it("of an open connection", async () => {
    const [i3, other] = [await open(), await open()];
    const usage = { code: "ERR_I3_USAGE" };
    await expect(i3.insert(other.id())).rejects.toMatchObject(usage);
    const inbox = await i3.insert();
    await expect(i3.insert(inbox.id)).rejects.toMatchObject(usage);
    const group = newGroup();
    await expect(i3.join(group.admit(other.publicKey, TOMORROW))).rejects.toMatchObject(usage);
    await expect(i3.join(new Uint8Array(136))).rejects.toMatchObject(usage);
    await i3.join(group, { preference: "a" });
    await expect(i3.join(group, { preference: "b" })).rejects.toMatchObject(usage);
    const id = i3.id();
    await expect(i3.insert(id, { via: [other.consent(other.id(), other.id(), TOMORROW)] })).rejects.toMatchObject(usage);
    expect(() => i3.consent(other.id(), id, TOMORROW)).toThrow(expect.objectContaining(usage));
    expect(() => i3.consent(id, other.id(), new Date(NaN))).toThrow(expect.objectContaining(usage));
    expect(() => i3.forward({ id, payload: new Uint8Array(1), stack: [], hopLimit: 5, copyBudget: 5 })).toThrow(expect.objectContaining(usage));
    expect(() => i3.send(inbox.id, new Uint8Array(1_185))).toThrow(expect.objectContaining({ code: "ERR_I3_TOO_LARGE" }));
    // Nothing of what was refused is left: the ids can be used.
    await i3.insert(id);
  });

  it("of a certificate that has ended, and of a quota that is full", async () => {
    const small = await LoopbackServer.open(2);
    const i3 = await open({ servers: [small.address] });
    await expect(i3.join(newGroup().admit(i3.publicKey, new Date(1_000)))).rejects.toMatchObject({ code: "ERR_I3_REFUSED", message: expect.stringMatching(/has ended/) });
    await i3.insert();
    await i3.insert();
    await expect(i3.insert()).rejects.toMatchObject({ code: "ERR_I3_REFUSED", message: expect.stringMatching(/no more triggers/) });
    small.close();
    await expect(i3.insert(i3.id(), { timeoutMs: 50 })).rejects.toMatchObject({ code: "ERR_I3_NOT_INSERTED" });
  });

  it("of a closed connection", async () => {
    const i3 = await open();
    const inbox = await i3.insert();
    const loop = take(inbox, 1);
    const waiting = i3.insert();
    await Promise.all([i3.close(), i3.close(), expect(waiting).rejects.toMatchObject({ code: "ERR_I3_CLOSED" })]);
    expect(await loop).toEqual([]);
    expect(inbox.live).toBe(false);
    inbox.remove();
    expect(server.core.inspect().triggers).toBe(0);
    expect(() => i3.send(inbox.id, "x")).toThrow(expect.objectContaining({ code: "ERR_I3_CLOSED" }));
    await expect(i3.insert()).rejects.toMatchObject({ code: "ERR_I3_CLOSED" });
  });
});

describe("a process", () => {
  const MODULE = fileURLToPath(new URL("../../dist/index.js", import.meta.url));
  /** Runs a program as a module of its own, on a node that loads no addon. Standard output and exit status. */
  async function runs(program: string): Promise<readonly [string, number | null]> {
    const child = spawn(process.execPath, ["--input-type=module", "--eval", `process.dlopen = () => { throw new Error("an addon"); };\nconst { connect } = await import(${JSON.stringify(MODULE)});\n${program}`], { stdio: ["ignore", "pipe", "inherit"] });
    let out = "";
    child.stdout.on("data", (data: Buffer) => (out += data.toString()));
    const [status] = (await once(child, "close")) as [number | null];
    return [out, status];
  }

  it("ends by itself once it has closed its connection, and when it could not open one", async () => {
    const silent: Socket = createSocket("udp4").bind(0, "127.0.0.1");
    await once(silent, "listening");
    const [closed, failed] = await Promise.all([
      runs(`const i3 = await connect({ servers: [${JSON.stringify(server.address)}] }); const inbox = await i3.insert(); inbox.on("message", async ({ payload }) => { console.log(Buffer.from(payload).toString()); await i3.close(); }); i3.send(inbox.id, "hello");`),
      runs(`await connect({ servers: ["127.0.0.1:${silent.address().port}"], timeoutMs: 200 }).catch(({ code }) => console.log(code));`),
    ]);
    silent.close();
    expect(closed).toEqual(["hello\n", 0]);
    expect(failed).toEqual(["ERR_I3_NO_SERVER\n", 0]);
  });
});
