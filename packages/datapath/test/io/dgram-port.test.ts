import fc from "fast-check";
import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { afterEach, describe, expect, it } from "vitest";
import { makeDatagramBatch } from "@i3/datapath";
import { EngineDriver, openDgramDriver } from "@i3/datapath/io";
import { DatagramAddresses, parseAddress } from "../../src/io/datagram-addresses.js";
import { openDgramPort } from "../../src/io/dgram-port.js";
import { datagramBatch, until } from "./batches.js";
import { EchoCore } from "./echo-core.js";

const clock = { nowMs: () => 0 };
const sockets: Socket[] = [];
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.close();
});

async function bind(type: "udp4" | "udp6"): Promise<Socket> {
  const socket = createSocket(type);
  sockets.push(socket);
  socket.bind(0, type === "udp4" ? "127.0.0.1" : "::1");
  await once(socket, "listening");
  return socket;
}

describe("openDgramDriver", () => {
  it("echoes to both families in batches", async () => {
    const core = new EchoCore();
    const driver = await openDgramDriver({ core, clock, onUpcalls: () => {}, udp: { address: "::", port: 0 } });
    expect(driver).toBeInstanceOf(EngineDriver);
    for (const [type, address] of [["udp4", "127.0.0.1"], ["udp6", "::1"]] as const) {
      const socket = await bind(type);
      const echoed: string[] = [];
      socket.on("message", (bytes) => echoed.push(bytes.toString()));
      const texts = Array.from({ length: 100 }, (_, i) => `${type} ${i}`);
      for (const text of texts) socket.send(text, driver.udp.port, address);
      await until(() => echoed.length === 100, "100 echoes");
      expect(echoed).toEqual(texts);
    }
    expect(core.udpIn).toBe(200);
    expect(core.steps).toBeLessThan(200);
    driver.close();
    driver.close();
  });

  it("names a port in use", async () => {
    const first = await openDgramPort({ address: "127.0.0.1", port: 0 });
    await expect(openDgramPort({ address: "127.0.0.1", port: first.port })).rejects.toMatchObject({ code: "ERR_I3_PORT_IN_USE", remedy: expect.stringContaining("ss -ulpn") });
    first.close();
  });

  it("explains an address that is not this machine's", async () => {
    await expect(openDgramPort({ address: "203.0.113.1", port: 0 })).rejects.toMatchObject({ code: "ERR_I3_NO_UDP" });
  });
});

describe("the port", () => {
  it("drops what cannot be sent, counts it, and sends the rest", async () => {
    const port = await openDgramPort({ address: "127.0.0.1", port: 0 });
    const socket = await bind("udp4");
    const target = socket.address().port;
    const arrived = once(socket, "message");
    port.write(
      datagramBatch([
        { text: "port 0", address: "127.0.0.1", port: 0 },
        { text: "other family", address: "2001:db8::1", port: target },
        { text: "no broadcast", address: "255.255.255.255", port: target },
        { text: "good", address: "127.0.0.1", port: target },
      ]),
    );
    expect(String((await arrived)[0])).toBe("good");
    await until(() => port.drops.ioError === 3, "three drops");
    port.close();
  });

  it("holds a bounded number of datagrams for a slow reader, and calls again while some are left", async () => {
    const port = await openDgramPort({ address: "127.0.0.1", port: 0 });
    const socket = await bind("udp4");
    for (let round = 0; round < 30; round++) {
      for (let i = 0; i < 100; i++) socket.send("x", port.port, "127.0.0.1");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await until(() => port.drops.ioError > 0, "a full queue");
    const batch = makeDatagramBatch(64, 100);
    let read = 0;
    let calls = 0;
    const watch = port.watch(() => {
      calls += 1;
      port.read(batch);
      read += batch.count;
    });
    await until(() => read >= 2_048, "the whole queue read");
    expect(calls).toBeGreaterThanOrEqual(2_048 / 64);
    watch.close();
    port.close();
  });

  it("drops datagrams that are longer than a slot", async () => {
    const port = await openDgramPort({ address: "127.0.0.1", port: 0 });
    const socket = await bind("udp4");
    const batch = makeDatagramBatch(4, 100);
    socket.send("y".repeat(101), port.port, "127.0.0.1");
    socket.send("z".repeat(100), port.port, "127.0.0.1");
    port.watch(() => port.read(batch));
    await until(() => batch.count > 0 || port.drops.tooBig > 1, "the one that fits");
    expect([batch.count, batch.lengths[0], port.drops.tooBig]).toEqual([1, 100, 1]);
    port.close();
  });
});

describe("addresses", () => {
  it.each([
    ["1.2.3.4", "00000000000000000000ffff01020304"],
    ["::ffff:1.2.3.4", "00000000000000000000ffff01020304"],
    ["::", "00000000000000000000000000000000"],
    ["::1", "00000000000000000000000000000001"],
    ["2001:db8::", "20010db8000000000000000000000000"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["fe80::a%eth0", "fe80000000000000000000000000000a"],
  ])("parses %s", (text, hex) => {
    expect(Buffer.from(parseAddress(text) ?? []).toString("hex")).toBe(hex);
  });

  it.each(["", "x", "1.2.3", "1.2.3.4.5", ":::", "1::2::3", "12345::", "%eth0"])("refuses %j", (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  it("goes through text and back", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.integer({ min: 0, max: 65_535 }), (address, port) => {
        const addresses = new DatagramAddresses(6);
        const bytes = new Uint8Array(18);
        bytes.set(address);
        bytes.set([port >> 8, port & 0xff], 16);
        const read = addresses.read(bytes, 0);
        const back = new Uint8Array(18);
        expect(addresses.write(read?.address ?? "", read?.port ?? 0, back, 0)).toBe(true);
        expect(back).toEqual(bytes);
      }),
    );
  });

  it("gives IPv4 sockets IPv4 text, and nothing for IPv6", () => {
    const bytes = Uint8Array.from([...(parseAddress("192.0.2.7") ?? []), 1, 2]);
    expect(new DatagramAddresses(4).read(bytes, 0)).toEqual({ address: "192.0.2.7", port: 258 });
    expect(new DatagramAddresses(6).read(bytes, 0)).toEqual({ address: "::ffff:192.0.2.7", port: 258 });
    bytes[0] = 0x20;
    expect(new DatagramAddresses(4).read(bytes, 0)).toBeNull();
  });
});
