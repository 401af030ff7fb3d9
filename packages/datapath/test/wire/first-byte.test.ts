import { describe, expect, it } from "vitest";
import { CONTROL_TYPES, isRingMessage, type ControlType } from "@i3/common";
import { classifyDatagram, isBetweenServers, isCheck, type DatagramClass } from "../../src/wire/first-byte.js";

describe("first byte of a datagram", () => {
  it.each<readonly [number, number, DatagramClass]>([
    [0x00, 0x00, "hip"],
    [0x01, 0x0f, "malformed"],
    [0x10, 0x10, "version"],
    [0x11, 0x11, "data"],
    [0x12, 0x18, "version"],
    [0x19, 0x19, "control"],
    [0x1a, 0x1f, "version"],
    [0x20, 0xfe, "esp"],
    [0xff, 0xff, "malformed"],
  ])("%i–%i is %s", (from, to, expected) => {
    for (let first = from; first <= to; first++) expect(classifyDatagram(first, 2)).toBe(expected);
  });

  it("control of a type that passes between servers is what the codec says", () => {
    for (const [name, type] of Object.entries(CONTROL_TYPES)) expect([name, isBetweenServers(type, 2)]).toEqual([name, isRingMessage(name as ControlType)]);
    expect(isBetweenServers(CONTROL_TYPES.STATE, 1)).toBe(false);
  });

  it("knows the only message that may be long", () => {
    expect(Object.entries(CONTROL_TYPES).filter(([, type]) => isCheck(type, 2)).map(([name]) => name)).toEqual(["CHECK"]);
    expect(isCheck(CONTROL_TYPES.CHECK, 1)).toBe(false);
  });

  it("0xff alone is a keep-alive, and no byte at all is malformed", () => {
    expect(classifyDatagram(0xff, 1)).toBe("keep-alive");
    expect(classifyDatagram(0, 0)).toBe("malformed");
  });
});
