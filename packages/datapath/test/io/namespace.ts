/** What the *.netns.test.ts files stand on: a network namespace of their own, with nothing but loopback in it. */
import { execFileSync } from "node:child_process";
import type { NativeIo } from "../../src/native-io.js";

export const ip = (...args: readonly string[]): string => execFileSync("ip", [...args], { encoding: "utf8" });

/** What `ip -j` says. */
export const ipJson = (...args: readonly string[]): readonly Record<string, unknown>[] =>
  JSON.parse(ip("-j", ...args) || "[]") as readonly Record<string, unknown>[];

/** Throws unless nothing of the machine can be harmed: these tests set addresses, routes and rules. */
export function requireOwnNamespace(io: NativeIo): void {
  const others = [...io.listAddresses(4), ...io.listAddresses(6)].filter(({ name }) => name !== "lo" && !name.startsWith("i3"));
  if (others.length > 0) {
    throw new Error(`this is no empty network namespace (${others[0]?.name ?? ""}): run it with "node test/netns/enter.mjs -- npx vitest run --project system"`);
  }
  ip("link", "set", "lo", "up");
}

/** A device of these tests, up, with an address and a /24 or /64 behind it. */
export function makeTun(io: NativeIo, name: string, net: number): { readonly fd: number; readonly index: number; readonly name: string } {
  const tun = io.openTun({ name, kind: "tun" });
  const index = io.interfaceIndex(tun.name);
  io.setLink({ index, up: true, mtu: 1_360 });
  io.addAddress({ index, address: Uint8Array.of(10, 99, net, 1), prefixBits: 24 });
  return { ...tun, index };
}
