import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { connect, type ConnectionOptions } from "node:tls";

import { describe, expect, it } from "vitest";

import { ClientHelloReader, MAX_HELLO_BYTES, MAX_READ_BYTES } from "../../src/sni/client-hello-reader.js";
import type { HelloVerdict } from "../../src/sni/client-hello.js";
import { ECH, extension, GREASE, hello, records, serverName } from "./hello.js";

const NAME: HelloVerdict = { kind: "name", name: "home.example.org" };
const refusal = (reason: string): unknown => ({ kind: "refuse", reason });

/** The verdict about bytes that come in chunks of a size. */
function read(bytes: Uint8Array, size = bytes.length): HelloVerdict {
  const reader = new ClientHelloReader();
  let verdict: HelloVerdict = { kind: "more" };
  for (let at = 0; at < bytes.length && verdict.kind === "more"; at += size) verdict = reader.push(bytes.subarray(at, at + size));
  return verdict;
}

/** What a client of node (OpenSSL) sends first. */
async function clientHelloOf(options: ConnectionOptions): Promise<Buffer> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const client = connect({ ...options, host: "127.0.0.1", port: (server.address() as AddressInfo).port });
  client.on("error", () => undefined);
  const [socket] = (await once(server, "connection")) as [Socket];
  const [chunk] = (await once(socket, "data")) as [Buffer];
  client.destroy();
  socket.destroy();
  server.close();
  return chunk;
}

describe("the name", () => {
  it.each([
    ["TLS 1.3", { minVersion: "TLSv1.3" }],
    ["TLS 1.2", { maxVersion: "TLSv1.2" }],
    ["TLS 1.0", { minVersion: "TLSv1", maxVersion: "TLSv1", ciphers: "DEFAULT:@SECLEVEL=0" }],
  ] as const)("is found in what OpenSSL sends for %s", async (_, versions) => {
    const bytes = await clientHelloOf({ ...versions, servername: "Home.example.org" });
    for (const size of [bytes.length, 1, 7]) expect(read(bytes, size)).toEqual(NAME);
    expect(read(await clientHelloOf({ ...versions }))).toEqual(refusal("no-name"));
  });

  it.each([
    ["TLS 1.0's record", records(hello(), 16_384, 1)],
    ["a record of version 3.4", records(hello(), 16_384, 4)],
    ["a hello of version 3.1", records(hello({ version: [3, 1] }))],
    ["several records", records(hello(), 20)],
    ["records of a byte", records(hello(), 1)],
    ["GREASE before and behind", records(hello({ suites: [0x1a, 0x1a, 0x13, 0x02], extensions: [...GREASE.slice(0, 4), ...serverName("home.example.org"), ...GREASE.slice(4)] }))],
    ["ECH: the outer name", records(hello({ extensions: [...ECH, ...serverName("home.example.org")] }))],
    ["upper case", records(hello({ extensions: serverName("HOME.Example.ORG") }))],
    ["a dot at the end", records(hello({ extensions: serverName("home.example.org.") }))],
    ["a session id of 32 bytes", records(hello({ session: Array.from({ length: 32 }, () => 9) }))],
    ["a long extension", records(hello({ extensions: [...extension(21, Array.from({ length: 12_000 }, () => 0)), ...serverName("home.example.org")] }))],
    ["what follows", Uint8Array.of(...records(hello()), 20, 3, 3, 0, 1, 1, 23, 3, 3, 0, 1, 0xff)],
  ])("is found with %s, however it is cut", (_, bytes) => {
    for (const size of [bytes.length, 1, 2, 5, 6, 33]) expect(read(bytes, size)).toEqual(NAME);
  });

  it("is not looked for before the last byte", () => {
    for (const bytes of [records(hello()), records(hello(), 50)]) {
      for (let end = 0; end < bytes.length; end += 1) expect(read(bytes.subarray(0, end))).toEqual({ kind: "more" });
      expect(read(bytes)).toEqual(NAME);
    }
  });
});

/** A hello whose length field says something else than it has. */
function lying(difference: number, parts: Parameters<typeof hello>[0] = {}): Uint8Array {
  const message = hello(parts);
  message[3] = (message[3] ?? 0) + difference;
  return records(message);
}

/** The hello with one 16-bit length changed. */
function lyingAt(find: readonly number[], difference: number): Uint8Array {
  const message = hello();
  const at = message.findIndex((_, i) => find.every((byte, k) => message[i + k] === byte));
  message[at + 1] = (message[at + 1] ?? 0) + difference;
  return records(message);
}

const LIST_LENGTHS = { names: [0, 19, 0, 0, 16], extension: [0, 21, 0, 19], extensions: [0, 25, 0, 0], suites: [0, 2, 0x13, 0x01] } as const;

describe("a refusal", () => {
  it.each([
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: home.example.org\r\n\r\n"), "not-tls"],
    ["ssh", Buffer.from("SSH-2.0-OpenSSH_9.2\r\n"), "not-tls"],
    ["an alert", Uint8Array.of(21, 3, 3, 0, 2, 2, 40), "not-tls"],
    ["version 2 of records", Uint8Array.of(22, 2, 0, 0, 4), "not-tls"],
    ["SSL 2.0", Uint8Array.of(0x80, 0x2e, 1, 0, 2, 0, 0x15), "ssl2"],
    ["something long that is not even that", Uint8Array.of(0x80, 0x2e, 7, 0, 2), "not-tls"],
    ["another handshake message", records([2, ...hello().slice(1)]), "malformed"],
    ["a record without contents", Uint8Array.of(22, 3, 1, 0, 0), "malformed"],
    ["a record of 16 KiB and a byte", Uint8Array.of(22, 3, 1, 0x40, 1), "malformed"],
    ["an alert amid it", Uint8Array.of(...records(hello().slice(0, 40)), 21, 3, 3, 0, 2, 2, 40), "malformed"],
    ["no extensions", records(hello({ extensions: null })), "no-name"],
    ["extensions without a name", records(hello({ extensions: GREASE })), "no-name"],
    ["two names", records(hello({ extensions: serverName("home.example.org", "other.example.org") })), "several-names"],
    ["the extension twice", records(hello({ extensions: [...serverName("home.example.org"), ...serverName("home.example.org")] })), "malformed"],
    ["any extension twice", records(hello({ extensions: [...GREASE, ...GREASE, ...serverName("home.example.org")] })), "malformed"],
    ["an empty list of names", records(hello({ extensions: extension(0, [0, 0]) })), "malformed"],
    ["an empty extension", records(hello({ extensions: extension(0, []) })), "malformed"],
    ["an empty name", records(hello({ extensions: serverName("") })), "malformed"],
    ["a name of another type", records(hello({ extensions: extension(0, [0, 4, 1, 0, 1, 0x61]) })), "malformed"],
    ["a NUL in the name", records(hello({ extensions: serverName("home.example.org\0.evil.org") })), "bad-name"],
    ["a space in the name", records(hello({ extensions: serverName("home example.org") })), "bad-name"],
    ["bytes beyond ASCII", records(hello({ extensions: serverName("h\xf6me.example.org") })), "bad-name"],
    ["two dots at the end", records(hello({ extensions: serverName("home.example.org..") })), "bad-name"],
    ["a name of 255 characters", records(hello({ extensions: serverName(`${"a.".repeat(127)}a`) })), "bad-name"],
    ["a name of 10,000 characters", records(hello({ extensions: serverName("a".repeat(10_000)) })), "bad-name"],
    ["a session id of 33 bytes", records(hello({ session: Array.from({ length: 33 }, () => 0) })), "malformed"],
    ["no cipher suite", records(hello({ suites: [] })), "malformed"],
    ["half a cipher suite", records(hello({ suites: [0x13, 0x01, 0x13] })), "malformed"],
    ["no compression method", records(hello({ compression: [] })), "malformed"],
    ["version 2 of the hello", records(hello({ version: [2, 0] })), "malformed"],
    ["a length of less than it has", lying(-1), "malformed"],
    ["a name that ends beyond its list", lyingAt(LIST_LENGTHS.names, -1), "malformed"],
    ["a list that ends beyond its extension", lyingAt(LIST_LENGTHS.names, 1), "malformed"],
    ["an extension that ends beyond all", lyingAt(LIST_LENGTHS.extension, 1), "malformed"],
    ["extensions that end beyond the hello", lyingAt(LIST_LENGTHS.extensions, 1), "malformed"],
    ["extensions that end before the hello", lyingAt(LIST_LENGTHS.extensions, -1), "malformed"],
    ["suites that end beyond the hello", lyingAt([0, 2, 0x13], 200), "malformed"],
    ["a handshake message of 16 KiB and a byte", records([1, 0, 0x40, 1]), "too-long"],
    ["one of 16 MiB", records([1, 0xff, 0xff, 0xff]), "too-long"],
    ["16 KiB in records of a byte", records([1, 0, 0x40, 0, ...Array.from({ length: MAX_HELLO_BYTES }, () => 0)], 1), "too-long"],
  ])("of %s", (_, bytes, reason) => {
    for (const size of [bytes.length, 1, 3]) expect(read(bytes, size)).toEqual(refusal(reason));
  });

  it("a length of more than it has waits for the rest", () => {
    expect(read(lying(1))).toEqual({ kind: "more" });
  });

  it("stays", () => {
    const reader = new ClientHelloReader();
    expect(reader.push(Uint8Array.of(1))).toEqual(refusal("not-tls"));
    expect(reader.push(records(hello()))).toEqual(refusal("not-tls"));
  });

  it("comes before more is read than is bounded", () => {
    const reader = new ClientHelloReader();
    const byte = records([1, 0, 0x40, 0, ...Array.from({ length: MAX_HELLO_BYTES }, () => 0)], 1);
    let read = 0;
    while (read < byte.length && reader.push(byte.subarray(read, read + 1)).kind === "more") read += 1;
    expect(read).toBe(MAX_READ_BYTES);
  });
});
