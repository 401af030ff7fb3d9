/** ClientHellos by hand, for what no library would send. */
const uint16 = (value: number): number[] => [value >> 8, value & 0xff];
const vector8 = (bytes: readonly number[]): number[] => [bytes.length, ...bytes];
const vector16 = (bytes: readonly number[]): number[] => [...uint16(bytes.length), ...bytes];
const text = (value: string): number[] => [...Buffer.from(value, "latin1")];

export const extension = (type: number, data: readonly number[]): number[] => [...uint16(type), ...vector16(data)];
export const serverName = (...names: readonly string[]): number[] => extension(0, vector16(names.flatMap((name) => [0, ...vector16(text(name))])));
/** RFC 8701. */
export const GREASE = [...extension(0x0a0a, []), ...extension(0xfafa, [0])];
/** draft-ietf-tls-esni: the outer ClientHello's. */
export const ECH = extension(0xfe0d, [0, ...uint16(1), ...uint16(1), 7, ...vector16(Array.from({ length: 32 }, (_, i) => i)), ...vector16(Array.from({ length: 100 }, () => 0xee))]);

export interface HelloParts {
  readonly version?: readonly [number, number];
  readonly session?: readonly number[];
  readonly suites?: readonly number[];
  readonly compression?: readonly number[];
  /** Null: not even their length. */
  readonly extensions?: readonly number[] | null;
}

/** A handshake message: type, length, body. */
export function hello({ version = [3, 3], session = [], suites = [0x13, 0x01], compression = [0], extensions = serverName("home.example.org") }: HelloParts = {}): number[] {
  const body = [...version, ...Array.from({ length: 32 }, (_, i) => i), ...vector8(session), ...vector16(suites), ...vector8(compression), ...(extensions === null ? [] : vector16(extensions))];
  return [1, body.length >> 16, ...uint16(body.length & 0xffff), ...body];
}

/** In records of so many bytes each. */
export function records(message: readonly number[], size = 16_384, minor = 1): Uint8Array {
  const out: number[] = [];
  for (let at = 0; at < message.length; at += size) out.push(22, 3, minor, ...vector16(message.slice(at, at + size)));
  return Uint8Array.from(out);
}
