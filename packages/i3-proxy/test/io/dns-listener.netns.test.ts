/** Connections to a DNS server that everybody may ask: who holds many keeps nobody out. From addresses of loopback, 127.GROUP.GROUP.HOST. */
import { connect, type Socket } from "node:net";

import { afterEach, beforeEach, describe, expect, it } from "vitest";

import { DnsListener } from "../../src/io/dns-listener.js";
import { dnsFrame, DnsFrameReader } from "../../src/io/dns-port-frames.js";

let listener: DnsListener;
const sockets: Socket[] = [];
beforeEach(async () => {
  listener = new DnsListener({ own: [Uint8Array.of(127, 0, 0, 1)], isClient: ([, , , host]) => host !== 99, remedy: "", answer: (_, message) => Promise.resolve(message) });
  await listener.open();
});
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await listener.close();
});

async function connected(from: string): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port: 53, localAddress: from });
  sockets.push(socket);
  socket.on("error", () => undefined);
  await new Promise((resolve) => socket.once("connect", resolve).once("close", resolve));
  return socket;
}

/** What comes back for a message; null: the connection has ended. */
const answered = (socket: Socket, text: string): Promise<string | null> => new Promise((resolve) => {
  if (socket.destroyed) return resolve(null);
  const reader = new DnsFrameReader();
  const onData = (chunk: Buffer): void => {
    const [message] = reader.push(chunk);
    if (message !== undefined) resolve(message.toString());
  };
  socket.on("data", onData).once("close", () => resolve(null));
  socket.write(dnsFrame(Buffer.from(text)));
});

describe("connections for DNS", () => {
  it("that 64 addresses of one network hold, all of them, leave others theirs, who are not displaced", async () => {
    const resolver = await connected("127.9.9.1");
    for (let i = 0; i < 280; i += 1) await connected(`127.1.1.${1 + (i % 70)}`);
    expect(await answered(resolver, "still here")).toBe("still here");
    expect(await answered(await connected("127.8.8.1"), "new")).toBe("new");
    expect(listener.counters).toMatchObject({ connections: 256, refusedConnections: 0 });
    expect(listener.counters.displacedConnections).toBeGreaterThan(20);
  });

  it("that as many networks hold as there is room for make room: the one idle longest", async () => {
    const resolver = await connected("127.9.9.1");
    for (let i = 0; i < 255; i += 1) await connected(`127.1.${i}.1`);
    expect(await answered(resolver, "in use")).toBe("in use");
    expect(await answered(await connected("127.8.8.1"), "new")).toBe("new");
    expect(await answered(resolver, "still here")).toBe("still here");
    expect(await answered(sockets[1] as Socket, "held for longest")).toBeNull();
  });

  it("of one address are four: the one idle longest gives", async () => {
    const four = [];
    for (let i = 0; i < 4; i += 1) four.push(await connected("127.1.1.1"));
    expect(await answered(four[0] as Socket, "in use")).toBe("in use");
    expect(await answered(await connected("127.1.1.1"), "fifth")).toBe("fifth");
    expect([await answered(four[0] as Socket, "first"), await answered(four[1] as Socket, "second")]).toEqual(["first", null]);
  });

  it("of who is no client are none", async () => {
    expect(await answered(await connected("127.1.1.99"), "stranger")).toBeNull();
    expect(listener.counters).toMatchObject({ connections: 0, refusedConnections: 1 });
  });
});
