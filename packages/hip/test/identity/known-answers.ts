/** Rows of ../known-answers/identity.json, which identity.py beside it made with Python's hashlib and openssl alone. */
import { readFileSync } from "node:fs";

import { fromHex } from "@i3/common";

import type { HitSuite, HostKeyAlgorithm } from "../../src/index.js";

interface Row {
  readonly algorithm: HostKeyAlgorithm;
  readonly number: number;
  readonly suite: HitSuite;
  readonly hi: string;
  readonly publicKey: string;
  readonly hit: string;
  readonly publicId: string;
  readonly message: string;
  readonly hipSignature: string;
  readonly i3Signature: string;
  readonly pem: string;
}

const { rows } = JSON.parse(readFileSync(new URL("../known-answers/identity.json", import.meta.url), "utf8")) as { readonly rows: readonly Row[] };

export const KNOWN_ANSWERS = rows.map((row) => ({
  ...row,
  name: row.algorithm === "rsa" ? `rsa, a modulus of ${row.hipSignature.length * 4} bits on the wire` : row.algorithm,
  hi: fromHex(row.hi), publicKey: fromHex(row.publicKey), message: fromHex(row.message), hipSignature: fromHex(row.hipSignature), i3Signature: fromHex(row.i3Signature),
}));

/** The first row of an algorithm: its smallest key. */
export function knownAnswer(algorithm: HostKeyAlgorithm): (typeof KNOWN_ANSWERS)[number] {
  const row = KNOWN_ANSWERS.find((candidate) => candidate.algorithm === algorithm);
  if (row === undefined) throw new Error(algorithm);
  return row;
}
