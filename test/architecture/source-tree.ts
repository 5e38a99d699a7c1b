/** Source files as texts by path, from the disk or from a test, and what the walls need to know of each. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, posix, relative, sep } from 'node:path'
import ts from 'typescript'

export type Texts = ReadonlyMap<string, string>

export type Import = {
  /** As written. */
  readonly specifier: string
  /** The path of the imported file, for relative imports. */
  readonly target: string | null
  readonly isTypeOnly: boolean
  readonly names: readonly string[]
  /** `import * as x` or `import x`, through which everything may be reached. */
  readonly isWhole: boolean
  readonly line: number
}

export type Source = {
  readonly path: string
  readonly room: string
  readonly text: string
  readonly tree: ts.SourceFile
  readonly imports: readonly Import[]
}

export type Tree = { readonly sources: readonly Source[]; readonly checker: ts.TypeChecker }

export const repository = join(import.meta.dirname, '..', '..')

/** The program's own files: everything below `src` that is not a test. */
export function sourcesOnDisk(): Texts {
  const root = join(repository, 'src')
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const own = files.filter((file) => !file.endsWith('.test.ts'))
  return new Map(own.sort().map((file) => [slashed(join('src', file)), readFileSync(join(root, file), 'utf8')]))
}

function slashed(path: string): string {
  return path.split(sep).join('/')
}

/**
 * Parses the files and binds their names, without libraries and without following imports: a name that nothing in the
 * file declares is then a global, whatever it is called.
 */
export function parseTree(texts: Texts): Tree {
  const options: ts.CompilerOptions = {
    noLib: true,
    noResolve: true,
    types: [],
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.ESNext,
    moduleDetection: ts.ModuleDetectionKind.Force,
    allowImportingTsExtensions: true,
    noEmit: true,
  }
  const trees = new Map(
    [...texts].map(([path, text]) => [path, ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true)]),
  )
  const host: ts.CompilerHost = {
    getSourceFile: (path) => trees.get(relative('/', join('/', path))),
    getDefaultLibFileName: () => 'none',
    writeFile: () => undefined,
    getCurrentDirectory: () => '',
    getCanonicalFileName: (path) => path,
    useCaseSensitiveFileNames: () => true,
    getNewLine: () => '\n',
    fileExists: (path) => trees.has(path),
    readFile: (path) => texts.get(path),
  }
  const program = ts.createProgram([...texts.keys()], options, host)
  const sources = [...trees].map(([path, tree]) => ({
    path,
    room: roomOf(path),
    text: texts.get(path) ?? '',
    tree,
    imports: importsOf(tree, path),
  }))
  return { sources, checker: program.getTypeChecker() }
}

/** `src/keeper/views.ts` lies in `keeper`; files directly below `src` are `root`. */
export function roomOf(path: string): string {
  const parts = path.split('/')
  return parts[0] !== 'src' ? 'outside' : parts.length === 2 ? 'root' : (parts[1] ?? 'root')
}

export function lineOf(tree: ts.SourceFile, node: ts.Node): number {
  return tree.getLineAndCharacterOfPosition(node.getStart(tree)).line + 1
}

/** Every way in which a file names another: import, export from, `import()`, and `import('…')` in types. */
function importsOf(tree: ts.SourceFile, path: string): Import[] {
  const found: Import[] = []
  const add = (literal: ts.Node | undefined, rest: Omit<Import, 'specifier' | 'target' | 'line'>): void => {
    if (literal === undefined || !ts.isStringLiteralLike(literal)) return
    const target = literal.text.startsWith('.') ? posix.join(dirname(path), literal.text) : null
    found.push({ specifier: literal.text, target, line: lineOf(tree, literal), ...rest })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, clauseOf(node.importClause))
    } else if (ts.isExportDeclaration(node)) {
      const names =
        node.exportClause !== undefined && ts.isNamedExports(node.exportClause) ? node.exportClause.elements : []
      const isTypeOnly = node.isTypeOnly || (names.length > 0 && names.every((one) => one.isTypeOnly))
      const isWhole = node.exportClause === undefined || !ts.isNamedExports(node.exportClause)
      add(node.moduleSpecifier, { isTypeOnly, names: names.map((one) => (one.propertyName ?? one.name).text), isWhole })
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      add(node.arguments[0], { isTypeOnly: false, names: [], isWhole: true })
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, { isTypeOnly: true, names: [], isWhole: false })
    }
    ts.forEachChild(node, visit)
  }
  visit(tree)
  return found
}

function clauseOf(clause: ts.ImportClause | undefined): { isTypeOnly: boolean; names: string[]; isWhole: boolean } {
  if (clause === undefined) return { isTypeOnly: false, names: [], isWhole: false }
  const bindings = clause.namedBindings
  const elements = bindings !== undefined && ts.isNamedImports(bindings) ? [...bindings.elements] : []
  const isWhole = clause.name !== undefined || (bindings !== undefined && ts.isNamespaceImport(bindings))
  const isTypeOnly =
    clause.phaseModifier === ts.SyntaxKind.TypeKeyword ||
    (!isWhole && elements.length > 0 && elements.every((one) => one.isTypeOnly))
  const names = elements.filter((one) => !one.isTypeOnly).map((one) => (one.propertyName ?? one.name).text)
  return { isTypeOnly, names, isWhole }
}
