/** TLS by name and fixed ports, over real sockets. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";

import { afterAll, beforeAll, describe, expect, it } from "vitest";

import { PublishLog } from "../../src/io/publish-log.js";
import { records, hello, serverName } from "../sni/hello.js";
import { atLeast, client, connectionsOf, listening, publish, rest, until } from "./bed.js";

const HELLO = records(hello());
const ALERT = Buffer.of(21, 3, 3, 0, 2, 2, 112);

let directory: string;
let key: string;
let cert: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "i3-publish-"));
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=home.example.org", "-keyout", join(directory, "key"), "-out", join(directory, "cert")], { stdio: "ignore" });
  key = readFileSync(join(directory, "key"), "utf8");
  cert = readFileSync(join(directory, "cert"), "utf8");
});
afterAll(() => rmSync(directory, { recursive: true }));

/** How a TLS handshake with a name ends: what the server says, or the error. */
async function ask(port: number, servername: string | undefined): Promise<string> {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...(servername === undefined ? {} : { servername }) });
  return await new Promise((resolve) => {
    let text = "";
    socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
    socket.on("end", () => resolve(text));
    socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
  });
}

describe("TLS", () => {
  it("goes through to the host of its name, both ways, and to no other", async () => {
    const to = await listening(createTlsServer({ key, cert }, (socket) => socket.end(`hello ${(socket as { servername?: string }).servername}`)));
    const bed = await publish({ by: "sni", to, names: [{ name: "home.example.org", https: 8443 }, { name: "*.example.net", to: "other.i3" }] });
    expect(await ask(bed.port, "Home.Example.org")).toBe("hello Home.Example.org");
    expect(await ask(bed.port, "www.example.net")).toBe("hello www.example.net");
    expect(bed.asked).toEqual(["home.i3:8443", "other.i3:443"]);
    expect(await ask(bed.port, "example.net")).toBe("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    expect(await ask(bed.port, undefined)).toBe("ERR_SSL_TLSV1_UNRECOGNIZED_NAME");
    expect(bed.asked).toHaveLength(2);
    expect(bed.counters()).toMatchObject({ passed: 2, "not-published": 1, "no-name": 1 });
    expect(bed.lines.map(({ event, fields }) => [event, fields])).toEqual([["publish-refused", { client: "127.0.0.1", by: "sni", why: "not-published", name: "example.net" }]]);
  });

  it("is passed on byte by byte as it came, also what came with the hello and before the host was there", async () => {
    const server = createServer({ allowHalfOpen: true });
    const next = connectionsOf(server);
    const bed = await publish({ by: "sni", to: await listening(server) });
    const one = client(bed.port);
    const more = Buffer.from("and more");
    one.write(Buffer.from(HELLO).subarray(0, 30));
    one.write(Buffer.concat([Buffer.from(HELLO).subarray(30), more]));
    one.end("and the end");
    expect(await rest(await next())).toEqual(Buffer.concat([Buffer.from(HELLO), more, Buffer.from("and the end")]));
  });

  it("half of a connection stays open", async () => {
    const server = createServer({ allowHalfOpen: true });
    const next = connectionsOf(server);
    const bed = await publish({ by: "sni", to: await listening(server) });
    const one = client(bed.port);
    one.end(HELLO);
    const host = await next();
    expect(await rest(host)).toEqual(Buffer.from(HELLO));
    host.write("late ");
    expect((await atLeast(one, 5)).toString()).toBe("late ");
    host.end("answer");
    expect((await rest(one)).toString()).toBe("answer");
  });

  it.each([
    ["a name that is not published", records(hello({ extensions: serverName("other.example.org") })), ALERT],
    ["a hello that is malformed", records(hello({ suites: [] })), ALERT],
    ["something else than TLS", Buffer.from("GET / HTTP/1.1\r\n\r\n"), Buffer.alloc(0)],
  ])("is refused: %s", async (_, bytes, answer) => {
    const bed = await publish({ by: "sni", to: null });
    const one = client(bed.port);
    one.write(bytes);
    expect(await rest(one)).toEqual(answer);
    one.end();
    expect(bed.asked).toEqual([]);
  });

  it("hears of a host that cannot be reached", async () => {
    const bed = await publish({ by: "sni", to: null });
    const one = client(bed.port);
    one.write(HELLO);
    expect(await rest(one)).toEqual(Buffer.of(21, 3, 3, 0, 2, 2, 80));
    expect(await bed.line("publish-unreachable")).toMatchObject({ host: "home.i3", why: "unreachable" });
  });

  it("has a time for its first bytes, however slowly some come", async () => {
    const bed = await publish({ by: "sni", to: null, timings: { firstBytesMs: 60 } });
    const [silent, slow] = [client(bed.port), client(bed.port)];
    slow.write(Buffer.from(HELLO).subarray(0, 20));
    expect(await Promise.all([rest(silent), rest(slow)])).toEqual([Buffer.alloc(0), Buffer.alloc(0)]);
    await until(() => bed.counters()["open"] === 0);
    expect(bed.counters()).toMatchObject({ late: 2, waiting: 0 });
  });

  it("is served while others hold connections open without a word", async () => {
    const to = await listening(createTlsServer({ key, cert }, (socket) => socket.end("hello")));
    const bed = await publish({ by: "sni", to, limits: { waiting: 4, waitingPerSource: 4 } });
    const silent = Array.from({ length: 4 }, () => client(bed.port));
    await Promise.all(silent.map((socket) => once(socket, "connect")));
    const first = rest(silent[0] as (typeof silent)[number]);
    expect(await ask(bed.port, "home.example.org")).toBe("hello");
    expect(await first).toHaveLength(0);
    expect(bed.counters()).toMatchObject({ displaced: 1, passed: 1 });
  });

  it("is not for more connections of a source than its part", async () => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "sni", to: await listening(server), limits: { perSource: 2 } });
    for (let i = 0; i < 2; i += 1) {
      client(bed.port).write(HELLO);
      await next();
    }
    const third = client(bed.port);
    expect(await rest(third)).toHaveLength(0);
    expect(bed.counters()).toMatchObject({ open: 2, fullOfSource: 1 });
  });
});

describe("a fixed port", () => {
  it("leads to its host, which speaks first", async () => {
    const to = await listening(createServer((socket) => socket.end("SSH-2.0-x\r\n")));
    const bed = await publish({ by: "fixed", to });
    expect((await rest(client(bed.port))).toString()).toBe("SSH-2.0-x\r\n");
    expect(bed.asked).toEqual(["home.i3:22"]);
  });

  it("tells the host who connects, before the first byte", async () => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server), proxyProtocol: "v2" });
    const one = client(bed.port);
    one.write("hello");
    const bytes = await atLeast(await next(), 33);
    expect(bytes.subarray(0, 16).toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000c");
    expect([...bytes.subarray(16, 24)]).toEqual([127, 0, 0, 1, 127, 0, 0, 1]);
    expect([bytes.readUInt16BE(24), bytes.readUInt16BE(26)]).toEqual([one.localPort, bed.port]);
    expect(bytes.subarray(28).toString()).toBe("hello");
  });

  it.each(["client", "host"] as const)("a reset of the %s is one for the other", async (who) => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server) });
    const one = client(bed.port);
    const host = await next();
    const [breaks, hears] = who === "client" ? [one, host] : [host, one];
    one.write("x");
    await atLeast(host, 1);
    hears.resume();
    const error = once(hears, "error");
    breaks.resetAndDestroy();
    expect(((await error.catch((reason: unknown) => [reason])) as [NodeJS.ErrnoException])[0].code).toBe("ECONNRESET");
  });

  it("a client that has said all and does not listen any more ends what its host still says", async () => {
    const server = createServer({ allowHalfOpen: true });
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server) });
    const one = client(bed.port);
    one.end("all");
    const host = await next();
    expect((await rest(host)).toString()).toBe("all");
    one.resetAndDestroy();
    const talking = setInterval(() => host.write("more"), 5);
    await new Promise((resolve) => host.once("close", resolve));
    clearInterval(talking);
    await until(() => bed.counters()["open"] === 0);
  });

  it("a host that cannot be reached is a reset", async () => {
    const bed = await publish({ by: "fixed", to: null, why: "timeout" });
    const one = client(bed.port);
    const [error] = (await once(one.resume(), "error").catch((reason: unknown) => [reason])) as [NodeJS.ErrnoException];
    expect(error.code).toBe("ECONNRESET");
    expect(await bed.line("publish-unreachable")).toMatchObject({ why: "timeout" });
  });

  it("who does not read slows the host down, and nothing is lost", async () => {
    const total = 64 * 1024 * 1024;
    let written = 0;
    const chunk = Buffer.alloc(64 * 1024, 7);
    const to = await listening(createServer((socket) => {
      const more = (): void => {
        while (written < total) {
          written += chunk.length;
          if (!socket.write(chunk)) return void socket.once("drain", more);
        }
        socket.end();
      };
      more();
    }));
    const bed = await publish({ by: "fixed", to });
    const one = client(bed.port);
    one.pause();
    let before = -1;
    // Until the buffers of the system are full.
    while (before !== written || written === 0) {
      before = written;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    expect(written).toBeLessThan(total / 2);
    let got = 0;
    one.on("data", (bytes: Buffer) => (got += bytes.length)).resume();
    await once(one, "end");
    expect(got).toBe(total);
  });

  it("without a byte either way it is closed", async () => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server), timings: { idleMs: 80 } });
    const one = client(bed.port);
    const host = await next();
    await Promise.all([rest(one), rest(host)]);
    one.end();
    await until(() => bed.counters()["open"] === 0);
    expect(bed.counters()).toMatchObject({ passed: 1 });
  });
});

describe("a stop", () => {
  it("takes no more connections, and waits for those that are open", async () => {
    const server = createServer({ allowHalfOpen: true });
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server) });
    const one = client(bed.port);
    const host = await next();
    const drained = bed.publisher.drain();
    const two = client(bed.port);
    const [refused] = (await once(two, "error").catch((reason: unknown) => [reason])) as [NodeJS.ErrnoException];
    expect(refused.code).toBe("ECONNREFUSED");
    one.end("last");
    expect((await rest(host)).toString()).toBe("last");
    host.end("words");
    expect((await rest(one)).toString()).toBe("words");
    await drained;
  });

  it("waits so long and no longer", async () => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "fixed", to: await listening(server), drainMs: 50 });
    const one = client(bed.port);
    await next();
    const closed = rest(one);
    await bed.publisher.drain();
    expect(await closed).toHaveLength(0);
  });
});

describe("another configuration", () => {
  it("acts on names and hosts at once; ports need a start", async () => {
    const to = await listening(createServer((socket) => socket.end("x")));
    const bed = await publish({ by: "sni", to });
    const name = { name: "new.example.org", to: "new.i3", go: "i3", waypoint: undefined, https: 443, http: 80, proxyProtocol: "none", line: 1 } as const;
    const shared = [{ port: bed.port, by: "sni", forwarded: true, line: 9 }] as const;
    const listen = [{ kind: "ipv4", text: "127.0.0.1", bytes: Uint8Array.of(127, 0, 0, 1) }] as const;
    expect(bed.publisher.setConfig({ listen, shared, ports: [], names: [name], domain: undefined, waypoints: undefined })).toBe(true);
    const [old, fresh] = [client(bed.port), client(bed.port)];
    old.write(HELLO);
    fresh.write(records(hello({ extensions: serverName("new.example.org") })));
    expect(await rest(old)).toEqual(ALERT);
    expect((await rest(fresh)).toString()).toBe("x");
    expect(bed.asked).toEqual(["new.i3:443"]);
    expect(bed.publisher.setConfig({ listen, shared: [...shared, { port: 1, by: "host", forwarded: true, line: 1 }], ports: [], names: [name], domain: undefined, waypoints: undefined })).toBe(false);
  });
});

it("a port that another program has is an error with a remedy", async () => {
  const bed = await publish({ by: "sni", to: null });
  const config = { listen: [{ kind: "ipv4", text: "127.0.0.1", bytes: Uint8Array.of(127, 0, 0, 1) }], shared: [{ port: bed.port, by: "sni", forwarded: false, line: 1 }], ports: [], names: [], domain: undefined, waypoints: undefined } as const;
  const { Publisher } = await import("../../src/io/publisher.js");
  await expect(Publisher.open({ config, hosts: { connect: () => Promise.reject(new Error("none")) }, log: new PublishLog(() => undefined) })).rejects.toMatchObject({ code: "ERR_I3_PORT", remedy: expect.stringContaining("Another program") as unknown });
});
