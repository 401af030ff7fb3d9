/**
 * Clients of one server, many in one process: `node load.js JSON` with a {@link Load}; prints {@link LoadResult} as JSON.
 *
 * An insert is what a client does for a trigger: CHALLENGE_REQUEST, CHALLENGE, TRIGGER with the cookie, signed, TRIGGER_OK. Each trigger has an Ed25519 key of its own unless
 * keys are used up, and then an id of its own.
 */
import { createPrivateKey, createPublicKey, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";

import { encodeControl, groupId, privateId, privatePrefix } from "@i3/common";
import { certifyMember, generateTriggerKey, REFRESH_CHAIN_LENGTH, refreshChain, refreshStep, type TriggerKey } from "@i3/hip";

import { Clients, type Insert } from "./clients.js";

export type Load = { readonly port: number } & (
  /** As many as go, `underWay` at any time. */
  | { readonly task: "insert"; readonly seconds: number; readonly keys: number; readonly underWay: number; readonly sources: number }
  /** So many, each with a key of its own, refreshed once: from then on the engine has a lease of it. */
  | { readonly task: "fill"; readonly triggers: number; readonly underWay: number; readonly sources: number }
  /** Triggers of `sources` hosts, and a file with `requests` refreshes of each, for native/ask-answer.c. */
  | { readonly task: "prepare-refreshes"; readonly sources: number; readonly requests: number; readonly file: string }
  /** A group of so many members at one id, and a file for native/fan-out.c. */
  | { readonly task: "prepare-group"; readonly members: number; readonly publishers: number; readonly file: string }
);

export interface LoadResult {
  readonly inserted: number;
  readonly seconds: number;
  /** Inserts of which a datagram was lost: begun again. */
  readonly lost: number;
}

const UNDER_WAY = 8;
const SUFFIX_BYTES = 16;
const TOKEN_BYTES = 16;
const NO_COMMITMENT = new Uint8Array(16);
const DAY_S = 86_400;
const PUBLISHER_HOST = 3;

/** As generateTriggerKey of @i3/hip, in a sixth of the time. Node takes `d` alone for the secret; were that another key, the server would refuse it. */
function newKey(): TriggerKey {
  const d = randomBytes(32).toString("base64url");
  const privateKey = createPrivateKey({ key: { kty: "OKP", crv: "Ed25519", d, x: d }, format: "jwk" });
  const publicKey = new Uint8Array(Buffer.from(createPublicKey(privateKey).export({ format: "jwk" }).x ?? "", "base64url"));
  return { privateKey, publicKey, prefix: privatePrefix(publicKey) };
}

const suffixOf = (number: number): Uint8Array => {
  const suffix = new Uint8Array(SUFFIX_BYTES);
  new DataView(suffix.buffer).setUint32(0, number);
  return suffix;
};

const privateInsert = (key: TriggerKey, number: number, commitment: Uint8Array = NO_COMMITMENT): Insert =>
  ({ id: privateId(key.prefix, suffixOf(number)), signer: { kind: "private", key }, commitment });

const u32 = (...values: readonly number[]): Buffer => {
  const out = Buffer.alloc(4 * values.length);
  values.forEach((value, i) => out.writeUInt32LE(value, 4 * i));
  return out;
};

async function insert(load: Extract<Load, { task: "insert" }>): Promise<LoadResult> {
  const keys = Array.from({ length: load.keys }, newKey);
  const clients = await Clients.open(load.port, load.sources);
  const endMs = performance.now() + load.seconds * 1_000;
  const result = await clients.insert(load.underWay, (i) => (performance.now() >= endMs ? null : privateInsert(keys[i % keys.length] as TriggerKey, Math.floor(i / keys.length))));
  clients.close();
  return result;
}

async function fill(load: Extract<Load, { task: "fill" }>): Promise<LoadResult> {
  const clients = await Clients.open(load.port, load.sources);
  const result = await clients.insert(load.underWay, (i) => {
    if (i >= load.triggers) return null;
    // A chain of one step.
    const token = randomBytes(TOKEN_BYTES);
    return { ...privateInsert(newKey(), 0, refreshStep(token)), token };
  });
  clients.close();
  return result;
}

async function prepareRefreshes(load: Extract<Load, { task: "prepare-refreshes" }>): Promise<LoadResult> {
  const owners = Array.from({ length: load.sources }, () => ({ key: generateTriggerKey(), chain: refreshChain(randomBytes(SUFFIX_BYTES)) }));
  const inserts = owners.map(({ key, chain }) => privateInsert(key, 0, chain[REFRESH_CHAIN_LENGTH] as Uint8Array));
  const requests = inserts.map(({ id }, owner) =>
    Array.from({ length: load.requests }, (_, i) =>
      encodeControl({ type: "REFRESH", id, index: i + 1, token: owners[owner]?.chain[REFRESH_CHAIN_LENGTH - i - 1] as Uint8Array, member: null }, randomBytes(8))));
  const clients = await Clients.open(load.port, load.sources);
  const result = await clients.insert(UNDER_WAY, (i) => inserts[i] ?? null);
  clients.close();
  writeFileSync(load.file, Buffer.concat([
    u32(load.sources, load.requests, requests[0]?.[0]?.length ?? 0),
    ...clients.endpoints.flatMap((endpoint, i) => [endpoint, ...(requests[i] ?? [])]),
  ]));
  return result;
}

async function prepareGroup(load: Extract<Load, { task: "prepare-group" }>): Promise<LoadResult> {
  const group = generateTriggerKey();
  const id = groupId(group.publicKey, suffixOf(0));
  const notAfterS = Math.floor(Date.now() / 1_000) + DAY_S;
  const clients = await Clients.open(load.port, load.members);
  const result = await clients.insert(UNDER_WAY, (i) => {
    if (i >= load.members) return null;
    const key = generateTriggerKey();
    return { id, signer: { kind: "member", certificate: certifyMember(group, key.publicKey, notAfterS), key }, commitment: NO_COMMITMENT };
  });
  clients.close();
  const publishers = Array.from({ length: load.publishers }, (_, i) => Uint8Array.of(127, PUBLISHER_HOST, 0, i + 1, 0, 0));
  writeFileSync(load.file, Buffer.concat([u32(load.members, load.publishers), ...clients.endpoints, ...publishers, id]));
  return result;
}

const load = JSON.parse(process.argv[2] ?? "") as Load;
const run = (): Promise<LoadResult> => {
  switch (load.task) {
    case "insert": return insert(load);
    case "fill": return fill(load);
    case "prepare-refreshes": return prepareRefreshes(load);
    case "prepare-group": return prepareGroup(load);
  }
};
process.stdout.write(`${JSON.stringify(await run())}\n`);
