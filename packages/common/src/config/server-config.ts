/** `<i3-server>`: the configuration of a ring server. deploy/examples/i3-server.xml explains every line. */
import { ENDPOINT, ENGINE_ATTRIBUTES, I3_PORT, IDENTITY, LISTEN, LOG, MAX_CONFIG_BYTES, ipEndpoint } from "./common-elements.js";
import type { Endpoint, EngineConfig, IdentityConfig, IpEndpoint, LogConfig } from "./common-elements.js";
import { element, implied, list, maybe, one, readDocument, Refusal, required, retired, withDefault, type ValueType } from "./schema.js";
import { FILE, PORT, wholeNumber, word, type IpHost } from "./value-types.js";

const MAX_MEMBERS = 32;
/** What the packet engine holds: LIMITS.triggers of @i3/datapath, from which this package cannot import. */
const MAX_TRIGGERS = 1_048_576;
/** Each caller of a name reaches all who claim it. */
const MAX_CLAIMS_PER_NAME = 8;
/** At 1,000 bytes: 1 GB. */
const MAX_RECORDS = 1_048_576;

export interface ServerConfig {
  readonly identity: IdentityConfig;
  readonly listen: IpEndpoint;
  /** Where others reach this server, when that is not the address it finds out. */
  readonly advertise: IpEndpoint | undefined;
  /** Where clients of the other family reach it; never of the family of `advertise`. Undefined: found out when `advertise` is. */
  readonly advertiseOther: IpEndpoint | undefined;
  /** Undefined: a ring of one. */
  readonly ring: { /** Of this server, as i3-server ring admit makes them. */ readonly credentialFile: string; /** 0–32 to join through. */ readonly members: readonly Endpoint[] } | undefined;
  /** WebSockets over TLS for hosts whose networks let no UDP through; undefined: none are taken. */
  readonly fallback: { readonly port: number; /** PEM, the server's own first. */ readonly certificateFile: string; readonly keyFile: string } | undefined;
  readonly limits: { readonly triggers: number; readonly triggersPerSource: number; /** 0: nobody may claim a name. */ readonly claimsPerName: number; readonly records: number; readonly recordsPerSource: number };
  readonly log: LogConfig;
  readonly engine: EngineConfig & { readonly kind: "auto" | "native" | "reference" };
}

const LIMITS = element(
  {
    triggers: withDefault(wholeNumber(1, MAX_TRIGGERS), 1_000_000),
    "triggers-per-source": withDefault(wholeNumber(1, MAX_TRIGGERS), 4096),
    "claims-per-name": withDefault(wholeNumber(0, MAX_CLAIMS_PER_NAME), 0),
    records: withDefault(wholeNumber(0, MAX_RECORDS), 16_384),
    "records-per-source": withDefault(wholeNumber(0, MAX_RECORDS), 256),
  },
  {},
  (limits, site) => {
    const { triggers, triggersPerSource } = limits;
    if (triggersPerSource > triggers) {
      site.fail("triggers-per-source", `${triggersPerSource} is more than triggers`, `at most ${triggers}`);
    }
    if (limits.recordsPerSource > limits.records) {
      site.fail("records-per-source", `${limits.recordsPerSource} is more than records`, `at most ${limits.records}`);
    }
    return limits;
  },
);

const ENGINE = element({ kind: withDefault(word(["auto", "native", "reference"]), "auto"), ...ENGINE_ATTRIBUTES }, {}, (engine, site) => {
  const { kind, workers, without } = engine;
  if (kind === "reference" && workers !== 1) site.fail("workers", 'not for kind="reference"', "1");
  if (kind === "reference" && without.length > 0) site.fail("without", 'not for kind="reference"', "no attribute without");
  return engine;
});

/** Whether packets of a family arrive: `::` alone is for both. The address may be another one, of a NAT. */
const takes = (listen: IpHost, { kind }: IpHost): boolean => listen.kind === kind || listen.text === "::";

const SECRET_FILE: ValueType<never> = {
  expected: 'credential-file="…" in its place, for each server another file, made with: i3-server ring admit',
  parse: () => new Refusal("is a secret that all servers of a ring share, which none does any more"),
};

const SERVER = element(
  {},
  {
    identity: one(IDENTITY),
    listen: implied(LISTEN),
    advertise: maybe(ipEndpoint(I3_PORT)),
    "advertise-other": maybe(ipEndpoint(I3_PORT)),
    ring: maybe(
      element({ "credential-file": required(FILE), "secret-file": retired(SECRET_FILE) }, { member: list(ENDPOINT, 0, MAX_MEMBERS) }, ({ credentialFile, member: members }) => ({
        credentialFile,
        members,
      })),
    ),
    fallback: maybe(element({ port: withDefault(PORT, 443), "certificate-file": required(FILE), "key-file": required(FILE) })),
    limits: implied(LIMITS),
    log: implied(LOG),
    engine: implied(ENGINE),
  },
  (config, site): ServerConfig => {
    const { listen, advertise, advertiseOther: other } = config;
    const fail = (problem: string, expected: string): never => site.failInside("advertise-other", site.line, problem, expected);
    if (other === undefined) return config;
    if (other.host.kind === advertise?.host.kind) return fail("of the same family as <advertise>", "an address of the other one");
    return takes(listen.host, other.host) ? config : fail(`nothing of its family arrives at <listen address="${listen.host.text}">`, 'listen address="::", which is for both');
  },
);

/**
 * Parses the configuration of a server.
 * @param input text, or bytes in UTF-8; at most 1 MiB
 * @param file its name: for errors, and what relative file names in it are relative to
 * @throws ConfigError, and nothing else
 */
export const parseServerConfig = (input: string | Uint8Array, file: string): ServerConfig =>
  readDocument({ root: "i3-server", element: SERVER, maxBytes: MAX_CONFIG_BYTES }, input, file);
