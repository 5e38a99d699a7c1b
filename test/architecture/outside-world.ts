/** Clock, chance, network and environment enter as parameters. Here is what counts as reaching for them directly. */
import ts from 'typescript'
import { lineOf, type Import, type Source, type Tree } from './source-tree.ts'
import type { Breach } from './walls.ts'

/** The files that are the real world. Everything else receives it. */
const mayTouch: readonly RegExp[] = [
  /^src\/base\/real-env\.ts$/,
  /^src\/http\/listen(-plain)?\.ts$/,
  /^src\/cli\//,
  // The client runs where there is no Env; it has one of its own.
  /^src\/client\/world\.ts$/,
  // The store drivers: what opens a database, groups its commits, and reads the machine's own clock for it.
  /^src\/stores\/(sqlite[a-z-]*|group-commit|host-uptime)\.ts$/,
]

const globals = new Set(
  [
    'setTimeout',
    'setInterval',
    'setImmediate',
    'fetch',
    'performance',
    'crypto',
    'globalThis',
    'global',
    'window',
  ].concat(['self', 'WebSocket', 'EventSource', 'XMLHttpRequest', 'navigator', 'require', 'eval']),
)

/** Members of globals that are otherwise harmless. */
const members: Readonly<Record<string, readonly string[]>> = {
  Date: ['now'],
  Math: ['random'],
  AbortSignal: ['timeout'],
  process: ['env', 'hrtime', 'uptime', 'argv', 'exit', 'loadEnvFile'],
}

const modules = new Set(
  [
    'timers',
    'timers/promises',
    'http',
    'https',
    'http2',
    'net',
    'tls',
    'dgram',
    'dns',
    'dns/promises',
    'perf_hooks',
    'process',
  ]
    .concat(['child_process', 'cluster', 'worker_threads', 'vm', 'repl', 'module', 'inspector'])
    .map((name) => `node:${name}`)
    .concat(['undici', '@hono/node-server']),
)

/** Names of such modules that ask nothing of the world. */
const harmless = ['isIP', 'isIPv4', 'isIPv6', 'BlockList', 'SocketAddress', 'STATUS_CODES']

const chance = [
  'randomBytes',
  'randomUUID',
  'randomInt',
  'randomFill',
  'randomFillSync',
  'getRandomValues',
  'webcrypto',
].concat(['generateKey', 'generateKeySync', 'generateKeyPair', 'generateKeyPairSync'])

export function outsideBreaches({ sources, checker }: Tree): Breach[] {
  return sources
    .filter((source) => !mayTouch.some((pattern) => pattern.test(source.path)))
    .flatMap((source) => [...uses(source, checker), ...source.imports.flatMap((one) => importUse(source, one))])
}

function importUse(source: Source, one: Import): Breach[] {
  if (one.isTypeOnly) return []
  const isCrypto = one.specifier === 'node:crypto'
  const names = one.names.filter((name) => (isCrypto ? chance.includes(name) : !harmless.includes(name)))
  const isBad = isCrypto
    ? one.isWhole || names.length > 0
    : modules.has(one.specifier) && (one.isWhole || names.length > 0)
  if (!isBad) return []
  return [{ rule: 'outside', path: source.path, line: one.line, what: `${one.specifier} ${names.join(', ')}`.trim() }]
}

function uses(source: Source, checker: ts.TypeChecker): Breach[] {
  const found: Breach[] = []
  const report = (node: ts.Node, what: string): void => {
    found.push({ rule: 'outside', path: source.path, line: lineOf(source.tree, node), what })
  }
  const visit = (node: ts.Node): void => {
    if (ts.isIdentifier(node) && isGlobal(node, checker)) {
      const use = globalUse(node)
      if (use !== null) report(node, use)
    }
    ts.forEachChild(node, visit)
  }
  visit(source.tree)
  return found
}

/** True when the identifier stands for a value that nothing in the file declares. */
function isGlobal(node: ts.Identifier, checker: ts.TypeChecker): boolean {
  const parent = node.parent
  if (ts.isPropertyAccessExpression(parent) && parent.name === node) return false
  if (ts.isQualifiedName(parent) || ts.isTypeReferenceNode(parent) || ts.isTypeQueryNode(parent)) return false
  if (ts.isShorthandPropertyAssignment(parent)) return checker.getShorthandAssignmentValueSymbol(parent) === undefined
  if (ts.isExportSpecifier(parent) || ts.isImportSpecifier(parent) || ts.isBindingElement(parent)) {
    return ts.isBindingElement(parent) && parent.initializer === node && unresolved(node, checker)
  }
  const isName = 'name' in parent && parent.name === node
  return !isName && unresolved(node, checker)
}

function unresolved(node: ts.Identifier, checker: ts.TypeChecker): boolean {
  const symbol = checker.getSymbolAtLocation(node)
  return symbol?.declarations === undefined || symbol.declarations.length === 0
}

function globalUse(node: ts.Identifier): string | null {
  const name = node.text
  if (globals.has(name)) return name
  const parent = node.parent
  if (name === 'Date' && ts.isNewExpression(parent)) return (parent.arguments ?? []).length === 0 ? 'new Date()' : null
  if (name === 'Date' && ts.isCallExpression(parent) && parent.expression === node) return 'Date()'
  const known = members[name]
  if (known === undefined) return null
  if (ts.isPropertyAccessExpression(parent)) {
    return known.includes(parent.name.text) ? `${name}.${parent.name.text}` : null
  }
  if (ts.isElementAccessExpression(parent) && parent.expression === node) return `${name}[…]`
  // `instanceof Date` and the like are harmless; handing the whole object on is not.
  const isHandedOn =
    ts.isVariableDeclaration(parent) ||
    ts.isCallExpression(parent) ||
    ts.isPropertyAssignment(parent) ||
    ts.isShorthandPropertyAssignment(parent)
  return isHandedOn ? name : null
}
