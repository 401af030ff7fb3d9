import fc from "fast-check";
import { describe, expect, it } from "vitest";

import {
  CONTROL_TYPES, decodeControl, encodeControl, FLAG_MAC, isRingMessage, KEY_KIND, makeLocator, MAX_CHECK_BYTES, MAX_CONTROL_BYTES, PADDED_BYTES, WireError,
  type ControlMessage, type ControlType, type Locator,
} from "../../src/index.js";
import { anyControlMessage } from "./any-control-message.js";
import { CONTROL_ROWS, filled, hex, NONCE } from "./control-rows.js";

const rowOf = (type: ControlType): Uint8Array => hex(CONTROL_ROWS.find((row) => row.message.type === type)?.hex ?? "");
const bodyLength = (wire: Uint8Array): number => new DataView(wire.buffer).getUint16(4);

/** A datagram of a given type around body bytes, whose nonce is zeros. */
function around(type: number, body: Uint8Array): Uint8Array {
  const wire = new Uint8Array(16 + body.length);
  wire.set([0x19, type, 0, 0, body.length >> 8, body.length & 0xff]);
  wire.set(body, 16);
  return wire;
}

describe("control messages", () => {
  it("has a row for every type", () => {
    expect(new Set(CONTROL_ROWS.map((row) => row.message.type))).toEqual(new Set(Object.keys(CONTROL_TYPES)));
  });

  describe.each(CONTROL_ROWS)("$name", ({ message, hex: text }) => {
    const wire = hex(text);

    it("is written", () => {
      expect(encodeControl(message, NONCE)).toEqual(wire);
    });

    it("is read at an offset, and nothing of the datagram is kept", () => {
      const datagram = Uint8Array.from([0xee, 0xee, 0xee, ...wire, 0xee]);
      const decoded = decodeControl(datagram.subarray(3, 3 + wire.length));
      datagram.fill(0xee);
      expect(decoded).toEqual({ message, nonce: NONCE, mac: null });
    });

    it("is rejected at every truncation of header and body", () => {
      const end = 16 + bodyLength(wire);
      for (let length = 0; length < end; length++) expect(() => decodeControl(wire.subarray(0, length))).toThrow(WireError);
      for (let length = end; length <= wire.length; length++) expect(decodeControl(wire.subarray(0, length)).message).toEqual(message);
    });

    it("is rejected at every other body length", () => {
      const body = bodyLength(wire);
      for (let length = 0; length < body; length++) {
        const changed = wire.slice();
        new DataView(changed.buffer).setUint16(4, length);
        expect(() => decodeControl(changed)).toThrow(WireError);
      }
      const longer = Uint8Array.from([...wire.subarray(0, 16 + body), 0]);
      new DataView(longer.buffer).setUint16(4, body + 1);
      expect(() => decodeControl(longer)).toThrow(WireError);
    });

    it("ignores unknown array elements at its end, unknown flags, reserved bytes and padding", () => {
      const body = Uint8Array.from([...wire.subarray(16, 16 + bodyLength(wire)), 0x91, 0xc0, 0xa2, 0x68, 0x69]);
      body[0] = (body[0] ?? 0) + 2; // one array and one string more
      const grown = Uint8Array.from([...around(CONTROL_TYPES[message.type], body), 1, 2, 3]);
      grown.set([0xfe, 0xff], 2);
      grown.set([0xff, 0xff], 6);
      grown.set(NONCE, 8);
      expect(decodeControl(grown).message).toEqual(message);
    });

    it("is rejected when any element is missing, nil or of another form", () => {
      if (message.type === "PING") return;
      const count = (wire[16] ?? 0) & 0x0f;
      for (let elements = 0; elements < count; elements++) {
        const nils = Uint8Array.from([0x90 | count, ...filled(count, 0xc0)]);
        expect(() => decodeControl(around(CONTROL_TYPES[message.type], nils))).toThrow(WireError);
        const bools = Uint8Array.from([0x90 | elements, ...filled(elements, 0xc3)]);
        expect(() => decodeControl(around(CONTROL_TYPES[message.type], bools))).toThrow(WireError);
      }
    });
  });

  it.each([0x00, 0x11, 0x18, 0x1a, 0x1f, 0x20, 0xff])("refuses the first byte 0x%s", (first) => {
    const wire = rowOf("PING");
    wire[0] = first;
    expect(() => decodeControl(wire)).toThrow(WireError);
  });

  it("refuses every unknown type", () => {
    const known = new Set(Object.values(CONTROL_TYPES));
    for (let type = 0; type < 256; type++) {
      if (!known.has(type)) expect(() => decodeControl(around(type, Uint8Array.of(0x90)))).toThrow(/unknown type/);
    }
  });

  it("takes 1,232 bytes and no more", () => {
    const wire = new Uint8Array(MAX_CONTROL_BYTES + 1);
    wire.set(rowOf("PING"));
    expect(decodeControl(wire.subarray(0, MAX_CONTROL_BYTES)).message).toEqual({ type: "PING" });
    expect(() => decodeControl(wire)).toThrow(WireError);
  });

  it("takes CHECK of 9,000 bytes and no more", () => {
    const check = encodeControl({ type: "CHECK", spi: 0x2000_0000, flags: 1 }, NONCE, () => filled(16, 5), MAX_CHECK_BYTES);
    expect(check.length).toBe(MAX_CHECK_BYTES);
    const { message, mac } = decodeControl(check);
    expect([message, mac?.covered.length]).toEqual([{ type: "CHECK", spi: 0x2000_0000, flags: 1 }, MAX_CHECK_BYTES - 16]);
    expect(() => decodeControl(Uint8Array.of(...check, 0))).toThrow(WireError);
    expect(() => encodeControl({ type: "CHECK", spi: 0x2000_0000, flags: 1 }, NONCE, undefined, MAX_CHECK_BYTES + 1)).toThrow(WireError);
    expect(() => encodeControl({ type: "PING" }, NONCE, undefined, MAX_CONTROL_BYTES + 1)).toThrow(WireError);
  });

  it("does not encode more than 1,232 bytes", () => {
    const node = { key: filled(16, 1), locator: { address: filled(16, 2), port: 3 } };
    const state = (count: number): ControlMessage => ({ type: "LEAVING", from: node, predecessor: node, successors: Array.from({ length: count }, () => node) });
    expect(encodeControl(state(16), NONCE).length).toBeLessThanOrEqual(MAX_CONTROL_BYTES);
    expect(decodeControl(encodeControl(state(16), NONCE)).message).toEqual(state(16));
    expect(() => decodeControl(encodeControl(state(17), NONCE))).toThrow(WireError);
    expect(() => encodeControl(state(31), NONCE)).toThrow(WireError);
  });

  it("decodes what it encodes", () => {
    fc.assert(
      fc.property(anyControlMessage, fc.uint8Array({ minLength: 8, maxLength: 8 }), (message, nonce) => {
        expect(decodeControl(encodeControl(message, nonce))).toEqual({ message, nonce, mac: null });
      }),
      { numRuns: 300 },
    );
  });

  it("says which messages pass between servers", () => {
    const ring = Object.keys(CONTROL_TYPES).filter((type) => isRingMessage(type as ControlType));
    expect(ring).toEqual(["FIND", "FOUND", "STATE", "STATE_IS", "NOTIFY", "ALIVE", "ALIVE_YES", "LEAVING", "HELLO", "HELLO_YES", "HELLO_AGAIN", "ROUTE", "ROUTED"]);
  });
});

describe("fields of control messages", () => {
  const trigger = rowOf("TRIGGER");
  const changed = (offset: number, ...bytes: readonly number[]): Uint8Array => {
    const out = trigger.slice();
    out.set(bytes, offset);
    return out;
  };

  it.each<readonly [string, Uint8Array, string]>([
    ["action 3", changed(17, 3), "TRIGGER.action: integer out of range"],
    ["a target of a later kind", changed(53, 3), "TRIGGER.target: kind not supported"],
    ["an address in a stack", changed(53, 2), "TRIGGER.step.id: missing"],
    ["port 0", changed(60, 0, 0), "locator port: 0"],
    ["a negative counter", changed(64, 0x80), "TRIGGER.counter: integer out of range"],
    ["a counter beyond 2^53", changed(64, 0x00, 0x20), "TRIGGER.counter: integer out of range"],
    ["no key", changed(72, 0), "TRIGGER.keyKind: 0"],
    ["a key of a later kind", changed(72, 7), "TRIGGER.keyKind: integer out of range"],
    ["a P-384 key of 64 bytes", changed(72, 3), "TRIGGER.publicKey: 64 bytes"],
    ["an RSA key of 64 bytes", changed(72, 4), "TRIGGER.publicKey: 64 bytes"],
    ["an Ed25519 key of 64 bytes", changed(72, 2), "TRIGGER.publicKey: 64 bytes"],
  ])("refuses a trigger with %s", (_, wire, why) => {
    expect(decodeControl(trigger).message.type).toBe("TRIGGER");
    expect(() => decodeControl(wire)).toThrow(WireError);
    expect(() => decodeControl(wire)).toThrow(why);
  });

  const step = { id: filled(32, 1), notAfterS: 1, keyKind: 2, publicKey: filled(32, 2), signature: filled(64, 3) } as const;
  const along = (...steps: readonly object[]): Uint8Array =>
    encodeControl({ ...(decodeControl(trigger).message as Extract<ControlMessage, { type: "TRIGGER" }>), target: { steps: steps as (typeof step)[] } }, NONCE);

  it.each<readonly [string, readonly object[]]>([
    ["no step", []], ["five steps", [step, step, step, step, step]], ["an id of 31 bytes", [step, { ...step, id: filled(31, 1) }]], ["an end that no clock shows", [{ ...step, notAfterS: 2 ** 50 }]],
    ["a step without a key", [{ ...step, keyKind: 0 }]], ["a name's step", [{ ...step, keyKind: 5, publicKey: filled(64, 1) }]], ["a member's step", [{ ...step, keyKind: 6, publicKey: filled(136, 1) }]],
    ["a step of a later kind", [{ ...step, keyKind: 8 }]], ["a step with a short key", [{ ...step, publicKey: filled(31, 1) }]], ["a step with a long signature", [{ ...step, signature: filled(65, 1) }]],
  ])("refuses a stack of %s", (_, steps) => {
    expect(decodeControl(along(step)).message.type).toBe("TRIGGER");
    expect(() => decodeControl(along(...steps))).toThrow(WireError);
  });

  it.each([[3, 95, 96], [3, 97, 96], [3, 96, 64], [3, 96, 97], [4, 257, 256], [4, 518, 512], [4, 258, 255], [4, 517, 513], [1, 64, 96], [2, 32, 65]] as const)(
    "refuses a trigger of kind %i with a key of %i and a signature of %i bytes",
    (keyKind, keyBytes, signatureBytes) => {
      const { message } = decodeControl(trigger);
      if (message.type !== "TRIGGER") throw new Error(message.type);
      const wire = encodeControl({ ...message, keyKind, publicKey: filled(keyBytes, 1), signature: filled(signatureBytes, 1) }, NONCE);
      expect(() => decodeControl(wire)).toThrow(/TRIGGER\.(publicKey|signature): \d+ bytes/);
    },
  );

  it("takes the largest counter in both encodings of 64 bits", () => {
    for (const token of [0xd3, 0xcf]) {
      const { message } = decodeControl(changed(63, token, 0x00, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff));
      expect(message).toMatchObject({ counter: Number.MAX_SAFE_INTEGER, keyKind: KEY_KIND.ecdsaP256 });
    }
  });

  it("takes integers that are longer than they need to be", () => {
    const body = hex(`92 cf 0000000000000007 c410 ${"bb".repeat(16)}`);
    expect(decodeControl(around(10, body)).message).toEqual({ type: "REFUSED", code: 7, subject: filled(16, 0xbb) });
  });

  it("reads an IPv4-mapped address as IPv4", () => {
    const body = hex(`93 00 c412 00000000000000000000ffff c0000207 15ea c410 ${"99".repeat(16)}`);
    expect(decodeControl(around(2, body)).message).toMatchObject({ observed: { address: hex("c0000207"), port: 5610 } });
  });

  it.each([
    ["text where bytes are due", `91 b0 ${"61".repeat(16)}`],
    ["17 bytes", `91 c411 ${"61".repeat(17)}`],
    ["an array", `91 90`],
  ])("refuses %s", (_, body) => {
    expect(() => decodeControl(around(3, hex(body)))).toThrow(WireError);
  });

  it.each([
    ["an SPI of 33 bits", CONTROL_TYPES.CHECK, "92 cf 0000000100000000 00"],
    ["flags of 17 bits", CONTROL_TYPES.CHECK, "92 ce 20000001 ce 00010000"],
    ["an address of 5 bytes", CONTROL_TYPES.CHECKED, `92 ce 20000001 c407 ${"c0".repeat(7)}`],
    ["port 0", CONTROL_TYPES.CHECKED, "92 ce 20000001 c406 c00002070000"],
  ])("refuses path checks with %s", (_, type, body) => {
    expect(() => decodeControl(around(type, hex(body)))).toThrow(WireError);
  });

  it.each([
    ["no node", "94 %N c2 c0 91 c0"],
    ["seventeen successors", `94 %N c2 c0 dc0011 ${"%N".repeat(17)}`],
    ["a node without a locator", `94 %N c2 c0 91 91 c410 ${"44".repeat(16)}`],
    ["a number for a truth value", "94 %N 00 c0 90"],
  ])("refuses STATE_IS with %s", (_, body) => {
    const node = `92 c410 ${"44".repeat(16)} c406 c000020715ea`;
    expect(() => decodeControl(around(CONTROL_TYPES.STATE_IS, hex(body.replaceAll("%N", node))))).toThrow(WireError);
  });
});

describe("the MAC", () => {
  const mac = (covered: Uint8Array): Uint8Array => filled(16, covered.length & 0xff);

  it.each(CONTROL_ROWS)("stands behind $name", ({ message, hex: text }) => {
    const bare = hex(text).subarray(0, 16 + bodyLength(hex(text)));
    const sealed = encodeControl(message, NONCE, mac);
    const macStart = sealed.length - 16;
    expect(sealed[2]).toBe(FLAG_MAC);
    expect(sealed.length).toBe(Math.max(bare.length + 16, PADDED_BYTES[message.type] ?? 0));
    expect(sealed.subarray(3, bare.length)).toEqual(bare.subarray(3));
    expect(sealed.subarray(macStart)).toEqual(filled(16, macStart));
    const decoded = decodeControl(sealed);
    expect(decoded).toEqual({ message, nonce: NONCE, mac: { covered: sealed.subarray(0, macStart), value: filled(16, macStart) } });
  });

  it("must be there whole when the flag says so", () => {
    const sealed = encodeControl({ type: "STATE", from: { key: filled(16, 1), locator: { address: filled(4, 2), port: 3 } } }, NONCE, mac);
    for (let length = 0; length < sealed.length; length++) expect(() => decodeControl(sealed.subarray(0, length))).toThrow(WireError);
  });

  it("is at the very end, behind padding", () => {
    const wire = Uint8Array.from([...rowOf("PING"), ...filled(16, 0xab)]);
    wire[2] = FLAG_MAC;
    expect(decodeControl(wire).mac).toEqual({ covered: wire.subarray(0, 96), value: filled(16, 0xab) });
  });
});

describe("where a host was seen", () => {
  const seen = makeLocator(hex("c6336406"), 40_000);
  const six = makeLocator(hex("20010db8000000000000000000000001"), 5610);
  const messages = (observed: Locator): readonly ControlMessage[] => [
    { type: "PONG", timeMs: 1, observed, nodeKey: filled(16, 1) }, { type: "CHALLENGE", ringKey: filled(16, 1), cookie: filled(24, 2), observed, timeMs: 1, nodeKey: filled(16, 1) }, { type: "CHECKED", spi: 0x2000_0001, observed },
  ];

  it.each([["a random one", "9a8b7c6d5e4f3021"], ["that of the first CHECK", "000000005e4f3021"]])("is not to be found in the message, with a nonce like %s", (_, text) => {
    for (const observed of [seen, six]) for (const message of messages(observed)) {
      const bytes = encodeControl(message, hex(text));
      expect(Buffer.from(bytes).includes(Buffer.from(observed.address)), message.type).toBe(false);
      expect(decodeControl(bytes).message).toEqual(message);
    }
  });

  it("is another one when the nonce is", () => {
    const bytes = encodeControl(messages(seen)[0] as ControlMessage, NONCE);
    bytes[15] = 9;
    expect(decodeControl(bytes).message).not.toMatchObject({ observed: seen });
  });
});

describe("sizes", () => {
  const key = filled(16, 1);
  const id = filled(32, 2);
  const locators = { IPv4: { address: filled(4, 3), port: 4 }, IPv6: { address: filled(16, 3), port: 4 } };
  const timeMs = Number.MAX_SAFE_INTEGER;
  const size = (message: ControlMessage): number => encodeControl(message, NONCE).length;

  describe.each(Object.entries(locators))("over %s", (_, observed) => {
    const node = { key, locator: observed };
    const challenge: ControlMessage = { type: "CHALLENGE", ringKey: key, cookie: filled(24, 5), observed, timeMs, nodeKey: key };
    const refused: ControlMessage = { type: "REFUSED", code: 255, subject: id };
    const ok: ControlMessage = { type: "TRIGGER_OK", action: 1, id, lifeMs: timeMs, replica: observed };
    const smallest = { type: "TRIGGER", action: 2, id, target: locators.IPv4, flags: 0, counter: 0, keyKind: 2, publicKey: id, commitment: key, cookie: filled(24, 5), signature: filled(64, 6) } as const;

    it.each<readonly [ControlMessage, readonly ControlMessage[]]>([
      [{ type: "PING" }, [{ type: "PONG", timeMs, observed, nodeKey: key }]],
      [{ type: "LOCATE", ringKey: key }, [{ type: "LOCATED", ringKey: key, node }, refused]],
      [{ type: "CHALLENGE_REQUEST", ringKey: key, flags: 0 }, [challenge, refused]],
      [smallest, [ok, refused]],
      [{ type: "REFRESH", id, index: 0, token: key, member: null }, [ok, challenge, refused]],
      [{ type: "CHECK", spi: 0, flags: 0 }, [{ type: "CHECKED", spi: 0xffff_ffff, observed }]],
      [{ type: "RECORD_PUT", flags: 0, cookie: filled(24, 5), record: filled(133, 6) }, [challenge, refused, { type: "RECORD_OK", ringKey: key, sequence: timeMs, lifeMs: timeMs, successor: observed }]],
      [{ type: "RECORD_GET", flags: 0, ringKey: key }, [refused, { type: "RECORD_IS", ringKey: key, record: filled(1_000, 6), successor: observed }]],
    ])("no reply to $type is larger than it", (request, replies) => {
      for (const reply of replies) expect(size(reply), reply.type).toBeLessThanOrEqual(size(request));
    });
  });

  it("are padded as the page says", () => {
    expect(PADDED_BYTES).toEqual({ PING: 96, LOCATE: 96, CHALLENGE_REQUEST: 160, REFRESH: 160, HELLO: 224, RECORD_GET: 1_088, PROVE: 288, PROBE: 96, CHECK: 96 });
  });
});
