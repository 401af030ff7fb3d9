/** Bytes from one connection to another and back, until both ends have said all. */
import type { Socket } from "node:net";

/**
 * Joins two connections: who reads slowly slows the other down, an end passes on one way only, a reset both.
 * Both must allow half of them to be open. @param idleMs without a byte either way both are closed
 */
export function relay(one: Socket, other: Socket, idleMs: number): void {
  for (const [from, to] of [[one, other], [other, one]] as const) {
    from.on("error", () => reset(to));
    // What ended in order is still being written to the other side.
    from.on("close", () => {
      if (!from.readableEnded) reset(to);
    });
    from.setTimeout(idleMs, () => {
      from.destroy();
      to.destroy();
    });
    from.pipe(to);
  }
  // It ended before anybody listened here.
  if (one.destroyed) reset(other);
  if (other.destroyed) reset(one);
}

function reset(socket: Socket): void {
  if (!socket.destroyed) socket.resetAndDestroy();
}

/** Says a last word and closes, once the client has read it: a reset for what it still sends would take the word from it. */
export function endWith(socket: Socket, word: Uint8Array | string, lingerMs: number): void {
  const timer = setTimeout(() => socket.destroy(), lingerMs);
  socket.once("close", () => clearTimeout(timer));
  socket.on("error", () => undefined);
  socket.once("end", () => socket.destroySoon());
  socket.end(word);
  socket.resume();
}
