/** A network that answers questions about ports badly, on loopback: it ends a thread, never the process. Routers that answer well: port-mapping.netns.test.ts. */
import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { createServer, type Server } from "node:http";
import { EventEmitter, once } from "node:events";
import { setImmediate as nextTurn } from "node:timers/promises";
import { BroadcastChannel, type Worker } from "node:worker_threads";

import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { locatorText, parseIpText, type Locator } from "@i3/common";

import { PortMapping, type PortMappingOptions } from "../../src/io/port-mapping.js";

const GATEWAY = "127.0.0.2";
const NEIGHBOUR = "127.0.0.3";
const HOST = "127.0.0.1";
const PORT = 5_610;
const place = { key: "home", address: parseIpText(HOST) as Uint8Array, gateway: parseIpText(GATEWAY) as Uint8Array };
/** What is built: a thread of Node runs no TypeScript. */
const PROGRAM = new URL("../../dist/io/port-mapping-worker.js", import.meta.url);

const closers: (() => unknown)[] = [];
let uncaught: unknown[] = [];
const onUncaught = (error: unknown): void => void uncaught.push(error);
beforeEach(() => {
  uncaught = [];
  process.on("uncaughtExceptionMonitor", onUncaught);
});
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
  process.off("uncaughtExceptionMonitor", onUncaught);
  expect(uncaught).toEqual([]);
});

async function udp(address: string, port: number, answer: (socket: Socket, message: Buffer, from: RemoteInfo) => void): Promise<Socket> {
  const socket = createSocket({ type: "udp4", reuseAddr: true });
  socket.on("message", (message, from) => answer(socket, message, from));
  socket.bind(port, address);
  await once(socket, "listening");
  closers.push(() => socket.close());
  return socket;
}

/** Its first answer, and what the log has said of failures. */
async function ask(options: Partial<PortMappingOptions> = {}): Promise<{ readonly at: string | null; readonly why: unknown; readonly mapping: PortMapping }> {
  let why: unknown;
  let onMapped: (locator: Locator | null) => void = () => undefined;
  const answered = new Promise<Locator | null>((resolve) => (onMapped = resolve));
  const mapping = new PortMapping({
    port: PORT, program: PROGRAM, onMapped: (_key, locator) => onMapped(locator), ...options,
    log: (_level, event, fields) => {
      if (event === "port-mapping-failed") why = fields["why"];
    },
  });
  closers.push(() => mapping.close());
  mapping.setPlaces([place]);
  const locator = await answered;
  return { at: locator === null ? null : locatorText(locator), why, mapping };
}

const pmpMapped = (port: number, lifeS: number): Buffer => {
  const message = Buffer.alloc(16);
  message.writeUInt8(129, 1);
  message.writeUInt16BE(PORT, 8);
  message.writeUInt16BE(port, 10);
  message.writeUInt32BE(lifeS, 12);
  return message;
};
const pmpOutside = (address: string): Buffer => Buffer.from([0, 128, 0, 0, 0, 0, 0, 1, ...(parseIpText(address) as Uint8Array)]);
/** As routers do; what was asked for is in `lives`. */
const pmpRouter = (outside: string, port = PORT, lives: number[] = []): Promise<Socket> =>
  udp(GATEWAY, 5_351, (socket, message, from) => {
    const lifeS = message[1] === 1 ? message.readUInt32BE(8) : 0;
    if (message[1] === 1) lives.push(lifeS);
    socket.send(message[1] === 0 ? pmpOutside(outside) : pmpMapped(port, lifeS), from.port, from.address);
  });

it("takes nothing that is too short for an answer of NAT-PMP", async () => {
  await udp(GATEWAY, 5_351, (socket, message, from) => {
    const whole = message[1] === 0 ? pmpOutside("9.9.9.9") : pmpMapped(PORT, 7_200);
    const say = (bytes: number): void => socket.send(whole.subarray(0, bytes), from.port, from.address, () => bytes < whole.length && say(bytes + 1));
    say(0);
  });
  const { at, mapping } = await ask();
  expect(at).toBe(`9.9.9.9:${PORT}`);
  expect(mapping.counters).toEqual({ asked: 1, failed: 0, refused: 0 });
});

it("takes no answer of NAT-PMP but the gateway's", async () => {
  const neighbour = await udp(NEIGHBOUR, 0, () => undefined);
  await udp(GATEWAY, 5_351, (socket, message, from) => {
    const [forged, own] = message[1] === 0 ? [pmpOutside("8.8.4.4"), pmpOutside("9.9.9.9")] : [pmpMapped(666, 7_200), pmpMapped(PORT, 7_200)];
    neighbour.send(Buffer.of(0), from.port, from.address);
    neighbour.send(forged, from.port, from.address, () => socket.send(own, from.port, from.address));
  });
  expect((await ask()).at).toBe(`9.9.9.9:${PORT}`);
});

it("takes answers to a search without CACHE-CONTROL, or that are none, and fetches from the gateway alone", async () => {
  const fetched: (string | undefined)[] = [];
  const serve = async (address: string): Promise<string> => {
    const server: Server = createServer((request, response) => {
      fetched.push(request.headers.host);
      response.setHeader("content-type", "text/xml").end("<root><device><deviceType>none</deviceType></device></root>");
    });
    server.listen(0, address);
    await once(server, "listening");
    closers.push(() => server.close());
    return `${address}:${(server.address() as { readonly port: number }).port}`;
  };
  const [own, other] = [await serve(GATEWAY), await serve(NEIGHBOUR)];
  const neighbour = await udp(NEIGHBOUR, 0, () => undefined);
  // NAT-PMP: not authorized (RFC 6886, 3.5).
  await udp(GATEWAY, 5_351, (socket, _message, from) => socket.send(Buffer.of(0, 129, 0, 2, 0, 0, 0, 1), from.port, from.address));
  await udp(GATEWAY, 1_900, (socket, _message, from) => {
    neighbour.send(`HTTP/1.1 200 OK\r\nLOCATION: http://${other}/\r\n\r\n`, from.port, from.address);
    for (const text of ["HTTP/1.1 200 OK\r\n\r\n", "X * HTTP/1.1\r\n\r\n", `HTTP/1.1 200 OK\r\nLOCATION: http://${other}/\r\n\r\n`, `HTTP/1.1 200 OK\r\nLOCATION: http://${own}/\r\n\r\n`]) socket.send(text, from.port, from.address);
  });
  const { at, mapping } = await ask();
  expect(at).toBeNull();
  expect(fetched).toEqual([own]);
  expect(mapping.counters.failed).toBe(0);
});

it.for(["10.1.2.3", "172.31.0.1", "192.168.0.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "224.0.0.1", "255.255.255.255", "0.0.0.0", "9.1.2.3"])("refuses what is open at %s, and closes it", async (outside) => {
  const lives: number[] = [];
  await pmpRouter(outside, PORT, lives);
  const { at, why, mapping } = await ask({ isOurs: (address) => address[0] === 9 });
  expect(at).toBeNull();
  expect(why).toContain(outside);
  expect(mapping.counters).toEqual({ asked: 1, failed: 0, refused: 1 });
  expect(lives).toEqual([7_200, 0]);
});

it("refuses port 0", async () => {
  await pmpRouter("9.9.9.9", 0);
  const { at, mapping } = await ask();
  expect(at).toBeNull();
  expect(mapping.counters.refused).toBe(1);
});

it.for([false, true])("closes at the end what a thread that is over has opened (its place gone before: %s)", async (isGone) => {
  const lives: number[] = [];
  await pmpRouter("9.9.9.9", 1_234, lives);
  const { at, mapping } = await ask();
  expect(at).toBe("9.9.9.9:1234");
  if (isGone) mapping.setPlaces([]);
  await mapping.close();
  expect(lives).toEqual([7_200, 0]);
});

const thread = (code: string): URL => new URL(`data:text/javascript,${encodeURIComponent(`import { parentPort } from "node:worker_threads";${code}`)}`);
const GOOD = { opened: { protocol: "NAT-PMP", location: "", externalPort: 1 }, externalHost: "9.9.9.9", lifeS: 1 };

it.for<[string, string]>([
  ["throws", "setTimeout(() => { throw new Error('x') })"], ["rejects", "void Promise.reject(new Error('x'))"], ["ends", "process.exit(0)"], ["says nothing", ""],
  ["takes all memory", "const kept = []; for (;;) kept.push(new Array(1e5).fill(kept.length));"],
])("goes on when the thread %s", async ([, code]) => {
  const { at, why, mapping } = await ask({ program: thread(code) });
  expect(at).toBeNull();
  expect(why).toBeTypeOf("string");
  expect(mapping.counters).toEqual({ asked: 1, failed: 1, refused: 0 });
});

describe("what was opened, as its router said for one second", () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
  afterEach(() => void vi.useRealTimers());

  /** The first question is answered; `then` is what the threads of later ones run. `closed`: what the threads were asked to close. */
  async function opened(then: string) {
    const told: (string | null)[] = [];
    const events = new EventEmitter();
    const closing = new BroadcastChannel("closing");
    closers.push(() => closing.close());
    const closed = new Promise<unknown>((resolve) => (closing.onmessage = (event) => resolve((event as MessageEvent).data)));
    const mapping = new PortMapping({
      port: PORT,
      program: thread(`import { workerData } from "node:worker_threads";
        if (workerData.kind === "close") { new BroadcastChannel("closing").postMessage(workerData.opened); parentPort.postMessage(null); }
        else if (workerData.opened === null) parentPort.postMessage(${JSON.stringify(GOOD)});
        else { ${then} }`),
      onMapped: (_key, locator) => {
        told.push(locator === null ? null : locatorText(locator));
        events.emit("told");
      },
      log: () => undefined,
    });
    closers.push(() => mapping.close());
    const first = once(events, "told");
    mapping.setPlaces([place]);
    await first;
    return { told, mapping, closed };
  }

  /** The question that is asked `forMs` from now, and what its answer does: no thread begins but the question's own. */
  async function nextQuestion(forMs: number): Promise<void> {
    const begun: Worker[] = [];
    const begin = (worker: Worker): void => void begun.push(worker);
    process.on("worker", begin);
    const started = once(process, "worker");
    await vi.advanceTimersByTimeAsync(forMs);
    const [worker] = (await started) as [Worker];
    await new Promise((resolve) => worker.once("exit", resolve));
    await nextTurn();
    process.off("worker", begin);
    expect(begun).toEqual([worker]);
  }

  it("is asked for anew after 150 s", async () => {
    const { mapping } = await opened("");
    await vi.advanceTimersByTimeAsync(149_999);
    expect(mapping.counters.asked).toBe(1);
    await vi.advanceTimersByTimeAsync(1);
    expect(mapping.counters.asked).toBe(2);
  });

  const says = (answer: unknown): string => `parentPort.postMessage(${JSON.stringify(answer)})`;
  describe.for<[string, string, { readonly failed: number; readonly refused: number }]>([
    ["its thread fails", "throw new Error('x')", { failed: 1, refused: 0 }],
    ["nobody answers, or the router says no", says(null), { failed: 0, refused: 0 }],
    ["the answer is malformed", says({ ...GOOD, lifeS: 0 }), { failed: 0, refused: 1 }],
    ["the address is of no use", says({ ...GOOD, externalHost: "10.1.2.3" }), { failed: 0, refused: 1 }],
  ])("when %s", ([, then, counters]) => {
    it("stays told until five minutes are over", async () => {
      const { told, mapping } = await opened(then);
      await nextQuestion(150_000);
      expect(mapping.counters).toEqual({ asked: 2, ...counters });
      await vi.advanceTimersByTimeAsync(149_999);
      expect(told).toEqual(["9.9.9.9:1"]);
      await vi.advanceTimersByTimeAsync(1);
      expect(told).toEqual(["9.9.9.9:1", null]);
    });

    it("is closed at the end, and not before", async () => {
      const { mapping, closed } = await opened(then);
      await nextQuestion(150_000);
      await mapping.close();
      expect(await closed).toEqual(GOOD.opened);
    });
  });
});

it.for<[unknown, boolean]>([
  [GOOD, true], [{ ...GOOD, externalHost: "2001:db8::1" }, false], [{ ...GOOD, externalHost: 9 }, false], [{ ...GOOD, lifeS: 0 }, false], [{ ...GOOD, lifeS: "1" }, false], [{ ...GOOD, opened: null }, false], ["9.9.9.9", false],
  [{ ...GOOD, opened: { ...GOOD.opened, externalPort: 65_536 } }, false], [{ ...GOOD, opened: { ...GOOD.opened, protocol: "PCP" } }, false],
  [{ ...GOOD, opened: { ...GOOD.opened, protocol: "UPnP-IGD", location: `http://${GATEWAY}:5000/` } }, true], [{ ...GOOD, opened: { ...GOOD.opened, protocol: "UPnP-IGD", location: `http://${NEIGHBOUR}/` } }, false],
])("looks at what the thread says: %j", async ([said, isTaken]) => {
  const { at, mapping } = await ask({ program: thread(`parentPort.postMessage(${JSON.stringify(said)})`) });
  expect(at).toBe(isTaken ? "9.9.9.9:1" : null);
  expect(mapping.counters).toEqual({ asked: 1, failed: 0, refused: isTaken ? 0 : 1 });
});
