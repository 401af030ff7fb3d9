/** `<zones>`: names that somebody's key answers for in the ring (paper §3.2, the optional global names; docs/wire.md §4.3). */
import { toHex } from "../bytes.js";
import { element, list, required, type Site } from "./schema.js";
import { dnsName, FILE, PUBLIC_KEY } from "./value-types.js";

const MAX_ZONES = 32;
/** Of all zones: each is put into the ring every 10 minutes. */
export const MAX_ZONE_RECORDS = 32;

export interface ZoneConfig {
  /** Lower case: what ends in a dot and this is a name of the zone. */
  readonly suffix: string;
  /** Ed25519, 32 bytes: who says which hosts the names stand for. */
  readonly key: Uint8Array;
  /** Signed records of the zone that this host keeps in the ring. */
  readonly records: readonly { readonly file: string }[];
}

interface PlacedZone {
  readonly zone: ZoneConfig;
  readonly suffix: string;
  readonly line: number;
}

const ZONE = element(
  { suffix: required(dnsName(1)), key: required(PUBLIC_KEY) },
  { record: list(element({ file: required(FILE) }), 0, MAX_ZONE_RECORDS, "file") },
  ({ suffix, key, record: records }, { line }): PlacedZone => ({ zone: Object.freeze({ suffix, key, records }), suffix, line }),
);

function checkedZones(placed: readonly PlacedZone[], site: Site): readonly ZoneConfig[] {
  const keys = new Map<string, PlacedZone>();
  let records = 0;
  for (const [i, each] of placed.entries()) {
    const { zone, line } = each;
    const first = keys.get(toHex(zone.key));
    // Its records are the same in both, and each name would be another's twin.
    if (first !== undefined) site.failInside(`zone[${i + 1}]/@key`, line, `the key of the zone ${first.suffix} on line ${first.line}`, "another key for each zone");
    keys.set(toHex(zone.key), each);
    records += zone.records.length;
    if (records > MAX_ZONE_RECORDS) site.failInside(`zone[${i + 1}]`, line, `${records} records with those of the zones before`, `at most ${MAX_ZONE_RECORDS} records in all zones`);
  }
  return Object.freeze(placed.map(({ zone }) => zone));
}

export const ZONES = element({}, { zone: list(ZONE, 0, MAX_ZONES, "suffix") }, ({ zone }, site): readonly ZoneConfig[] => checkedZones(zone, site));
