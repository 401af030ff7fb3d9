/** What a server's REFUSED says, for the log (docs/wire.md §4). Without I/O. */
const TEXTS: Readonly<Record<number, string>> = {
  1: "another server is responsible", 2: "the cookie is too old", 3: "wrong signature", 4: "the ring remembers a newer counter, because this machine's clock was ahead, or another machine has its key",
  5: "the key does not belong to the id", 6: "no room for more of this host", 7: "malformed or unsupported", 8: "this machine is seen at another address", 9: "a certificate has ended",
};

export const refusalText = (code: number): string => `code ${code} (${TEXTS[code] ?? "unknown here"})`;
