// @ts-check
// What the repository rules look at: the files, the packages and, for each source file, its syntax tree and imports.
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import ts from 'typescript';
import { listFiles, listPackages, sourceExports } from '../test-projects.mjs';

/** @typedef {{ file: string, line: number, rule: string, message: string }} Problem */
/** @typedef {{ specifier: string, line: number }} Import */
/** @typedef {import('../test-projects.mjs').Package} Package */

export const SCRIPT_EXTENSION = /(?<!\.d)\.(ts|mts|mjs|js)$/;

export class Tree {
  /** @param {string} root */
  constructor(root) {
    this.root = root;
    /** Everything that the rules know, relative to the root. */
    this.files = ['packages', 'test', 'bench', 'scripts', 'deploy'].flatMap((directory) => listFiles(root, directory));
    this.packages = listPackages(root);
    /** @type {Map<string, ts.SourceFile>} */
    this.parsed = new Map();
  }

  /** @param {string} file */
  read(file) {
    return readFileSync(path.join(this.root, file), 'utf8');
  }

  /** @param {string} file */
  exists(file) {
    return existsSync(path.join(this.root, file));
  }

  /** @param {string} file @returns {any} a JSON file, with the comments that tsconfig files may have */
  readJson(file) {
    const { config, error } = ts.parseConfigFileTextToJson(file, this.read(file));
    if (error !== undefined) throw new Error(`${file}: ${ts.flattenDiagnosticMessageText(error.messageText, ' ')}`);
    return config;
  }

  /** @param {string} file */
  parse(file) {
    let tree = this.parsed.get(file);
    if (tree === undefined) {
      tree = ts.createSourceFile(file, this.read(file), ts.ScriptTarget.ESNext, true);
      this.parsed.set(file, tree);
    }
    return tree;
  }

  /** The TypeScript sources of the packages. */
  sources() {
    return this.files.filter((file) => /^packages\/[^/]+\/src\//.test(file) && SCRIPT_EXTENSION.test(file));
  }

  /** @param {string} file @returns {Package | undefined} */
  packageOf(file) {
    return this.packages.find(({ directory }) => file.startsWith(`${directory}/`));
  }

  /**
   * What a file imports: static and dynamic imports, type imports, re-exports, and `new URL('./x.js', import.meta.url)`,
   * which is how workers are started.
   * @param {string} file @returns {Import[]}
   */
  imports(file) {
    const tree = this.parse(file);
    /** @type {Import[]} */
    const found = [];
    /** @param {ts.Node | undefined} node */
    const add = (node) => {
      if (node !== undefined && ts.isStringLiteralLike(node)) found.push({ specifier: node.text, line: lineOf(tree, node) });
    };
    walk(tree, (node) => {
      if (ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) add(node.moduleSpecifier);
      else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) add(node.argument.literal);
      else if (ts.isExternalModuleReference(node)) add(node.expression);
      else if (ts.isCallExpression(node) && isImportCall(node)) add(node.arguments[0]);
      else if (ts.isNewExpression(node) && isModuleUrl(node)) add(node.arguments?.[0]);
    });
    return found;
  }

  /**
   * The source file that a specifier means, when it is one of this repository.
   * @param {string} from @param {string} specifier @returns {string | undefined}
   */
  resolve(from, specifier) {
    if (specifier.startsWith('.')) {
      const target = path.posix.join(path.posix.dirname(from), specifier);
      const candidates = [target.replace(/\.js$/, '.ts'), target.replace(/\.mjs$/, '.mts'), target];
      return candidates.find((candidate) => this.files.includes(candidate));
    }
    const exported = this.packages.flatMap(sourceExports).find(([name]) => name === specifier);
    return exported !== undefined && this.files.includes(exported[1]) ? exported[1] : undefined;
  }

  /**
   * Every file that is reached from some files by imports, these included.
   * @param {string[]} roots @returns {Set<string>}
   */
  reachable(roots) {
    const seen = new Set(roots.filter((file) => this.files.includes(file)));
    for (const file of seen) {
      if (!SCRIPT_EXTENSION.test(file)) continue;
      for (const { specifier } of this.imports(file)) {
        const target = this.resolve(file, specifier);
        if (target !== undefined) seen.add(target);
      }
    }
    return seen;
  }
}

/** @param {ts.Node} node @param {(node: ts.Node) => void} visit */
export function walk(node, visit) {
  visit(node);
  ts.forEachChild(node, (child) => walk(child, visit));
}

/** @param {ts.SourceFile} tree @param {ts.Node} node */
export function lineOf(tree, node) {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1;
}

/** @param {ts.CallExpression} call */
function isImportCall(call) {
  const { expression } = call;
  return expression.kind === ts.SyntaxKind.ImportKeyword || (ts.isIdentifier(expression) && expression.text === 'require');
}

/** @param {ts.NewExpression} node */
function isModuleUrl(node) {
  return ts.isIdentifier(node.expression) && node.expression.text === 'URL' && node.arguments?.[1]?.getText() === 'import.meta.url';
}
