/**
 * `<rules>`: how names, and addresses (address-rules.ts), are reached, and how each service there is protected (architecture §7). The first rule that matches decides; a
 * rule that no name or packet can reach, or that contradicts an earlier one, is refused: nothing that was written is ignored.
 */
import { MAX_NAME_CHARACTERS } from "../normal-name.js";
import { checkAddressRules, PREFIXES, type AddressRule } from "./address-rules.js";
import { element, list, optional, required, type Site } from "./schema.js";
import { PORTS, PROTOCOL, serviceCovers, serviceOf, type ServiceSelector } from "./services.js";
import { dnsName, NAME_PATTERN, word, type NamePattern } from "./value-types.js";

const MAX_RULES = 1024;
/** Rules with a service for one name: each takes places in tables of the packet engine. */
export const MAX_SERVICES = 32;

/** esp: encrypted and authenticated; auth: authenticated, readable; none: in cleartext, as in the i3 paper. */
export type Security = "esp" | "auth" | "none";
/** How a name comes by its host key. book: the address book alone; first-use: the first key that answers to a name the book does not have. */
export type Trust = "book" | "first-use";

interface RuleBase {
  readonly pattern: NamePattern;
  /** In the configuration file, for messages about what a name matched. */
  readonly line: number;
}

export interface OverlayRule extends RuleBase {
  readonly go: "i3";
  /** What of a name's packets; undefined: all that are left. */
  readonly service: ServiceSelector | undefined;
  readonly security: Security;
  /** Of the first rule for a name, as are `privateId` and `shortcut`: a name has one key and one way. */
  readonly trust: Trust;
  /** One private id for all peers of this rule, or one for each. */
  readonly privateId: "shared" | "own";
  /** Whether packets may go straight to and from who has the name, past i3, if it allows that too: it sees our address then. */
  readonly shortcut: boolean;
}

/** Names that a gateway is asked for, and whose servers are behind it. */
export interface GatewayRule extends RuleBase {
  readonly go: "gateway";
  /** The gateway's own name, which an {@link OverlayRule} leads to: lower case. */
  readonly via: string;
}

/** Names that are reached by relays alone, with keys and addresses of their own (docs/anonymity.md). */
export interface AnonymousRule extends RuleBase {
  readonly go: "anonymous";
  /** The gateway that leads there, lower case; undefined: the name is a host of the overlay. */
  readonly via: string | undefined;
}

/** How names that match a pattern are reached. */
export type ProxyRule = (RuleBase & { readonly go: "direct" }) | OverlayRule | GatewayRule | AnonymousRule;

/** A rule, and what of it was written out. */
interface WrittenRule {
  readonly rule: ProxyRule;
  readonly trust: Trust | undefined;
  readonly privateId: "shared" | "own" | undefined;
  readonly shortcut: "yes" | "no" | undefined;
}

const RULE =
  element(
    {
      name: optional(NAME_PATTERN),
      address: optional(PREFIXES),
      go: required(word(["i3", "direct", "gateway", "anonymous"])),
      via: optional(dnsName(1)),
      "when-down": optional(word(["refuse", "direct"])),
      security: optional(word(["esp", "auth", "none"])),
      "private-id": optional(word(["shared", "own"])),
      shortcut: optional(word(["yes", "no"])),
      protocol: optional(PROTOCOL),
      ports: optional(PORTS),
      trust: optional(word(["book", "first-use"])),
    },
    {},
    ({ name: pattern, address: prefixes, go, via, whenDown, security, privateId, shortcut, protocol: protocols, ports, trust }, site): WrittenRule | AddressRule => {
      const { line } = site;
      const named = (): NamePattern => pattern ?? site.fail(undefined, "neither name nor address", "one of name and address");
      if (pattern !== undefined && prefixes !== undefined) site.fail("address", "given beside name", "one of name and address");
      if (prefixes !== undefined && go !== "gateway") site.fail("go", `"${go}" of addresses`, 'go="gateway" beside address', "What no rule sends to a gateway goes the ordinary way.");
      if (prefixes === undefined && whenDown !== undefined) site.fail("when-down", "given without address", "no attribute when-down, or address instead of name", "Names of a gateway that cannot be reached fail.");
      if (go !== "gateway" && go !== "anonymous" && via !== undefined) site.fail("via", `not for go="${go}"`, 'no attribute via, or go="gateway"');
      if (go !== "i3") {
        // A name is looked up before anybody knows which packets will follow.
        const given = { security, "private-id": privateId, shortcut, protocol: protocols, ports, trust };
        for (const [attribute, value] of Object.entries(given)) {
          if (value !== undefined) site.fail(attribute, `not for go="${go}"`, `no attribute ${attribute}`, go === "gateway" ? "It stands on the rule for the gateway's own name, and holds for all that goes by it." : undefined);
        }
        if (go === "direct") return { rule: Object.freeze({ pattern: named(), line, go }), trust, privateId, shortcut };
        if (go === "anonymous") return { rule: Object.freeze({ pattern: named(), line, go, via }), trust, privateId, shortcut };
        if (via === undefined) return site.fail("via", 'required for go="gateway"', 'via="office.i3", the name of the gateway');
        if (prefixes !== undefined) return Object.freeze({ prefixes, via, whenDown: whenDown ?? "refuse", line });
        return { rule: Object.freeze({ pattern: named(), line, go, via }), trust, privateId, shortcut };
      }
      const service = serviceOf(protocols, ports, site);
      if (trust === "first-use" && security === "none" && service === undefined) {
        site.fail("trust", 'first-use with security="none"', 'security="esp" or "auth"', "In cleartext nobody proves a key that could be remembered");
      }
      const rule: ProxyRule = { pattern: named(), line, go, service, security: security ?? "esp", trust: trust ?? "book", privateId: privateId ?? "shared", shortcut: shortcut !== "no" };
      return { rule: Object.freeze(rule), trust, privateId, shortcut };
    },
  );

/** The shortest name that a pattern of the common forms matches: a name as it is, or anything that ends in one. */
interface Sample {
  readonly kind: "name" | "ending";
  /** Lower case. */
  readonly name: string;
}

function sampleOf({ source }: NamePattern): Sample | undefined {
  const bare = source.replace(/^\^/, "").replace(/(?<!\\)\$$/, "");
  const match = /^(\.[*+])?((?:[A-Za-z0-9_-]|\\\.)*)$/.exec(bare);
  if (match === null) return undefined;
  const name = (match[2] ?? "").replaceAll("\\.", ".").toLowerCase();
  if (match[1] === undefined) return { kind: "name", name };
  // No name is empty.
  return { kind: "ending", name: match[1] === ".+" || name === "" ? `x${name}` : name };
}

/** A rule among the others of its file. */
interface PlacedRule extends WrittenRule {
  readonly sample: Sample | undefined;
}

/** Whether every name of `part` certainly is one of `whole`. False where that cannot be told from the patterns' common forms. */
function namesCover(whole: PlacedRule, part: PlacedRule): boolean {
  if (whole.rule.pattern.source === part.rule.pattern.source) return true;
  if (part.sample === undefined) return false;
  if (part.sample.kind === "ending") return whole.sample?.kind === "ending" && whole.rule.pattern.expression.test(part.sample.name);
  return whole.sample?.kind === "name" ? whole.sample.name === part.sample.name : whole.rule.pattern.expression.test(part.sample.name);
}

/** All rules: the first that matches a name decides, and the longest prefix that has an address. */
interface Rules {
  readonly names: readonly ProxyRule[];
  readonly addresses: readonly AddressRule[];
}

function checkRules(all: readonly (WrittenRule | AddressRule)[], site: Site): Rules {
  const earlier: PlacedRule[] = [];
  const addresses: { readonly rule: AddressRule; readonly place: number }[] = [];
  for (const [i, rule] of all.entries()) {
    if ("prefixes" in rule) {
      addresses.push({ rule, place: i + 1 });
      continue;
    }
    const here = { ...rule, sample: sampleOf(rule.rule.pattern) };
    checkRule(here, earlier, (problem, expected, remedy) => site.failInside(`rule[${i + 1}]`, here.rule.line, problem, expected, remedy));
    earlier.push(here);
  }
  const names = Object.freeze(earlier.map(({ rule }) => rule));
  for (const [i, each] of all.entries()) {
    const rule = "prefixes" in each ? each : each.rule;
    if ("prefixes" in rule || rule.go === "gateway") checkVia(rule.via, names, (problem, expected, remedy) => site.failInside(`rule[${i + 1}]`, rule.line, problem, expected, remedy));
  }
  checkAddressRules(addresses, site);
  return Object.freeze({ names, addresses: Object.freeze(addresses.map(({ rule }) => rule)) });
}

/** A gateway is a host like any other, but never in cleartext: there nobody sends beyond it. */
function checkVia(via: string, rules: readonly ProxyRule[], refuse: Refuse): void {
  const expected = 'a via that has a rule with go="i3" and security="esp" or "auth"';
  const first = findRule(rules, via);
  if (first === undefined) return refuse(`no rule matches its via, ${via}`, expected, `Add <rule name="${via.replaceAll(".", "\\.")}" go="i3"/> before rules that are for it too.`);
  if (first.go !== "i3") return refuse(`its via, ${via}, is matched first by line ${first.line}, which has go="${first.go}"`, expected, `Put <rule name="${via.replaceAll(".", "\\.")}" go="i3"/> before that line.`);
  const matching = rules.filter((rule) => rule.pattern.expression.test(via));
  const last = matching.findIndex((rule) => rule.go !== "i3" || rule.service === undefined);
  const ofVia = last < 0 ? matching : matching.slice(0, last + 1);
  if (ofVia.every((rule) => rule.go !== "i3" || rule.security === "none")) refuse(`its via, ${via}, has security="none" on line ${first.line}`, expected, "A gateway takes nothing in cleartext to send it on.");
}

type Refuse = (problem: string, expected: string, remedy?: string) => never;

function checkRule(here: PlacedRule, earlier: readonly PlacedRule[], refuse: Refuse): void {
  const { rule } = here;
  const same = earlier.filter((other) => namesCover(other, here));
  for (const { rule: { line, ...other } } of same) {
    if (other.go !== "i3" || (rule.go === "i3" && serviceCovers(other.service, rule.service)) || other.service === undefined) {
      refuse(`never used, because the rule on line ${line} matches first`, "no rule behind one that takes everything from it", "Put the narrower rule first.");
    }
    if (rule.go !== "i3") {
      refuse(`go="${rule.go}" for names that have a service over i3 by line ${line}`, 'one go for a name: go="i3" for the rest of its packets, or no rule for them');
    }
  }
  const first = same[0];
  if (first?.rule.go !== "i3" || rule.go !== "i3") return;
  const once = [["trust", here.trust, first.rule.trust], ["private-id", here.privateId, first.rule.privateId], ["shortcut", here.shortcut, first.rule.shortcut ? "yes" : "no"]] as const;
  for (const [attribute, value, decided] of once) {
    if (value === undefined || value === decided) continue;
    refuse(`${attribute}="${value}", where line ${first.rule.line} has ${decided} for the same names`, `${attribute} on the first rule for a name`);
  }
  if (rule.service !== undefined && same.length >= MAX_SERVICES) refuse("one service too many for a name", `at most ${MAX_SERVICES} rules with a protocol for a name`);
}

export const RULES = element({}, { rule: list(RULE, 0, MAX_RULES) }, ({ rule }, site): Rules => checkRules(rule, site));

/** Endings of names that ask for anonymity themselves (paper §3.1), before the suffix. */
export const ANONYMOUS_LABELS = ["anon", "relay"] as const;

/**
 * The first rule that makes names anonymous as they are: others would reach them in the ordinary way. Not a rule all of whose names have an ending, as far as its pattern shows that.
 * @param suffix as in dns
 */
export const anonymousAsTheyAre = (rules: readonly ProxyRule[], suffix: string): ProxyRule | undefined =>
  rules.find(({ go, pattern }) => go === "anonymous" && !alternativesOf(pattern.source).every((one) => ANONYMOUS_LABELS.some((label) => endsInName(one, `${label}.${suffix}`))));

/** Whether what a pattern matches certainly ends in a label or more before these. */
function endsInName(source: string, name: string): boolean {
  const end = `\\.${name.replaceAll(".", "\\.")}`;
  const bare = source.replace(/(?<!\\)\$$/, "").toLowerCase();
  return bare.endsWith(end) && !bare.slice(0, -end.length).endsWith("\\");
}

/** What stands between the `|` of a pattern that are in no parentheses and no brackets. */
function alternativesOf(source: string): readonly string[] {
  const found = [""];
  let [depth, isInBrackets] = [0, false];
  for (const [token] of source.matchAll(/\\[^]|[^]/g)) {
    if (token === "[") isInBrackets = true;
    else if (token === "]") isInBrackets = false;
    else if (!isInBrackets && (token === "(" || token === ")")) depth += token === "(" ? 1 : -1;
    if (token === "|" && !isInBrackets && depth === 0) found.push("");
    else found.push(`${found.pop() ?? ""}${token}`);
  }
  return found;
}

/**
 * The first rule whose pattern matches the whole name; its service is not looked at. Ignores case and one trailing dot; no rule
 * matches longer than a DNS name.
 */
export function findRule(rules: readonly ProxyRule[], name: string): ProxyRule | undefined {
  const bare = bareName(name);
  return bare === undefined ? undefined : rules.find((rule) => rule.pattern.expression.test(bare));
}

/** What patterns are held against, or undefined for longer text than a name. */
export function bareName(name: string): string | undefined {
  const bare = name.replace(/\.$/, "");
  return bare.length > MAX_NAME_CHARACTERS ? undefined : bare;
}
