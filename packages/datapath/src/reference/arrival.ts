/** A datagram that arrived. */
export interface Arrival {
  /** The datagram is `bytes[at … at + length]`. */
  readonly bytes: Buffer;
  readonly at: number;
  readonly length: number;
  /** Where it came from: `origins[originAt …]`. */
  readonly origins: Buffer;
  readonly originAt: number;
  /** By which way: `ways[wayAt …]`. */
  readonly ways: Buffer;
  readonly wayAt: number;
  /** Of its IP header: DSCP and ECN. */
  readonly trafficClass: number;
}
