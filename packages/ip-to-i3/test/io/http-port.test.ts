/** HTTP by Host, over real sockets: what hosts get, and what clients hear. */
import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, type RequestListener } from "node:http";
import { createServer, type Socket } from "node:net";

import { describe, expect, it } from "vitest";

import { HostError } from "../../src/io/errors.js";
import { atLeast, client, connectionsOf, listening, publish, rest, until, type BedOptions, type PublishBed } from "./bed.js";

const HOST = "Host: home.example.org\r\n";

/** A web server behind, and the publisher before it. */
async function web(listener: RequestListener, options: Partial<BedOptions> = {}): Promise<PublishBed> {
  return await publish({ by: "host", to: await listening(createHttpServer({ keepAliveTimeout: 60_000 }, listener)), ...options });
}

/** Answers with what it got. */
const echo: RequestListener = (req, res) => {
  const chunks: Buffer[] = [];
  req.on("data", (chunk: Buffer) => chunks.push(chunk));
  req.on("end", () => res.end(JSON.stringify({ method: req.method, url: req.url, headers: req.headers, body: Buffer.concat(chunks).toString("latin1") })));
};

interface Got {
  readonly status: number;
  readonly head: string;
  readonly body: string;
}

/** Reads answers that have a Content-Length or chunks, one after the other. */
class Answers {
  #bytes = "";
  #isOver = false;

  constructor(socket: Socket) {
    socket.on("data", (chunk: Buffer) => (this.#bytes += chunk.toString("latin1")));
    for (const event of ["end", "close"]) socket.on(event, () => (this.#isOver = true));
  }

  async next(): Promise<Got> {
    await until(() => this.#bytes.includes("\r\n\r\n") || this.#isOver);
    const [head = ""] = this.#bytes.split("\r\n\r\n");
    const status = Number(/^HTTP\/1\.1 ([0-9]{3}) /.exec(head)?.[1] ?? 0);
    const length = /^content-length: ([0-9]+)$/im.exec(head)?.[1];
    const at = head.length + 4;
    const isChunked = /^transfer-encoding: chunked$/im.test(head);
    const end = (): number => {
      if (isChunked) return this.#bytes.indexOf("0\r\n\r\n", at) < 0 ? Infinity : this.#bytes.indexOf("0\r\n\r\n", at) + 5;
      return length === undefined ? (status < 200 || status === 304 || status === 204 ? at : Infinity) : at + Number(length);
    };
    await until(() => this.#bytes.length >= end() || this.#isOver);
    const body = this.#bytes.slice(at, end());
    this.#bytes = this.#bytes.slice(end());
    return { status, head, body: isChunked ? body.replace(/^[0-9a-f]+\r\n/gm, "").replaceAll("\r\n", "") : body };
  }

  get left(): string {
    return this.#bytes;
  }
}

async function ask(bed: PublishBed, text: string): Promise<Got> {
  const one = client(bed.port);
  const answers = new Answers(one);
  one.write(text, "latin1");
  return await answers.next();
}

interface Echoed {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
const echoed = ({ body }: Got): Echoed => JSON.parse(body) as Echoed;

describe("a request", () => {
  it("goes to the host of its name, and says who asks", async () => {
    const bed = await web(echo, { names: [{ name: "home.example.org", http: 8080 }, { name: "*.example.net", to: "other.i3" }] });
    const got = await ask(bed, `GET /a?b HTTP/1.1\r\nhost: HOME.example.org:80\r\nX-Forwarded-For: 1.1.1.1\r\nX_Forwarded_For: 1.1.1.1\r\nForwarded: for=1.1.1.1\r\nCookie: c\r\n\r\n`);
    expect([got.status, echoed(got)]).toEqual([200, {
      method: "GET", url: "/a?b", body: "",
      headers: { host: "HOME.example.org:80", cookie: "c", "x-forwarded-for": "127.0.0.1", "x-forwarded-proto": "http", "x-forwarded-host": "HOME.example.org:80", connection: "keep-alive" },
    }]);
    expect((await ask(bed, "GET / HTTP/1.1\r\nHost: www.example.net\r\n\r\n")).status).toBe(200);
    expect(bed.asked).toEqual(["home.i3:8080", "other.i3:80"]);
    expect(bed.counters()).toMatchObject({ passed: 2 });
  });

  it('says nothing with forwarded="no"', async () => {
    const bed = await web(echo, { forwarded: false });
    const { headers } = echoed(await ask(bed, `GET / HTTP/1.1\r\n${HOST}X-Forwarded-For: 1.1.1.1\r\n\r\n`));
    expect(headers).toEqual({ host: "home.example.org", "x-forwarded-for": "1.1.1.1", connection: "keep-alive" });
  });

  it("says so on every request of a kept connection, whatever body was before", async () => {
    const bed = await web(echo);
    const one = client(bed.port);
    const answers = new Answers(one);
    const lie = "X-Forwarded-For: 6.6.6.6\r\n";
    const inside = `GET /smuggled HTTP/1.1\r\n${HOST}${lie}\r\n`;
    const requests = [
      `POST /1 HTTP/1.1\r\n${HOST}${lie}Content-Length: ${inside.length}\r\n\r\n${inside}`,
      `POST /2 HTTP/1.1\r\n${HOST}${lie}Transfer-Encoding: chunked\r\n\r\n${inside.length.toString(16)};x=y\r\n${inside}\r\n0\r\nX-Forwarded-For: 7.7.7.7\r\n\r\n`,
      `GET /3 HTTP/1.1\r\n${HOST}${lie}\r\n`,
      `DELETE /4 HTTP/1.1\r\n${HOST}${lie}Content-Length: 2\r\n\r\nhi`,
    ];
    for (const [i, request] of requests.entries()) {
      for (const part of request.match(/[^]{1,40}/g) ?? []) one.write(part, "latin1");
      const { url, headers, body } = echoed(await answers.next());
      expect([url, headers["x-forwarded-for"], body]).toEqual([`/${i + 1}`, "127.0.0.1", ["", inside, inside, "", "hi"][i + 1]]);
    }
    one.write(requests.join(""), "latin1");
    const urls: string[] = [];
    for (let i = 0; i < 4; i += 1) urls.push(echoed(await answers.next()).url);
    expect(urls).toEqual(["/1", "/2", "/3", "/4"]);
    expect(answers.left).toBe("");
  });

  it("of another published name on a kept connection is misdirected", async () => {
    const bed = await web(echo, { names: [{ name: "home.example.org" }, { name: "other.example.org", to: "other.i3" }] });
    const one = client(bed.port);
    const answers = new Answers(one);
    one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    expect((await answers.next()).status).toBe(200);
    one.write("GET / HTTP/1.1\r\nHost: other.example.org\r\n\r\n");
    const got = await answers.next();
    expect([got.status, got.body]).toEqual([421, "This connection is for another name.\n"]);
    expect(bed.asked).toEqual(["home.i3:80"]);
    expect(bed.counters()).toMatchObject({ misdirected: 1 });
  });

  it("without a body is asked again when the kept connection ends under it", async () => {
    let connections = 0;
    const server = createServer((socket) => {
      connections += 1;
      let asked = 0;
      socket.on("data", () => {
        asked += 1;
        if (asked === 1) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx");
        else socket.resetAndDestroy();
      });
    });
    const bed = await publish({ by: "host", to: await listening(server) });
    const one = client(bed.port);
    const answers = new Answers(one);
    for (let i = 0; i < 3; i += 1) {
      one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      expect((await answers.next()).status).toBe(200);
    }
    expect(connections).toBe(3);
  });

  it("goes to the host that its name has by then, or to none", async () => {
    const bed = await web(echo);
    const one = client(bed.port);
    const answers = new Answers(one);
    const get = async (): Promise<number> => {
      one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      return (await answers.next()).status;
    };
    expect(await get()).toBe(200);
    bed.publisher.setConfig({ ...bed.config, names: bed.config.names.map((name) => ({ ...name, to: "other.i3" })) });
    expect([await get(), await get()]).toEqual([200, 200]);
    expect(bed.asked).toEqual(["home.i3:80", "other.i3:80"]);
    bed.publisher.setConfig({ ...bed.config, names: [] });
    expect(await get()).toBe(404);
  });

  it("over 1.0 is answered and ends", async () => {
    const bed = await web((_, res) => {
      res.write("in ");
      res.end("pieces");
    });
    const one = client(bed.port);
    one.write(`GET / HTTP/1.0\r\n${HOST}\r\n`);
    const text = (await rest(one)).toString();
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(text).not.toMatch(/chunked/i);
    expect(text.endsWith("\r\n\r\nin pieces")).toBe(true);
  });

  it("has the connection to its host kept, and a new one where that has ended", async () => {
    const sockets = new Set<unknown>();
    let last: IncomingMessage | undefined;
    const bed = await web((req, res) => {
      sockets.add(req.socket);
      last = req;
      res.end("x");
    });
    const one = client(bed.port);
    const answers = new Answers(one);
    const get = async (): Promise<number> => {
      one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
      return (await answers.next()).status;
    };
    expect([await get(), await get()]).toEqual([200, 200]);
    expect([sockets.size, bed.asked.length]).toEqual([1, 1]);
    last?.socket.resetAndDestroy();
    expect(await get()).toBe(200);
    expect(bed.asked).toHaveLength(2);
    one.destroy();
    await once(last?.socket as Socket, "close");
  });

  it("tells the host who connects by the PROXY protocol, on each of its connections", async () => {
    const server = createServer();
    const next = connectionsOf(server);
    const bed = await publish({ by: "host", to: await listening(server), proxyProtocol: "v2" });
    const one = client(bed.port);
    one.write(`POST / HTTP/1.1\r\n${HOST}Content-Length: 0\r\n\r\n`);
    const host = await next();
    const bytes = await atLeast(host, 69);
    expect(bytes.subarray(0, 16).toString("hex")).toBe("0d0a0d0a000d0a515549540a2111000c");
    expect(bytes.readUInt16BE(24)).toBe(one.localPort);
    expect(bytes.subarray(28).toString()).toMatch(/^POST \/ HTTP\/1\.1\r\nHost: home\.example\.org\r\n/);
  });

  it("may wait for 100 before its body", async () => {
    const bed = await web(echo);
    const one = client(bed.port);
    const answers = new Answers(one);
    one.write(`POST / HTTP/1.1\r\n${HOST}Expect: 100-continue\r\nContent-Length: 4\r\n\r\n`);
    expect((await answers.next()).status).toBe(100);
    one.write("body");
    expect(echoed(await answers.next()).body).toBe("body");
  });

  it("HEAD has the length of what does not come", async () => {
    const bed = await web((_, res) => void res.writeHead(200, { "Content-Length": "5" }).end());
    const one = client(bed.port);
    one.write(`HEAD / HTTP/1.1\r\n${HOST}Connection: close\r\n\r\n`);
    expect((await rest(one)).toString()).toMatch(/content-length: 5\r\n(?:.+\r\n)*\r\n$/i);
  });
});

describe("a request is refused", () => {
  it.each([
    ["a name that is not published", `GET / HTTP/1.1\r\nHost: other.example.org\r\n\r\n`, 404, "not-published"],
    ["an address", `GET / HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n`, 404, "not-published"],
    ["no Host", "GET / HTTP/1.1\r\n\r\n", 400, "no-host"],
    ["two Hosts", `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`, 400, "several-hosts"],
    ["another name in the target", `GET http://other.example.org/ HTTP/1.1\r\n${HOST}\r\n`, 400, "other-host"],
    ["CONNECT", `CONNECT home.example.org:80 HTTP/1.1\r\n${HOST}\r\n`, 400, "connect"],
    ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "malformed"],
    ["an upgrade to h2c", `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n`, 400, "bad-upgrade"],
    ["a blank before the colon", `GET / HTTP/1.1\r\nHost : home.example.org\r\n\r\n`, 400, "malformed"],
    ["bare line feeds", `GET / HTTP/1.1\nHost: home.example.org\n\n`, 400, "malformed"],
    ["a bare line feed behind a field", `GET / HTTP/1.1\r\n${HOST}A: b\nC: d\r\n\r\n`, 400, "malformed"],
    ["a carriage return in a field", `GET / HTTP/1.1\r\n${HOST}A: b\rC: d\r\n\r\n`, 400, "malformed"],
    ["a NUL in a field", `GET / HTTP/1.1\r\n${HOST}A: b\0\r\n\r\n`, 400, "malformed"],
    ["both length and encoding", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 400, "malformed"],
    ["encoding and length", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n`, 400, "malformed"],
    ["two lengths", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd`, 400, "malformed"],
    ["the same length twice", `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`, 400, "malformed"],
    ["an odd length", `POST / HTTP/1.1\r\n${HOST}Content-Length: 0x3\r\n\r\nabc`, 400, "malformed"],
    ["chunked with something behind", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n`, 400, "malformed"],
    ["an encoding below chunked", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`, 400, "bad-encoding"],
    ["chunked with a tab and a blank", `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n`, 400, "malformed"],
    ["no HTTP", "hello\r\n\r\n", 400, "malformed"],
    ["a head of 20 KB", `GET / HTTP/1.1\r\n${HOST}A: ${"x".repeat(20_000)}\r\n\r\n`, 431, "malformed"],
    ["TLS", Buffer.of(22, 3, 1, 0, 50, 1, 0, 0, 46).toString("latin1"), 400, "malformed"],
  ])("for %s", async (_, text, status, why) => {
    const bed = await publish({ by: "host", to: null });
    const got = await ask(bed, text);
    expect([got.status, got.head.includes("Connection: close"), got.body.length > 10]).toEqual([status, true, true]);
    expect(bed.counters()).toMatchObject({ [why]: 1 });
    expect(bed.asked).toEqual([]);
  });

  it("a field that goes on in the next line is one, or refused: no host sees two", async () => {
    const bed = await web(echo);
    const got = await ask(bed, `GET / HTTP/1.1\r\n${HOST}A: b\r\n X-Forwarded-For: 6.6.6.6\r\n\r\n`);
    if (got.status === 200) expect(echoed(got).headers).toMatchObject({ a: "b X-Forwarded-For: 6.6.6.6", "x-forwarded-for": "127.0.0.1" });
    else expect(got.status).toBe(400);
  });

  it.each([
    ["unreachable", 502, "The host of this name cannot be reached.\n"],
    ["refused", 502, "The host of this name cannot be reached.\n"],
    ["timeout", 504, "The host of this name does not answer.\n"],
  ] as const)("when its host is: %s", async (why, status, text) => {
    const bed = await publish({ by: "host", to: null, why });
    for (const method of ["GET", "POST"]) {
      const got = await ask(bed, `${method} / HTTP/1.1\r\n${HOST}\r\n`);
      expect([got.status, got.body]).toEqual([status, text]);
    }
    expect(await bed.line("publish-unreachable")).toMatchObject({ host: "home.i3", why });
  });

  it.each([
    ["ends without an answer", (socket: Socket) => socket.destroy()],
    ["answers something else", (socket: Socket) => socket.end("SSH-2.0-x\r\n")],
    ["answers two lengths", (socket: Socket) => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab")],
    ["upgrades unasked", (socket: Socket) => socket.end("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")],
  ])("502 when its host %s", async (_, act) => {
    const bed = await publish({ by: "host", to: await listening(createServer((socket) => void socket.once("data", () => act(socket)))) });
    expect((await ask(bed, `GET / HTTP/1.1\r\n${HOST}\r\n`)).status).toBe(502);
  });

  it("breaks off where its host does, amid the answer", async () => {
    const bed = await publish({ by: "host", to: await listening(createServer((socket) => void socket.once("data", () => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", () => socket.destroy())))) });
    const one = client(bed.port);
    one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    const text = (await rest(one)).toString();
    expect(text.endsWith("\r\n\r\nabc")).toBe(true);
    await until(() => bed.counters()["open"] === 0);
  });

  it("when no head comes in time, and when a second one does not", async () => {
    const bed = await web(echo, { timings: { firstBytesMs: 300 } });
    const [silent, slow, kept] = [client(bed.port), client(bed.port), client(bed.port)];
    slow.write(`GET / HTTP/1.1\r\n${HOST}`);
    const answers = new Answers(kept);
    kept.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await answers.next();
    kept.write("GET / HT");
    await Promise.all([silent, slow, kept].map(async (socket) => await (socket.destroyed ? undefined : once(socket.resume(), "end"))));
    await until(() => bed.counters()["open"] === 0);
    expect(bed.counters()).toMatchObject({ late: 3 });
  });

  it("when too many come before answers", async () => {
    const bed = await web(() => undefined);
    const one = client(bed.port);
    one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`.repeat(100));
    expect(await rest(one)).toHaveLength(0);
    expect(bed.counters()).toMatchObject({ pipelined: expect.any(Number) as unknown });
    await until(() => bed.counters()["open"] === 0);
  });

  it("a connection that had no request makes room for others", async () => {
    const bed = await web(echo, { limits: { waiting: 2, waitingPerSource: 2 } });
    const kept = client(bed.port);
    const answers = new Answers(kept);
    kept.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await answers.next();
    const silent = [client(bed.port), client(bed.port)];
    await Promise.all(silent.map((socket) => once(socket, "connect")));
    const displaced = rest(silent[0] as Socket);
    expect((await ask(bed, `GET / HTTP/1.1\r\n${HOST}\r\n`)).status).toBe(200);
    expect(await displaced).toHaveLength(0);
    kept.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    expect((await answers.next()).status).toBe(200);
  });
});

describe("an upgrade", () => {
  const upgrade = `GET /chat HTTP/1.1\r\n${HOST}Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n`;

  it("is a relay from then on", async () => {
    const server = createHttpServer();
    let headers: IncomingMessage["headers"] = {};
    server.on("upgrade", (req, socket, head) => {
      headers = req.headers;
      socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: a\r\n\r\nfirst ");
      socket.write(head);
      socket.on("data", (chunk: Buffer) => socket.write(chunk));
      socket.on("end", () => socket.end("last"));
    });
    const bed = await publish({ by: "host", to: await listening(server) });
    const one = client(bed.port);
    one.write(`${upgrade}early `);
    const answers = new Answers(one);
    expect((await answers.next()).head).toMatch(/^HTTP\/1\.1 101 Switching Protocols\r\nSec-WebSocket-Accept: a\r\nConnection: Upgrade\r\nUpgrade: websocket$/);
    one.end("words ");
    await once(one, "end");
    expect(answers.left).toBe("first early words last");
    expect(headers).toMatchObject({ connection: "Upgrade", upgrade: "websocket", "sec-websocket-key": "k", "x-forwarded-for": "127.0.0.1" });
  });

  it("that the host declines is its answer, and the end", async () => {
    const bed = await web((_, res) => void res.writeHead(403, { "X-Why": "no" }).end("declined"));
    const one = client(bed.port);
    one.write(`${upgrade}GET /smuggled HTTP/1.1\r\n\r\n`);
    const text = (await rest(one)).toString();
    expect(text).toMatch(/^HTTP\/1\.1 403 Forbidden\r\nX-Why: no\r\n/);
    expect(text).toMatch(/declined/);
    expect(bed.asked).toHaveLength(1);
  });

  it("that the host declines at length is its whole answer, also to a client that has ended", async () => {
    const bed = await web((_, res) => void res.end("x".repeat(3_000_000)));
    const one = client(bed.port);
    one.write(upgrade);
    expect((await rest(one)).toString().replace(/^[^]*?\r\n\r\n/, "")).toHaveLength(3_000_000);
    const left = client(bed.port);
    left.resume().end(upgrade);
    await once(left, "close");
    await until(() => bed.counters()["open"] === 0);
  });

  it("that the host does not answer ends", async () => {
    const bed = await web(() => undefined, { timings: { keepAliveMs: 100 } });
    expect((await ask(bed, upgrade)).status).toBe(504);
    await until(() => bed.counters()["open"] === 0);
  });

  it("that breaks off amid the host's answer is no other answer", async () => {
    const to = await listening(createServer((socket) => void socket.on("error", () => undefined).once("data", () => socket.write("HTTP/1.1 403 No\r\nContent-Length: 300\r\n\r\nabc", () => socket.resetAndDestroy()))));
    const bed = await publish({ by: "host", to });
    const one = client(bed.port);
    one.on("error", () => undefined);
    one.write(upgrade);
    expect((await rest(one)).toString()).not.toContain("502");
  });

  it("with a body is refused", async () => {
    const bed = await publish({ by: "host", to: null });
    expect((await ask(bed, upgrade.replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\nabc"))).status).toBe(400);
    expect(bed.asked).toEqual([]);
  });

  it("fails with its host", async () => {
    const bed = await publish({ by: "host", to: null });
    expect((await ask(bed, upgrade)).status).toBe(502);
  });
});

describe("a host that answers with no status", () => {
  it.each(["099 x", "101 Switching Protocols"])("%s: the client hears 502, and the publisher goes on", async (status) => {
    const to = await listening(createServer((socket) => void socket.on("error", () => undefined).on("data", () => socket.write(`HTTP/1.1 ${status}\r\nContent-Length: 0\r\n\r\n`))));
    const bed = await publish({ by: "host", to });
    expect((await ask(bed, `GET / HTTP/1.1\r\n${HOST}\r\n`)).status).toBe(502);
    expect((await ask(bed, `GET / HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n`)).status).toBe(502);
    expect((await ask(bed, `GET / HTTP/1.1\r\n${HOST}\r\n`)).status).toBe(502);
  });
});

it("a head of too many fields is refused, not cut", async () => {
  const bed = await web(echo);
  expect((await ask(bed, `POST / HTTP/1.1\r\n${HOST}${"a:\r\n".repeat(300)}Content-Length: 2\r\n\r\nhi`)).status).toBe(431);
});

describe("a client that leaves", () => {
  it("takes its request with it", async () => {
    let req: IncomingMessage | undefined;
    const bed = await web((request) => void (req = request));
    const one = client(bed.port);
    one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
    await until(() => req !== undefined);
    one.destroy();
    await once(req?.socket as Socket, "close");
  });

  it("takes back the connection that was not there yet", async () => {
    let gone = false;
    const bed = await publish({
      by: "host", to: null,
      connect: (_name, _port, _first, signal) => new Promise((_, reject) => signal.addEventListener("abort", () => {
        gone = true;
        reject(new HostError("left", "a test"));
      })),
    });
    const one = client(bed.port);
    one.write(`GET / HTTP/1.1\r\n${HOST}\r\n`, () => setImmediate(() => one.resetAndDestroy()));
    await until(() => gone);
    expect(bed.lines).toEqual([]);
  });
});

it("a stop lets an answer end, and ends kept connections", async () => {
  let finish = (): void => undefined;
  const bed = await web((_, res) => {
    res.write("half ");
    finish = () => void res.end("whole");
  }, { drainMs: 60_000 });
  const [idle, busy] = [client(bed.port), client(bed.port)];
  busy.write(`GET / HTTP/1.1\r\n${HOST}\r\n`);
  await once(idle, "connect");
  await once(busy, "data");
  const answers = new Answers(busy);
  const drained = bed.publisher.drain();
  finish();
  await drained;
  await until(() => answers.left.includes("whole"));
});
