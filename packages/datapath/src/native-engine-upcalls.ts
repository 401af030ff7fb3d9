/** Upcalls, and what was refreshed, as the addon makes them → as the control plane gets them. */
import type { Refreshed, SendFailure, Strength, Upcall } from "./datapath.js";
import type { RawUpcall } from "./native-addon.js";
import { decodeEndpoint, decodeRoute } from "./reference/endpoints.js";
import { ADDRESS_SLOT_BYTES } from "./reference/step.js";

/** `enum class UpcallKind` in native/engine/engine.h. */
const KIND = { control: 0, flowSetup: 1, payload: 2, routeMiss: 3, noTrigger: 4, cacheRequest: 5, hip: 6, astray: 7, elsewhere: 8, sendFailed: 9, detour: 10 } as const;

/** In the order of `enum class SendFailure` in native/engine/packets.h. */
export const SEND_FAILURES = ["unreachable", "too-big"] as const satisfies readonly SendFailure[];

/** One of `engineTakeRefreshed`. */
const REFRESHED = { token: 32, index: 48, times: 52, atMs: 56, bytes: 64 } as const;

/** A field that the kind has: one that is missing is a fault of the addon. */
function present<T>(field: T | undefined): T {
  if (field === undefined) throw new TypeError("an upcall without one of its fields");
  return field;
}

/** `bytes`: the sender's endpoint and the datagram. */
function control(bytes: Uint8Array): Upcall {
  if (bytes.length < ADDRESS_SLOT_BYTES) throw new TypeError("a control datagram without a sender");
  return { kind: "control", from: decodeEndpoint(bytes, 0), bytes: bytes.subarray(ADDRESS_SLOT_BYTES) };
}

/** The byte arrays become the receiver's. */
export function decodeUpcall({ kind, from, name, nonce, bytes, payloadKind, forwarded, shortcutOk, requestBytes, strength, spi, reason }: RawUpcall): Upcall {
  const sender = () => decodeEndpoint(present(from), 0);
  const route = () => decodeRoute(present(from), 0, present(from), ADDRESS_SLOT_BYTES);
  switch (kind) {
    case KIND.control:
      return control(present(bytes));
    case KIND.hip:
      return { kind: "hip", from: route(), bytes: present(bytes) };
    case KIND.flowSetup:
      return { kind: "flow-setup", address: present(name), strength: present(strength) as Strength, packet: present(bytes) };
    case KIND.payload:
      return { kind: "payload", id: present(name), from: sender(), nonce: present(nonce), payloadKind: present(payloadKind), payload: present(bytes) };
    case KIND.routeMiss:
      return { kind: "route-miss", ringKey: present(name), from: sender() };
    case KIND.noTrigger:
      return { kind: "no-trigger", id: present(name), from: sender(), nonce: present(nonce), forwarded: present(forwarded), requestBytes: present(requestBytes) };
    case KIND.astray:
      return { kind: "astray", id: present(name), from: sender() };
    case KIND.cacheRequest:
      return { kind: "cache-request", id: present(name), from: sender(), nonce: present(nonce), shortcutOk: present(shortcutOk), requestBytes: present(requestBytes) };
    case KIND.elsewhere:
      return { kind: "elsewhere", spi: present(spi), from: route() };
    case KIND.sendFailed:
      return { kind: "send-failed", locator: route(), reason: present(SEND_FAILURES[present(reason)]) };
    case KIND.detour:
      return { kind: "detour", locator: sender(), bytes: present(bytes) };
    default:
      throw new TypeError(`an upcall of kind ${kind}`);
  }
}

/** What `engineTakeRefreshed` yields. */
export function decodeRefreshed(packed: Uint8Array): readonly Refreshed[] {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  return Array.from({ length: packed.length / REFRESHED.bytes }, (_, i) => {
    const at = i * REFRESHED.bytes;
    return {
      id: packed.slice(at, at + REFRESHED.token), token: packed.slice(at + REFRESHED.token, at + REFRESHED.index), index: view.getUint32(at + REFRESHED.index),
      atMs: view.getFloat64(at + REFRESHED.atMs), times: view.getUint32(at + REFRESHED.times),
    };
  });
}
