/** What answers each parameter of each packet when it is spoilt: the one table, and why it is so. */
import type { PARAMETER } from "../../src/wire/numbers.js";
import type { HeldKind } from "./held-packet.js";

/**
 * A reason of HipDrops, behind a comma the code of the NOTIFY that goes out; "taken": as if nothing were wrong; "acknowledged": an UPDATE about something else; "noted": a NOTIFY that
 * changes nothing; null: there is nothing to spoil so, or no signature that could be made anew.
 */
export type Answer = string | null;

export interface ParameterRow {
  readonly kind: HeldKind;
  readonly name: keyof typeof PARAMETER;
  /** In the order of SPOILINGS, MAC and signature as they were. */
  readonly asItIs: readonly Answer[];
  /** The same, MAC and signature made anew by the right keys. */
  readonly sealedAnew: readonly Answer[];
  readonly why: string;
}

const [form, mac, signature, ok, none] = ["malformed", "mac", "signature", "taken", null] as const;
const syntax = "malformed, INVALID_SYNTAX";
const macSaid = "mac, HIP_MAC_FAILED";
const signatureSaid = "signature, AUTHENTICATION_FAILED";
const encryptedSaid = "encrypted, ENCRYPTION_FAILED";
const nothing: readonly Answer[] = [none, none, none, none, none, none, none];
const always = (answer: Answer): readonly Answer[] => nothing.map(() => answer);

const row = (kind: HeldKind, name: ParameterRow["name"], asItIs: readonly Answer[], sealedAnew: readonly Answer[], why: string): ParameterRow => ({ kind, name, asItIs, sealedAnew, why });

const lastSignature = (kind: HeldKind): ParameterRow =>
  row(kind, "hipSignature", [signature, form, signature, form, form, none, form], [signature, form, signature, form, form, none, form], "the signature has no length of its own");
const macAndSignature = (kind: HeldKind): readonly ParameterRow[] => [row(kind, "hipMac", always(form), always(form), "as long as RHASH"), lastSignature(kind)];
const newKeys = (kind: HeldKind): ParameterRow => row(kind, "espInfo", [mac, mac, mac, form, mac, form, mac],
  [form, form, form, form, ok, form, "acknowledged"], "the first counts; without one it is about something else than keys");

export const PARAMETER_ROWS: readonly ParameterRow[] = [
  // Each: truncated, emptied, oversized, overrunning, repeated, misordered, missing.
  row("I1", "dhGroupList", [ok, form, ok, form, form, form, form],
    nothing, "a list may be shorter, or have groups that we do not know"),
  row("I1", "i3ReturnId", [form, form, form, form, form, form, "amplification"],
    nothing, "one id of 32 bytes; without it over i3 nobody is answered"),
  row("I1", "i3Padding", [ok, "amplification", ok, form, form, none, "amplification"],
    nothing, "any length that leaves I1 no shorter than R1"),

  row("R1", "r1Counter", [form, form, form, form, form, form, signature],
    [form, form, form, form, form, form, ok], "read before the signature; a host need not count (RFC 7401 §5.2.3)"),
  row("R1", "puzzle", always(form),
    always(form), "needed; length follows from RHASH"),
  row("R1", "dhGroupList", [signature, form, signature, form, form, form, form],
    [ok, form, ok, form, form, form, form], "any list whose first common group is that of the value"),
  row("R1", "diffieHellman", always(form),
    always(form), "needed; says the length of its value"),
  row("R1", "hipCipher", always(form),
    always(form), "needed; numbers of 2 bytes"),
  row("R1", "natTraversalMode", [signature, signature, signature, form, form, form, signature],
    [ok, ok, ok, form, form, form, ok], "signed, and nobody here reads it"),
  row("R1", "hostId", always(form),
    always(form), "needed; has lengths of its own"),
  row("R1", "hitSuiteList", [signature, form, signature, form, form, form, form],
    [ok, form, ok, form, form, form, form], "ours is its first; an entry of 0 is skipped"),
  row("R1", "echoRequestSigned", [signature, signature, signature, form, form, form, signature],
    [ok, ok, ok, form, form, form, ok], "any bytes are returned"),
  row("R1", "transportFormatList", [form, form, form, form, form, signature, form],
    [form, form, form, form, form, ok, form], "needed; transport formats may stand in any order (RFC 7401 §5.2)"),
  row("R1", "espTransform", [signature, signature, signature, form, form, form, signature],
    always(form), "read behind the signature; needed"),
  row("R1", "i3OwnId", [form, form, form, form, form, form, signature],
    [form, form, form, form, form, form, "hit"], "over i3 an R1 has to name its id"),
  row("R1", "hipSignature2", [signature, form, signature, form, form, form, form],
    [signature, form, signature, form, form, form, form], "the signature has no length of its own: another one is wrong"),
  row("R1", "echoRequestUnsigned", [ok, ok, ok, form, ok, none, ok],
    [ok, ok, ok, form, ok, none, ok], "behind the signature: anybody may add, change or take it; any bytes are returned"),

  row("I2", "espInfo", [syntax, syntax, syntax, form, syntax, form, syntax],
    [syntax, syntax, syntax, form, syntax, form, syntax], "one for each pair of addresses may come (RFC 8047 §4), but here there is one"),
  row("I2", "r1Counter", [form, form, form, form, form, form, macSaid],
    [form, form, form, form, form, form, ok], "read with the puzzle, before anything is said; R1 need not have had one"),
  row("I2", "solution", always(form),
    always(form), "the puzzle comes first: who has not solved it hears nothing"),
  row("I2", "diffieHellman", [syntax, syntax, syntax, form, form, form, syntax],
    [syntax, syntax, syntax, form, form, form, syntax], "needed; says the length of its value"),
  row("I2", "hipCipher", [syntax, syntax, syntax, form, form, form, syntax],
    [syntax, syntax, syntax, form, form, form, syntax], "exactly one number"),
  row("I2", "encrypted", [macSaid, macSaid, macSaid, form, form, form, macSaid],
    [encryptedSaid, syntax, encryptedSaid, form, form, form, syntax], "opened behind the MAC; without it there is no HOST_ID"),
  row("I2", "echoResponseSigned", [macSaid, macSaid, macSaid, form, form, form, macSaid],
    [ok, ok, ok, form, form, form, ok], "R1 asked for none, so nobody reads it"),
  row("I2", "transportFormatList", [syntax, syntax, syntax, form, form, macSaid, syntax],
    [syntax, syntax, syntax, form, form, ok, syntax], "exactly one; transport formats may stand in any order"),
  row("I2", "espTransform", [syntax, syntax, syntax, form, form, form, syntax],
    [syntax, syntax, syntax, form, form, form, syntax], "exactly one number"),
  row("I2", "i3ReturnId", [form, form, form, form, form, form, "amplification"],
    [form, form, form, form, form, form, "amplification"], "one id of 32 bytes, read with the puzzle; without it over i3 nobody is answered"),
  row("I2", "hipMac", [syntax, syntax, syntax, form, form, form, form],
    [syntax, syntax, syntax, form, form, form, form], "as long as RHASH; a packet without any is answered with nothing"),
  row("I2", "hipSignature", [signatureSaid, syntax, signatureSaid, form, form, form, form],
    [signatureSaid, syntax, signatureSaid, form, form, form, form], "the signature has no length of its own: another one is wrong"),
  row("I2", "echoResponseUnsigned", [ok, ok, ok, form, ok, none, ok],
    [ok, ok, ok, form, ok, none, ok], "behind the signature, and R1 asked for none"),

  row("inside I2", "hostId", nothing,
    always(syntax), "needed, and the same rules of form hold inside"),
  row("inside I2", "i3PrivateId", nothing,
    [syntax, syntax, syntax, syntax, syntax, syntax, ok], "one id of 32 bytes; a host need not have one"),
  row("inside I2", "i3Preferences", nothing,
    [syntax, syntax, ok, syntax, syntax, none, ok], "what is behind its fields is of later days"),

  row("I2 in clear", "hostId", [macSaid, macSaid, macSaid, form, form, form, macSaid],
    [syntax, syntax, syntax, form, form, form, syntax], "as in ENCRYPTED"),

  row("R2", "espInfo", always(form),
    always(form), "here there is one"),
  row("R2", "encrypted", [mac, mac, mac, form, form, form, mac],
    ["encrypted", form, "encrypted", form, form, form, ok], "opened behind the MAC; other HIP hosts have none"),
  row("R2", "hipMac2", always(form),
    always(form), "as long as RHASH"),
  lastSignature("R2"),

  row("inside R2", "i3PrivateId", nothing,
    [form, form, form, form, form, form, ok], "one id of 32 bytes; a host need not have one"),
  row("inside R2", "i3Preferences", nothing,
    [form, form, ok, form, form, none, ok], "what is behind its fields is of later days"),

  newKeys("UPDATE"),
  row("UPDATE", "locatorSet", [mac, mac, mac, form, form, form, mac],
    [form, ok, form, form, form, form, ok], "a set may be empty"),
  row("UPDATE", "seq", [form, form, form, form, form, form, mac],
    [form, form, form, form, form, form, ok], "read before the MAC; without SEQ it is an ACK alone, and SEQ comes again"),
  row("UPDATE", "ack", [form, form, form, form, form, form, mac],
    [form, form, form, form, form, form, ok], "read before the MAC; ours is sent again until it is acknowledged"),
  row("UPDATE", "diffieHellman", [mac, mac, mac, form, form, form, mac],
    [form, form, form, form, form, form, ok], "says the length of its value; a rekey may do without"),
  row("UPDATE", "echoRequestSigned", [mac, mac, mac, form, form, form, mac],
    [ok, ok, ok, form, form, form, ok], "any bytes are returned"),
  row("UPDATE", "echoResponseSigned", [mac, mac, mac, form, form, form, mac],
    [ok, ok, ok, form, form, form, ok], "nobody asked, so nobody reads it"),
  ...macAndSignature("UPDATE"),

  newKeys("UPDATE for a second pair"),
  row("UPDATE for a second pair", "seq", always(form),
    always(form), "read before the MAC; an UPDATE has SEQ or ACK"),
  row("UPDATE for a second pair", "diffieHellman", [mac, mac, mac, form, form, form, mac],
    [form, form, form, form, form, form, "proposal"], "a new pair has keys of its own"),
  row("UPDATE for a second pair", "espTransform", [mac, mac, mac, form, form, form, mac],
    [form, form, form, form, form, form, "unexpected"], "without it the UPDATE answers a pair that nobody asked for"),
  ...macAndSignature("UPDATE for a second pair"),

  row("CLOSE", "echoRequestSigned", [mac, mac, mac, form, form, form, mac],
    [ok, ok, ok, form, form, form, form], "needed; any bytes are returned"),
  ...macAndSignature("CLOSE"),

  row("CLOSE_ACK", "echoResponseSigned", [mac, mac, mac, form, form, form, mac],
    ["unexpected", "unexpected", "unexpected", form, form, form, form], "must return the very bytes"),
  ...macAndSignature("CLOSE_ACK"),

  row("NOTIFY", "notification", [signature, form, signature, form, signature, form, signature],
    ["noted", form, "noted", form, ok, form, "noted"], "several may come, the first counts; one that does not name our I2 is noted and ends nothing (docs/wire.md §9.5)"),
  lastSignature("NOTIFY"),
];
