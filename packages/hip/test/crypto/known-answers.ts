/** What known-answers/crypto.py printed; every byte string is hex. */
import { readFileSync } from "node:fs";

import type { DhGroup, EspSuite, HipCipherSuite, Rhash } from "../../src/index.js";

interface HipDirection {
  readonly encryption: string;
  readonly integrity: string;
}

interface EspDirection {
  readonly key: string;
  readonly salt: string;
  readonly integrityKey: string;
}

interface KnownAnswers {
  readonly hkdf: readonly { readonly name: string; readonly secret: string; readonly salt: string; readonly info: string; readonly output: string }[];
  readonly keymat: readonly {
    readonly name: string;
    readonly rhash: Rhash;
    readonly cipher: HipCipherSuite;
    readonly suite: EspSuite;
    readonly ownHit: string;
    readonly peerHit: string;
    readonly kij: string;
    readonly i: string;
    readonly j: string;
    /** The first and last 200 bytes. */
    readonly begin: string;
    readonly end: string;
    readonly size: number;
    readonly hip: { readonly out: HipDirection; readonly in: HipDirection };
    readonly espIndex: number;
    readonly esp: { readonly out: EspDirection; readonly in: EspDirection };
    readonly endIndex: number;
  }[];
  readonly puzzle: readonly {
    readonly rhash: Rhash;
    readonly difficulty: number;
    readonly i: string;
    readonly hitI: string;
    readonly hitR: string;
    readonly start: string;
    readonly j: string;
    readonly tries: number;
    /** How many zero bits the hash really ends in. */
    readonly zeroBits: number;
  }[];
  readonly dh: readonly { readonly name: string; readonly group: DhGroup; readonly random: string; readonly public: string; readonly peer: string; readonly secret: string }[];
  readonly modp: Readonly<Record<"3" | "4" | "11", string>>;
  readonly cipher: readonly { readonly cipher: HipCipherSuite; readonly key: string; readonly iv: string; readonly parameters: string; readonly data: string }[];
  readonly badCipher: readonly { readonly why: string; readonly cipher: HipCipherSuite; readonly key: string; readonly iv: string; readonly data: string }[];
  readonly mac: readonly { readonly rhash: Rhash; readonly key: string; readonly covered: string; readonly mac: string }[];
}

export const KNOWN = JSON.parse(readFileSync(new URL("../known-answers/crypto.json", import.meta.url), "utf8")) as KnownAnswers;
