/**
 * XML text to a tree that knows its lines.
 *
 * xml2js builds the tree; its saxParser tells where things stand. xml2js copies the attributes of a start tag as it
 * gets them, so lines ride in two attributes whose names no document can contain.
 *
 * xml2js and sax let pass much that XML 1.0 does not, and our files mean one thing only, so the following is refused here:
 * document types and entities of one's own, processing instructions, duplicate attributes, second roots, text after the root,
 * text in elements (no format of ours has any), characters that XML forbids, encodings other than UTF-8, deep nesting.
 */
import { Parser } from "xml2js";
import { ConfigError, shown } from "./config-error.js";

/** Our formats are three deep. */
const MAX_DEPTH = 16;

export interface XmlAttribute {
  readonly name: string;
  readonly value: string;
  /** Of the attribute's name, 1 the first. */
  readonly line: number;
}

export interface XmlElement {
  readonly name: string;
  /** Of the `<`, 1 the first. */
  readonly line: number;
  readonly attributes: readonly XmlAttribute[];
  /** In the order of the document; made one by one as they are asked for. */
  readonly children: Iterable<XmlElement>;
}

const LINE = "#line";
const ATTRIBUTE_LINES = "#attribute-lines";
const NAME = "#name";
const ATTRIBUTES = "#attributes";
const CHILDREN = "#children";

/** A node as xml2js makes it with the options below. */
interface TreeNode {
  readonly [NAME]: string;
  /** LINE: a number. ATTRIBUTE_LINES: one line for each attribute, when they do not all stand on the element's. The rest: text. */
  readonly [ATTRIBUTES]: Readonly<Record<string, string | number | readonly number[]>>;
  readonly [CHILDREN]?: readonly TreeNode[];
}

interface SaxTag {
  readonly name: string;
  readonly attributes: Record<string, unknown>;
}

/** What we use of sax 1.x. */
interface Sax {
  /** 0 is the first. */
  readonly line: number;
  /** Characters read so far. */
  readonly position: number;
  /** `position` just behind the `<` of the current tag. */
  readonly startTagPosition: number;
  readonly tagName: string;
  onopentag: (tag: SaxTag) => void;
  onclosetag: (name: string) => void;
  ontext: (text: string) => void;
  oncdata: (text: string) => void;
  ondoctype: (doctype: string) => void;
  onsgmldeclaration: (declaration: string) => void;
  onprocessinginstruction: (instruction: { readonly name: string; readonly body: string }) => void;
  onerror: (error: Error) => void;
}

const lineBreaks = (text: string): number => text.split("\n").length - 1;

/** One attribute of a start tag that sax accepted. */
const ATTRIBUTE = /([^\s=<>"'/]+)\s*=\s*(?:"([^"]*)"|'([^']*)')/g;
/** What XML knows without a document type. */
const BAD_REFERENCE = /&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9a-fA-F]{1,6});)[^;\s"']{0,32};?/;
const BLANK = /^[ \t\n]*$/;
const BLANKS_AND_COMMENTS = /(?:[ \t\n]|<!--[^]*?-->)*/y;
/** What stands between `<?xml` and `?>` (XML 1.0 §2.8); the encoding in one of two groups. */
const DECLARATION =
  /^version\s*=\s*(?:"1\.0"|'1\.0')(?:\s+encoding\s*=\s*(?:"([\w.-]*)"|'([\w.-]*)'))?(?:\s+standalone\s*=\s*(?:"(?:yes|no)"|'(?:yes|no)'))?\s*$/;
const NO_XML_CHARACTER = /[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\u{10000}-\u{10FFFF}]/u;

/** Follows one parse and turns everything that is wrong into a ConfigError. */
class Locator {
  /** Outermost first. sax has its own list, which is a tag ahead when it reports text. */
  readonly #open: { readonly name: string; readonly line: number }[] = [];
  #rootClosed = false;
  #instructions = 0;
  /** Where the text between two tags begins. */
  #contentStart = 0;

  constructor(
    readonly text: string,
    readonly file: string,
    readonly sax: Sax,
  ) {}

  fail(line: number, problem: string, expected = "well-formed XML", below?: string): never {
    const names = this.#open.map((element) => element.name);
    const path = `/${(below === undefined ? names : [...names, below]).join("/")}`;
    throw new ConfigError({ file: this.file, line, path, expected }, problem);
  }

  /** Checks a start tag as it was written and notes its lines. */
  openTag(tag: SaxTag): void {
    const { sax, text } = this;
    const written = text.slice(sax.startTagPosition - 1, sax.position);
    const broken = written.includes("\n");
    const line = sax.line + 1 - (broken ? lineBreaks(written) : 0);
    if (this.#rootClosed) this.fail(line, `a second root element <${tag.name}>`, "one root element", tag.name);
    if (this.#open.length >= MAX_DEPTH) this.fail(line, "nested too deeply", `at most ${MAX_DEPTH} levels`, tag.name);
    if (!written.startsWith(tag.name, 1)) this.fail(line, "white space between < and the element's name", undefined, tag.name);
    const reference = BAD_REFERENCE.exec(written)?.[0];
    if (reference !== undefined) {
      this.fail(line, `unknown entity ${shown(reference)}`, "&amp; &lt; &gt; &quot; &apos; or &#NUMBER;", tag.name);
    }
    const lines = this.#attributeLines(tag, written, line, broken);
    this.#open.push({ name: tag.name, line });
    tag.attributes[LINE] = line;
    if (lines !== undefined) tag.attributes[ATTRIBUTE_LINES] = lines;
    this.#contentStart = sax.position;
  }

  #attributeLines(tag: SaxTag, written: string, line: number, broken: boolean): number[] | undefined {
    const seen = new Set<string>();
    const lines: number[] = [];
    const rest = written.slice(tag.name.length + 1);
    let at = line;
    let counted = 0;
    for (const match of rest.matchAll(ATTRIBUTE)) {
      const [, name = "", double, single] = match;
      if (broken) at += lineBreaks(rest.slice(counted, match.index));
      counted = match.index;
      if (seen.has(name)) this.fail(at, `attribute ${name} is given twice`, undefined, tag.name);
      if (!Object.hasOwn(tag.attributes, name)) this.fail(at, `attribute ${shown(name)} cannot be read`, undefined, tag.name);
      if ((double ?? single ?? "").includes("<")) this.fail(at, `< in the value of attribute ${name}`, "&lt;", tag.name);
      seen.add(name);
      lines.push(at);
    }
    return lines.every((at) => at === line) ? undefined : lines;
  }

  closeTag(): void {
    const { sax, text } = this;
    // sax takes "< /name>" for an end tag.
    if (/^<\s/.test(text.slice(sax.startTagPosition - 1, sax.startTagPosition + 1))) this.fail(sax.line + 1, "white space between < and the end of an element");
    this.#open.pop();
    this.#rootClosed = this.#open.length === 0;
    this.#contentStart = this.sax.position;
  }

  content(content: string): void {
    if (BLANK.test(content)) return;
    BLANKS_AND_COMMENTS.lastIndex = this.#contentStart;
    BLANKS_AND_COMMENTS.exec(this.text);
    const line = 1 + lineBreaks(this.text.slice(0, BLANKS_AND_COMMENTS.lastIndex));
    this.fail(line, `text ${shown(content.trim())}`, "elements and attributes only");
  }

  declaration(declaration: string): void {
    const line = this.sax.line + 1 - lineBreaks(declaration);
    this.fail(line, "a document type or declaration", "no <!…> except comments");
  }

  instruction(name: string, body: string): void {
    const line = this.sax.line + 1 - lineBreaks(body);
    if (name !== "xml" || this.#instructions++ > 0 || !this.text.startsWith("<?xml")) {
      this.fail(line, `processing instruction <?${name.slice(0, 32)}?>`, "an XML declaration at the very beginning, or none");
    }
    const declaration = DECLARATION.exec(body);
    if (declaration === null) this.fail(line, "an XML declaration that cannot be read", '<?xml version="1.0" encoding="UTF-8"?>');
    const encoding = declaration[1] ?? declaration[2] ?? "UTF-8";
    if (!/^utf-?8$/i.test(encoding)) this.fail(line, `encoding ${shown(encoding)}`, "UTF-8");
  }

  /** An error of sax: its first line says what, ours where. */
  malformed(error: Error): void {
    const { sax } = this;
    const what = error.message.split("\n")[0] ?? "";
    const open = this.#open.at(-1);
    if (open !== undefined) {
      if (what === "Unclosed root tag") this.fail(open.line, `<${open.name}> is never closed`);
      if (what === "Unexpected close tag") {
        this.fail(sax.line + 1, `</${sax.tagName}> where <${open.name}> of line ${open.line} is open`);
      }
    }
    this.fail(sax.line + 1, `${what.charAt(0).toLowerCase()}${what.slice(1)}`.replace(/\.$/, ""));
  }
}

/** Puts the locator in front of xml2js. Whatever it throws comes out of `parseString` or as the event "error". */
function attach(sax: Sax, locator: Locator): void {
  const { onopentag, onclosetag } = sax;
  sax.onopentag = (tag) => {
    locator.openTag(tag);
    onopentag(tag);
  };
  sax.onclosetag = (name) => {
    locator.closeTag();
    onclosetag(name);
  };
  // Only blanks get by, and those are not wanted either.
  sax.ontext = (text) => locator.content(text);
  sax.oncdata = (text) => locator.content(text);
  sax.ondoctype = (doctype) => locator.declaration(doctype);
  sax.onsgmldeclaration = (declaration) => locator.declaration(declaration);
  sax.onprocessinginstruction = ({ name, body }) => locator.instruction(name, body);
  // Not left to xml2js, which would go on parsing after the first error.
  sax.onerror = (error) => locator.malformed(error);
}

/**
 * sax makes values by appending characters, which leaves V8 a chain of one piece per character until somebody looks inside:
 * looking here keeps a large address book at a third of the memory.
 */
const flat = (value: string | number | readonly number[]): string | number | readonly number[] => {
  if (typeof value === "string") value.charCodeAt(0);
  return value;
};

function* childrenOf(node: TreeNode): Generator<XmlElement> {
  for (const child of node[CHILDREN] ?? []) yield toElement(child);
}

function toElement(node: TreeNode): XmlElement {
  const { [LINE]: elementLine, [ATTRIBUTE_LINES]: attributeLines, ...values } = node[ATTRIBUTES];
  const line = Number(elementLine);
  const lines = Array.isArray(attributeLines) ? (attributeLines as readonly number[]) : [];
  const attributes = Object.entries(values).map(([name, value], i) => ({ name, value: String(value), line: lines[i] ?? line }));
  return { name: node[NAME], line, attributes, children: { [Symbol.iterator]: () => childrenOf(node) } };
}

/** UTF-8 bytes to text without byte order mark; line ends become `\n` (XML 1.0 §2.11). Throws ConfigError. */
function decode(input: string | Uint8Array, file: string, maxBytes: number): string {
  const refuse = (line: number, problem: string, expected: string): never => {
    throw new ConfigError({ file, line, path: "/", expected }, problem);
  };
  const length = typeof input === "string" ? new TextEncoder().encode(input).length : input.length;
  if (length > maxBytes) refuse(0, `${length} bytes`, `at most ${maxBytes} bytes`);
  let text = "";
  try {
    text = typeof input === "string" ? input.replace(/^\uFEFF/, "") : new TextDecoder("utf-8", { fatal: true }).decode(input);
  } catch {
    refuse(1, "bytes that are not UTF-8", "XML text in UTF-8");
  }
  text = text.replace(/\r\n?/g, "\n");
  const forbidden = NO_XML_CHARACTER.exec(text);
  if (forbidden !== null) {
    const code = (forbidden[0].codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0");
    refuse(1 + lineBreaks(text.slice(0, forbidden.index)), `character U+${code}, which XML does not allow`, "XML text in UTF-8");
  }
  if (BLANK.test(text)) refuse(1, "the file is empty", "an XML document");
  return text;
}

/**
 * Parses a document of ours and returns its root.
 * @param input text, or bytes in UTF-8
 * @param file its name, for errors
 * @throws ConfigError, and nothing else
 */
export function parseXml(input: string | Uint8Array, file: string, maxBytes: number): XmlElement {
  const text = decode(input, file, maxBytes);
  const parser = new Parser({
    strict: true,
    attrkey: ATTRIBUTES,
    charkey: "#text",
    childkey: CHILDREN,
    explicitChildren: true,
    preserveChildrenOrder: true,
    explicitRoot: false,
    attrValueProcessors: [flat],
  }) as Parser & { readonly saxParser: Sax };
  const locator = new Locator(text, file, parser.saxParser);
  attach(parser.saxParser, locator);

  let root: TreeNode | undefined;
  let failure: unknown;
  parser.on("end", (result: TreeNode | null) => (root ??= result ?? undefined));
  parser.on("error", (error: unknown) => (failure ??= error));
  try {
    parser.parseString(text);
  } catch (error) {
    failure ??= error;
  }
  if (failure instanceof ConfigError) throw failure;
  if (failure !== undefined || root === undefined) {
    const site = { file, line: Math.max(1, parser.saxParser.line + 1), path: "/", expected: "well-formed XML" };
    throw new ConfigError(site, root === undefined && failure === undefined ? "no root element" : "cannot be parsed", { cause: failure });
  }
  return toElement(root);
}
