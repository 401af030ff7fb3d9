/** What a client hears in the place of a ServerHello. */

// Of RFC 8446 §6 and appendix B.2:
const ALERT = 21;
const FATAL = 2;
const INTERNAL_ERROR = 80;
const UNRECOGNIZED_NAME = 112;

/** Their record has the version that TLS 1.2 and 1.3 have; earlier ones take it. */
const fatal = (description: number): Uint8Array => Uint8Array.of(ALERT, 3, 3, 0, 2, FATAL, description);

export const HANDSHAKE_FAILURES = {
  /** The name is not published, or there is none. */
  unrecognizedName: fatal(UNRECOGNIZED_NAME),
  /** Its host does not answer. */
  internalError: fatal(INTERNAL_ERROR),
} as const;
