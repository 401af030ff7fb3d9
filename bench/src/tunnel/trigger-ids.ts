/** Ids of many triggers, such that native/datagram-generator.c and the server that holds them make the same ones without a list. */
import { ID_BYTES } from "@i3/datapath";

const ID_WORDS = 8;

/** The finalizer of MurmurHash3: one to one on 32 bits, so that no two ids are the same. */
function mix(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Writes the id of trigger number `index` into `id`: word w is mix(8 index + w), little-endian. */
export function writeTriggerId(index: number, id: Uint8Array): void {
  if (id.length !== ID_BYTES) throw new RangeError(`an id has ${ID_BYTES} bytes`);
  const view = new DataView(id.buffer, id.byteOffset, ID_BYTES);
  for (let w = 0; w < ID_WORDS; w += 1) view.setUint32(4 * w, mix(ID_WORDS * index + w), true);
}
