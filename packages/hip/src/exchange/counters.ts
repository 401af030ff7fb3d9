/** What a HIP host counted since it began. */

/** Why packets were dropped; each drop counts once. docs/wire.md §8 has the same list. */
export interface HipDrops {
  /** No HIP packet, or a parameter that has not its form, or one missing, or one that is critical and not known. */
  malformed: number;
  /** For another HIT, or from a HIT of no suite that we speak, or from ourselves; R1 of another host than was meant. */
  hit: number;
  /** A type of packet that we do not know. */
  type: number;
  /** Nothing we asked for: R1, R2, NOTIFY, ACK or CLOSE_ACK without its question, UPDATE or CLOSE of no association. R1s that still wait when their call ends. */
  unexpected: number;
  /** Not on the access list. */
  refused: number;
  /** I1 over i3 that is shorter than our R1, or without a return id. */
  amplification: number;
  /** More than is answered or looked at. */
  rate: number;
  /** Of an epoch that is over or that never was; or for another initiator or path than it was made for. */
  stale: number;
  /** #J is no solution. */
  solution: number;
  /** A solution that was used, or that came with too many bad I2. */
  used: number;
  /** A cipher, transform, group, or suite that was not offered or that we do not take; a puzzle too hard. */
  proposal: number;
  /** Not a public value of its Diffie-Hellman group. */
  group: number;
  /** An SPI below 256, or not the one in use; a KEYMAT index out of range. */
  spi: number;
  mac: number;
  /** ENCRYPTED that does not open. */
  encrypted: number;
  /** HOST_ID is no key, or not the key of the HIT. */
  hostId: number;
  signature: number;
  /** R1 again, or older than the last one of this peer; UPDATE again, or outside of the window. */
  replayed: number;
  /** No room for another association. */
  full: number;
  /** Lost the comparison of HITs when both began (RFC 7401 §6.7, §6.9). */
  crossed: number;
}

export interface HipCounters {
  readonly drops: HipDrops;
  /** Packets that came in, of any kind and form. */
  received: number;
  /** I1s answered here; the packet engine counts its own. */
  i1Answered: number;
  /** I2s that came in. */
  i2Received: number;
  /** Those of them that had solved their puzzle; with `i1Answered` what {@link HipHost.load} is told: others cost little, and anybody can send them. */
  i2Paid: number;
  established: number;
  failed: number;
  rekeyed: number;
  /** Second pairs. */
  paired: number;
  /** Second pairs that a peer wanted and did not get. */
  pairsRefused: number;
  closed: number;
  /** Packets sent again because no answer came. */
  retransmitted: number;
  /** R2, UPDATE with ACK or CLOSE_ACK sent again because the question came again. */
  repeated: number;
  notifyReceived: number;
  notifySent: number;
  /** LOCATOR_SETs in valid UPDATEs. */
  locatorSets: number;
  /** Those of them that changed nothing: in clear over i3, or when a later one came before. */
  locatorSetsIgnored: number;
  /** Locators of types, transports and kinds that are not ours, beyond the first 16, or at which nobody can be. */
  locatorsSkipped: number;
  /** Peers that were followed to another address or port. */
  moved: number;
}

export type HipDrop = keyof HipDrops;

export const newHipCounters = (): HipCounters => ({
  drops: {
    malformed: 0, hit: 0, type: 0, unexpected: 0, refused: 0, amplification: 0, rate: 0, stale: 0, solution: 0, used: 0, proposal: 0, group: 0, spi: 0, mac: 0,
    encrypted: 0, hostId: 0, signature: 0, replayed: 0, full: 0, crossed: 0,
  },
  received: 0, i1Answered: 0, i2Received: 0, i2Paid: 0, established: 0, failed: 0, rekeyed: 0, paired: 0, pairsRefused: 0, closed: 0, retransmitted: 0, repeated: 0, notifyReceived: 0, notifySent: 0, locatorSets: 0, locatorSetsIgnored: 0, locatorsSkipped: 0, moved: 0,
});
