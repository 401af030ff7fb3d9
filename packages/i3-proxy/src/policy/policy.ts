/**
 * How the packets of one peer are protected (architecture §7, the E2E paper's per-service granularity): of the rules that match its
 * name, in their order, the services, then what is left. Without I/O, for whoever sets up associations and programs the engine.
 */
import { bareName, MAX_SERVICES, protocolName, type OverlayRule, type PortRange, type ProxyRule, type Security, type Trust } from "@i3/common";

/** Packets of a protocol; with ports, those of which either port is one of them, so that both ends come to the same answer. */
export interface Service {
  /** IP protocol number. */
  readonly protocol: number;
  /** Ascending; empty: every port, and protocols without. */
  readonly ports: readonly PortRange[];
  readonly security: Security;
}

export interface PeerPolicy {
  /** The first that matches decides; at most {@link MAX_SERVICES}. */
  readonly services: readonly Service[];
  /** Of packets that no service takes; null: they are refused. */
  readonly rest: Security | null;
  readonly trust: Trust;
  readonly privateId: "shared" | "own";
  /** Packets may go past i3, if the peer allows that too. */
  readonly shortcut: boolean;
  /** Line of the first rule that found no place among the services; what it and later ones say is refused. Null: all have theirs. */
  readonly cutOffAt: number | null;
}

/** Of peers that called us, and that no rule names: encrypted, whatever they send, and without our address. */
export const UNNAMED_POLICY: PeerPolicy = Object.freeze({ services: Object.freeze([]), rest: "esp", trust: "book", privateId: "shared", shortcut: false, cutOffAt: null });

/** What of a packet a policy looks at; null for ports that it does not show: a later fragment. */
export interface PacketSelector {
  readonly protocol: number;
  readonly ports: { readonly source: number; readonly destination: number } | null;
}

/** Of strangers where a rule lets names in without protection. */
export const PLAIN_POLICY: PeerPolicy = Object.freeze({ ...UNNAMED_POLICY, rest: "none" });

/** The packet engine's word for each. */
export const STRENGTH = { none: 0, auth: 1, esp: 2 } as const satisfies Readonly<Record<Security, 0 | 1 | 2>>;

/**
 * The policy of one name, or null when it is not reached over i3: the first rule that matches says otherwise, or none does. What
 * matches behind a rule for the whole name is not looked at.
 */
export function policyFor(name: string, rules: readonly ProxyRule[]): PeerPolicy | null {
  const bare = bareName(name);
  if (bare === undefined) return null;
  const services: Service[] = [];
  let first: OverlayRule | undefined;
  let rest: Security | null = null;
  let cutOffAt: number | null = null;
  for (const rule of rules) {
    if (!rule.pattern.expression.test(bare)) continue;
    // A virtual address has no other way than the overlay: what services leave is refused, not sent past it.
    if (rule.go !== "i3") break;
    first ??= rule;
    if (rule.service === undefined) {
      rest = rule.security;
      break;
    }
    const { security, service: { protocols, ports } } = rule;
    if (services.length + protocols.length > MAX_SERVICES) {
      cutOffAt = rule.line;
      break;
    }
    for (const protocol of protocols) services.push(Object.freeze({ protocol, ports, security }));
  }
  if (first === undefined) return null;
  return Object.freeze({ services: Object.freeze(services), rest, trust: first.trust, privateId: first.privateId, shortcut: first.shortcut, cutOffAt });
}

const hasPort = ({ ports }: Service, port: number): boolean => ports.some(({ first, last }) => first <= port && port <= last);

/**
 * What a packet needs, or null when it is refused. A packet whose ports are not known gets the strongest that it could need. An ICMP
 * error is not a service of its own: ask for the packet that it quotes, or path MTU discovery fails where ICMP is refused.
 */
export function securityOf(policy: PeerPolicy, { protocol, ports }: PacketSelector): Security | null {
  let strongest: Security | null = null;
  for (const service of policy.services) {
    if (service.protocol !== protocol) continue;
    if (service.ports.length === 0) return stronger(strongest, service.security);
    if (ports === null) strongest = stronger(strongest, service.security);
    else if (hasPort(service, ports.source) || hasPort(service, ports.destination)) return service.security;
  }
  return stronger(strongest, policy.rest);
}

function stronger(a: Security | null, b: Security | null): Security | null {
  if (a === null || b === null) return a ?? b;
  return STRENGTH[a] >= STRENGTH[b] ? a : b;
}

/**
 * Whether a packet that came with one security may pass where a policy asks for another: more than asked for is always welcome, so
 * that two ends need not have the same rules. Null as asked for is a refusal.
 */
export const isEnough = (came: Security, asked: Security | null): boolean => asked !== null && STRENGTH[came] >= STRENGTH[asked];

/** Whether packets have to be looked at: otherwise all of them get the same. */
export const hasServices = ({ services, rest }: PeerPolicy): boolean => services.length > 0 || rest === null;

export const strengthsOf = (policy: PeerPolicy): readonly (0 | 1 | 2)[] => securitiesOf(policy).map((security) => STRENGTH[security]);

/** What decides how a peer is set up: "none" plainly, the others by HIP. A policy that refuses everything has nothing to send in clear. */
export const strongestOf = (policy: PeerPolicy): Security => securitiesOf(policy)[0] ?? "esp";

/** That of a host without i3: HIP has no cleartext, and more protection than asked for is welcome. */
export function withoutCleartext(policy: PeerPolicy): PeerPolicy {
  const atLeast = (security: Security): Security => (security === "none" ? "esp" : security);
  return Object.freeze({ ...policy, services: policy.services.map((service) => ({ ...service, security: atLeast(service.security) })), rest: policy.rest === null ? null : atLeast(policy.rest) });
}

/** That of a host which has both, one by each of two names: never less than either; where services differ the strongest for all packets. */
export function strongerPolicy(a: PeerPolicy, b: PeerPolicy): PeerPolicy {
  if (isSamePolicy(a, b)) return a;
  const [strongestA, strongestB] = [strongestOf(a), strongestOf(b)];
  const shortcut = a.shortcut && b.shortcut;
  if (isSameProtection(a, b)) return Object.freeze({ ...a, shortcut });
  return Object.freeze({ ...a, shortcut, services: Object.freeze([]), rest: STRENGTH[strongestA] >= STRENGTH[strongestB] ? strongestA : strongestB });
}

/** For people, in the order that decides: `icmp none`, `tcp 22,8000-8080 auth`, `rest esp`. */
export function servicesText({ services, rest }: PeerPolicy): readonly string[] {
  const texts = services.map(({ protocol, ports, security }) => {
    const at = ports.map(({ first, last }) => (first === last ? `${first}` : `${first}-${last}`)).join(",");
    return [protocolName(protocol), ...(at === "" ? [] : [at]), security].join(" ");
  });
  // ICMP is two protocols.
  return [...new Set(texts), `rest ${rest ?? "refused"}`];
}

/** Whether two policies protect the same packets in the same way, and let them go the same ways. */
export const isSamePolicy = (a: PeerPolicy, b: PeerPolicy): boolean => a === b || (a.shortcut === b.shortcut && isSameProtection(a, b));

const isSameProtection = (a: PeerPolicy, b: PeerPolicy): boolean => a.rest === b.rest && JSON.stringify(a.services) === JSON.stringify(b.services);

/** Which kinds of security a policy has, strongest first: with esp or auth among them a peer needs an association of each. */
export function securitiesOf({ services, rest }: PeerPolicy): readonly Security[] {
  const found = new Set(services.map(({ security }) => security));
  if (rest !== null) found.add(rest);
  return [...found].sort((a, b) => STRENGTH[b] - STRENGTH[a]);
}
