/** Configurations and address books of a test, as text. */
import { parseAddressBook, parseIpText, parseProxyConfig, type AddressBook, type ProxyConfig } from "@i3/common";

const REQUIRED = '<identity key-file="k"/><state directory="s"/><servers><server address="192.0.2.1"/></servers>';

/** Its elements begin on line 2. */
export const config = (...lines: readonly string[]): ProxyConfig =>
  parseProxyConfig([`<i3-proxy version="1">${REQUIRED}`, ...lines, "</i3-proxy>"].join("\n"), "p.xml");

/** The first rule is on line 2. */
export const rulesOf = (...rules: readonly string[]): ProxyConfig["rules"] =>
  config(`<rules>${rules.map((attributes) => `<rule ${attributes}/>`).join("\n")}</rules>`).rules;

/** The first host is on line 2. */
export const bookOf = (...hosts: readonly string[]): AddressBook =>
  parseAddressBook(['<address-book version="1">', ...hosts.map((attributes) => `<host ${attributes}/>`), "</address-book>"].join("\n"), "b.xml");

export const hitOf = (text: string): Uint8Array => parseIpText(text) as Uint8Array;
