/** Exchanges that are only rehearsed, in idle turns of the event loop, so that the first real one is not the first that this process makes. */
import { randomBytes } from "node:crypto";

import { errorLine, type Log } from "@i3/common";
import { loadNativeP256 } from "@i3/datapath/native-p256";
import { dhKeyPair, generateHostIdentity, rehearsal, withP256, type RehearsalEnvironment } from "@i3/hip";

/** Ours: the first takes 35 ms, the others 10; V8 compiles better by how often code ran, but more of them gain nothing that can be measured. */
const REHEARSALS = 6;

/** With the cryptography that the real ones use. */
function fresh(): RehearsalEnvironment {
  const p256 = loadNativeP256();
  return { newIdentity: () => withP256(generateHostIdentity("ecdsa-p256"), p256), random: (bytes) => randomBytes(bytes), dhSource: (group) => dhKeyPair(group, randomBytes, p256) };
}

/** One step a turn, a few milliseconds at most, so that packets and questions wait for none. Returns what ends them early. */
export function beginRehearsals(log: Log, environment: RehearsalEnvironment = fresh()): () => void {
  let [steps, done] = [rehearsal(environment), 0];
  let next = setImmediate(turn);
  function step(): void {
    const { done: isOver, value: isWhole } = steps.next();
    if (isOver !== true) return;
    if (!isWhole) throw new RangeError("a rehearsed exchange ended without an association");
    done += 1;
    steps = rehearsal(environment);
  }
  function turn(): void {
    try {
      step();
    } catch (error) {
      // Nothing depends on it, but real exchanges will fail as well.
      log("error", "rehearsal-failed", { error: errorLine(error) });
      return;
    }
    if (done < REHEARSALS) next = setImmediate(turn);
    else log("debug", "rehearsed", { exchanges: done });
  }
  return () => clearImmediate(next);
}
