/**
 * File formats as tables. A format is one `element(…)` with the attributes and children it may have; `readDocument` turns a
 * document into a frozen object of the type that follows from the table, or refuses it with file, line, path and what was
 * expected. Names become camel case: `key-file` is `keyFile`.
 */
import { ConfigError, shown } from "./config-error.js";
import { nearestName } from "./nearest-name.js";
import { parseXml, type XmlAttribute, type XmlElement } from "./xml-document.js";

/** Why a value is refused. Returned, not thrown, by {@link ValueType.parse}. */
export class Refusal {
  constructor(
    /** `is out of range`: continues the quoted value. */
    readonly why: string,
    /** What was probably meant. */
    readonly nearest?: string,
  ) {}
}

export interface ValueType<T> {
  /** Continues "expected": `a whole number from 1 to 65535`. */
  readonly expected: string;
  /** @param file the document's name, for types that depend on where it is */
  readonly parse: (text: string, file: string) => T | Refusal;
}

export interface Attribute<T> {
  readonly type: ValueType<T>;
  readonly required: boolean;
  /** What a missing attribute means. */
  readonly fallback: T | undefined;
  /** Of earlier versions: its type refuses it and says what is there now, and nobody is told to write it. */
  readonly retired?: true;
}

export const required = <T>(type: ValueType<T>): Attribute<T> => ({ type, required: true, fallback: undefined });
export const optional = <T>(type: ValueType<T>): Attribute<T | undefined> => ({ type, required: false, fallback: undefined });
export const retired = (type: ValueType<never>): Attribute<undefined> => ({ type, required: false, fallback: undefined, retired: true });
export const withDefault = <T>(type: ValueType<T>, fallback: T): Attribute<T> => ({ type, required: false, fallback });

/** What a child of an element becomes. */
export interface Child<T> {
  readonly element: ElementSchema<unknown>;
  readonly min: number;
  readonly max: number;
  /** The attribute that tells siblings apart: two with the same value are refused. */
  readonly unique: string | undefined;
  /** A missing element stands for an empty one. */
  readonly implied: boolean;
  readonly collect: (values: readonly unknown[]) => T;
}

const child = <T>(element: ElementSchema<unknown>, min: number, max: number, collect: Child<T>["collect"]): Child<T> => ({
  element,
  min,
  max,
  unique: undefined,
  implied: false,
  collect,
});

/** Exactly one. */
export const one = <T>(element: ElementSchema<T>): Child<T> => child(element, 1, 1, ([value]) => value as T);

/** One or none. */
export const maybe = <T>(element: ElementSchema<T>): Child<T | undefined> =>
  child(element, 0, 1, ([value]) => value as T | undefined);

/** One or none; none is the same as one without attributes and children. */
export const implied = <T>(element: ElementSchema<T>): Child<T> => ({
  ...child(element, 0, 1, ([value]) => value as T),
  implied: true,
});

/** From `min` to `max`, in their order. */
export const list = <T>(element: ElementSchema<T>, min: number, max: number, unique?: string): Child<readonly T[]> => ({
  ...child(element, min, max, (values) => Object.freeze(values as readonly T[])),
  unique,
});

type CamelCase<S extends string> = S extends `${infer Head}-${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : S;
type Attributes = Readonly<Record<string, Attribute<unknown>>>;
type Children = Readonly<Record<string, Child<unknown>>>;
type AttributeFields<A extends Attributes> = {
  readonly [K in keyof A & string as CamelCase<K>]: A[K] extends Attribute<infer T> ? T : never;
};
type ChildFields<C extends Children> = {
  readonly [K in keyof C & string as CamelCase<K>]: C[K] extends Child<infer T> ? T : never;
};
export type Fields<A extends Attributes, C extends Children> = AttributeFields<A> & ChildFields<C>;

/** The element a value is made from, for rules that a table cannot say. */
export interface Site {
  /** Of the element; 0 when it is implied. */
  readonly line: number;
  /** Place among all children of its parent, from 0: how siblings of different names keep their common order. */
  readonly position: number;
  /** Refuses the element, or one of its attributes. */
  fail(attribute: string | undefined, problem: string, expected: string, remedy?: string): never;
  /** Refuses something inside of it, for what only shows when its children are seen together: `rule[2]`, on its line. */
  failInside(below: string, line: number, problem: string, expected: string, remedy?: string): never;
}

export interface ElementSchema<T> {
  readonly attributes: Attributes;
  readonly children: Children;
  readonly make: (fields: Readonly<Record<string, unknown>>, site: Site) => T;
}

/**
 * One row of a format: an element's attributes and children.
 * @param make turns the fields into what the reader gets, and refuses what the table cannot express. @default the fields
 */
export function element<A extends Attributes, C extends Children = Record<never, never>>(
  attributes: A,
  children?: C,
): ElementSchema<Fields<A, C>>;
export function element<A extends Attributes, C extends Children, T>(
  attributes: A,
  children: C,
  make: (fields: Fields<A, C>, site: Site) => T,
): ElementSchema<T>;
export function element(
  attributes: Attributes,
  children: Children = {},
  make: ElementSchema<unknown>["make"] = (fields) => fields,
): ElementSchema<unknown> {
  return { attributes, children, make };
}

const camelCase = (name: string): string =>
  name.includes("-") ? name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) : name;
const namesOf = (names: readonly string[]): string => (names.length === 0 ? "none" : names.join(", "));
const tagsOf = (names: readonly string[]): string => namesOf(names.map((name) => `<${name}>`));
const didYouMean = (name: string | undefined): { readonly remedy?: string } =>
  name === undefined ? {} : { remedy: `Did you mean ${name}?` };

function occurrence(min: number, max: number, tag: string): string {
  if (max === 1) return `${min === 1 ? "exactly" : "at most"} one ${tag}`;
  return min === 0 ? `at most ${max} ${tag}` : `${min} to ${max} ${tag}`;
}

/** How an element is written, for messages about a missing one: `<identity key-file="…">`. */
function example(name: string, schema: ElementSchema<unknown>): string {
  const needed = Object.entries(schema.attributes).filter(([, attribute]) => attribute.required);
  return `<${name}${needed.map(([attribute]) => ` ${attribute}="…"`).join("")}>`;
}

/** What the children of one name have become so far. */
interface Siblings {
  readonly values: unknown[];
  readonly lines: number[];
  /** Value of the unique attribute → its line. */
  readonly seen: Map<unknown, number>;
}

class Reader {
  constructor(readonly file: string) {}

  fail(line: number, path: string, problem: string, expected: string, more: { readonly remedy?: string } = {}): never {
    throw new ConfigError({ file: this.file, line, path, expected }, problem, more);
  }

  /** @param xml undefined for an implied element: every attribute has its default */
  read<T>(schema: ElementSchema<T>, xml: XmlElement | undefined, path: string, parentLine = 0, position = 0): T {
    const line = xml?.line ?? parentLine;
    const fields: Record<string, unknown> = {};
    this.#attributes(schema, xml, line, path, fields);
    this.#children(schema, xml, line, path, fields);
    const attributeLine = (name: string): number => xml?.attributes.find((attribute) => attribute.name === name)?.line ?? line;
    const site: Site = {
      line: xml?.line ?? 0,
      position,
      fail: (name, problem, expected, remedy) =>
        name === undefined
          ? this.fail(line, path, problem, expected, { ...(remedy !== undefined && { remedy }) })
          : this.fail(attributeLine(name), `${path}/@${name}`, problem, expected, { ...(remedy !== undefined && { remedy }) }),
      failInside: (below, at, problem, expected, remedy) =>
        this.fail(at, `${path}/${below}`, problem, expected, { ...(remedy !== undefined && { remedy }) }),
    };
    const value = schema.make(fields, site);
    return typeof value === "object" ? Object.freeze(value) : value;
  }

  #attributes(
    schema: ElementSchema<unknown>,
    xml: XmlElement | undefined,
    line: number,
    path: string,
    fields: Record<string, unknown>,
  ): void {
    for (const attribute of xml?.attributes ?? []) {
      fields[camelCase(attribute.name)] = this.#attribute(schema, attribute, path);
    }
    for (const [name, attribute] of Object.entries(schema.attributes)) {
      const field = camelCase(name);
      if (Object.hasOwn(fields, field)) continue;
      if (attribute.required) this.fail(line, `${path}/@${name}`, "missing", attribute.type.expected);
      fields[field] = attribute.fallback;
    }
  }

  #attribute(schema: ElementSchema<unknown>, { name, value, line }: XmlAttribute, path: string): unknown {
    const known = Object.hasOwn(schema.attributes, name) ? schema.attributes[name] : undefined;
    if (known === undefined) {
      const names = Object.keys(schema.attributes).filter((other) => schema.attributes[other]?.retired !== true);
      this.fail(line, `${path}/@${name}`, "unknown attribute", namesOf(names), didYouMean(nearestName(name, names)));
    }
    const parsed = known.type.parse(value, this.file);
    if (!(parsed instanceof Refusal)) return parsed;
    this.fail(line, `${path}/@${name}`, `${shown(value)} ${parsed.why}`, known.type.expected, didYouMean(parsed.nearest));
  }

  #children(
    schema: ElementSchema<unknown>,
    xml: XmlElement | undefined,
    line: number,
    path: string,
    fields: Record<string, unknown>,
  ): void {
    const found = new Map<string, Siblings>(
      Object.keys(schema.children).map((name) => [name, { values: [], lines: [], seen: new Map() }]),
    );
    let position = 0;
    for (const part of xml?.children ?? []) {
      const rule = schema.children[part.name];
      const siblings = found.get(part.name);
      if (rule === undefined || siblings === undefined) {
        const names = [...found.keys()];
        const nearest = nearestName(part.name, names);
        const remedy = didYouMean(nearest === undefined ? undefined : `<${nearest}>`);
        this.fail(part.line, `${path}/${part.name}`, "unknown element", tagsOf(names), remedy);
      }
      this.#child(rule, part, siblings, path, position++);
    }
    for (const [name, rule] of Object.entries(schema.children)) {
      const values = found.get(name)?.values ?? [];
      if (values.length < rule.min) {
        this.fail(line, `${path}/${name}`, "missing", occurrence(rule.min, rule.max, example(name, rule.element)));
      }
      if (rule.implied && values.length === 0) values.push(this.read(rule.element, undefined, `${path}/${name}`, line));
      fields[camelCase(name)] = rule.collect(values);
    }
  }

  #child(rule: Child<unknown>, part: XmlElement, siblings: Siblings, path: string, position: number): void {
    const index = siblings.values.length + 1;
    const own = `${path}/${part.name}${rule.max > 1 || index > 1 ? `[${index}]` : ""}`;
    if (index > rule.max) {
      const problem = rule.max === 1 ? `already given on line ${siblings.lines[0]}` : "one too many";
      this.fail(part.line, own, problem, occurrence(rule.min, rule.max, `<${part.name}>`));
    }
    const value = this.read(rule.element, part, own, 0, position);
    siblings.values.push(value);
    if (rule.max === 1) siblings.lines.push(part.line);
    if (rule.unique !== undefined) this.#unique(rule.unique, value, part, siblings, own);
  }

  #unique(name: string, value: unknown, part: XmlElement, siblings: Siblings, path: string): void {
    const key = (value as Readonly<Record<string, unknown>>)[camelCase(name)];
    const line = part.attributes.find((attribute) => attribute.name === name)?.line ?? part.line;
    const first = siblings.seen.get(key);
    if (first !== undefined) {
      this.fail(line, `${path}/@${name}`, `${shown(String(key))} is already given on line ${first}`, `every ${name} once`);
    }
    siblings.seen.set(key, line);
  }
}

/** Every format is at its first version. A reader knows one version; what a later one means it cannot guess. */
const VERSION = "1";

/** Attributes with which editors find a schema: allowed on the root, and ignored. */
const EDITOR_ATTRIBUTES = new Map<string, RegExp>([
  ["xmlns:xsi", /^http:\/\/www\.w3\.org\/2001\/XMLSchema-instance$/],
  ["xsi:noNamespaceSchemaLocation", /^/],
]);

export interface DocumentSchema<T> {
  /** Name of the root element, which also has `version="1"`. */
  readonly root: string;
  readonly element: ElementSchema<T>;
  readonly maxBytes: number;
}

/**
 * Parses a document by its table.
 * @param input text, or bytes in UTF-8
 * @param file its name: for errors, and what relative names in it are relative to
 * @throws ConfigError, and nothing else
 */
export function readDocument<T>(schema: DocumentSchema<T>, input: string | Uint8Array, file: string): T {
  const xml = parseXml(input, file, schema.maxBytes);
  const reader: Reader = new Reader(file);
  const path = `/${schema.root}`;
  if (xml.name !== schema.root) {
    const remedy = didYouMean(nearestName(xml.name, [schema.root]));
    reader.fail(xml.line, `/${xml.name}`, "wrong root element", `<${schema.root} version="${VERSION}">`, remedy);
  }
  // Before everything else: a later version may have elements that are unknown here.
  const version = xml.attributes.find((attribute) => attribute.name === "version");
  const expected = `version="${VERSION}"`;
  if (version === undefined) reader.fail(xml.line, `${path}/@version`, "missing", expected);
  if (version.value !== VERSION) {
    reader.fail(version.line, `${path}/@version`, `unknown version ${shown(version.value)}`, expected);
  }
  const attributes = xml.attributes.filter(
    ({ name, value }) => name !== "version" && EDITOR_ATTRIBUTES.get(name)?.test(value) !== true,
  );
  return reader.read(schema.element, { ...xml, attributes }, path);
}
