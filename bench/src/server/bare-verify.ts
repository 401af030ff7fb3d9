/** The baseline of inserts: `node bare-verify.js SECONDS` checks Ed25519 signatures over as many bytes as a trigger's and prints how many in a second. All that is known before is ready: keys are parsed. */
import { generateKeyPairSync, randomBytes, sign, verify } from "node:crypto";

/** docs/wire.md §4.1, step 3, for an IPv4 address. */
const SIGNED_BYTES = 13 + 1 + 32 + 2 + 7 + 16 + 2 + 2 + 8 + 16 + 24;
const KEYS = 64;
const WARM_UP = 1_000;

const cases = Array.from({ length: KEYS }, () => {
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const message = randomBytes(SIGNED_BYTES);
  return { publicKey, message, signature: sign(null, message, privateKey) };
});

function check(count: number): void {
  for (let i = 0; i < count; i += 1) {
    const one = cases[i % KEYS];
    if (one === undefined || !verify(null, one.message, one.publicKey, one.signature)) throw new Error("a good signature is refused");
  }
}

check(WARM_UP);
const seconds = Number(process.argv[2]);
const startMs = performance.now();
let checked = 0;
while (performance.now() - startMs < seconds * 1_000) {
  check(KEYS);
  checked += KEYS;
}
process.stdout.write(`${(checked / (performance.now() - startMs)) * 1_000}\n`);
