// @ts-check
/**
 * Questions and answers over i3, as texts in JSON. A packet names no sender, so a question says where its answer goes; packets may get lost, so it is asked again; and
 * anybody who knows an id may send anything to it, so what is neither is left alone: what a listener throws would end the process.
 */
import { I3Error } from "@i3/i3-client";

const AGAIN_MS = 1_000;
const GIVE_UP_MS = 10_000;

/** @param {Uint8Array} payload @returns {{ number: number, replyTo: string } | undefined} */
export function readQuestion(payload) {
  const { number, replyTo } = readObject(payload);
  return Number.isSafeInteger(number) && typeof replyTo === "string" && /^[0-9a-f]{64}$/.test(replyTo) ? { number: Number(number), replyTo } : undefined;
}

/** @param {Uint8Array} payload @returns {{ number: number, place: string } | undefined} */
export function readAnswer(payload) {
  const { number, place } = readObject(payload);
  return Number.isSafeInteger(number) && typeof place === "string" ? { number: Number(number), place } : undefined;
}

/** @param {Uint8Array} payload @returns {Record<string, unknown>} */
function readObject(payload) {
  try {
    const value = JSON.parse(Buffer.from(payload).toString());
    return typeof value === "object" && value !== null ? value : {};
  } catch {
    return {};
  }
}

/** Why `send` has returned false. @param {import("@i3/i3-client").I3Connection} i3 */
export const whyNotSent = (i3) => (i3.server() === null ? "no server answers" : "too many packets wait for the system");

/**
 * Sends every second until a message comes at the inbox of which `read` makes something, which it resolves with; rejects after 10 s.
 *
 * @template Answer
 * @param {import("@i3/i3-client").I3Connection} i3 that sends
 * @param {() => boolean} send
 * @param {import("@i3/i3-client").Trigger} inbox
 * @param {(message: import("@i3/i3-client").Message) => Answer | undefined} read undefined: it was something else
 * @returns {Promise<Answer>}
 */
export function answerTo(i3, send, inbox, read) {
  return new Promise((resolve, reject) => {
    const ask = () => {
      if (!send()) console.error(`* not sent: ${whyNotSent(i3)}`);
    };
    const again = setInterval(ask, AGAIN_MS);
    const limit = setTimeout(() => {
      settle();
      reject(new I3Error("ERR_I3_NO_SERVER", `no answer has come within ${GIVE_UP_MS / 1_000} s`, { remedy: "See whether the servers of the ring run and reach each other; one that has just started needs some eight seconds." }));
    }, GIVE_UP_MS);
    const settle = () => {
      clearInterval(again);
      clearTimeout(limit);
      inbox.off("message", listen);
    };
    /** @param {import("@i3/i3-client").Message} message */
    const listen = (message) => {
      const answer = read(message);
      if (answer === undefined) return;
      settle();
      resolve(answer);
    };
    inbox.on("message", listen);
    ask();
  });
}
