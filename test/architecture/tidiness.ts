/** Shape of files: size, names, and exports that hide where things are. */
import ts from 'typescript'
import { lineOf, type Source, type Tree } from './source-tree.ts'
import { doors, type Breach } from './walls.ts'

const linesMax = 350

/** What is published under a name of its own (`zhongkong`, `zhongkong/simulator`) may gather exports. */
const entrances = ['src/index.ts', 'src/simulator.ts', 'src/client/index.ts']

const isDoor = (path: string): boolean =>
  Object.entries(doors).some(([room, files]) => files.some((file) => path === `src/${room}/${file}`))

const drawers = /^(utils?|helpers?|common|shared|types?|misc|lib)$/

export function untidy({ sources }: Tree): Breach[] {
  return sources.flatMap((source) => [...sizeOf(source), ...nameOf(source), ...exportsOf(source), ...purposeOf(source)])
}

function sizeOf({ path, text }: Source): Breach[] {
  const lines = text.replace(/\n$/, '').split('\n').length
  return lines > linesMax ? [{ rule: 'size', path, line: linesMax, what: `${lines} lines; split it by idea` }] : []
}

function nameOf({ path }: Source): Breach[] {
  const names = path
    .split('/')
    .slice(1)
    .map((part) => part.replace(/\.ts$/, ''))
  const drawer = names.find((name) => drawers.test(name))
  if (drawer !== undefined) return [{ rule: 'name', path, line: 1, what: `"${drawer}" says nothing of what is in it` }]
  const odd = names.find((name) => !/^[a-z0-9]+(-[a-z0-9]+)*$/.test(name))
  return odd === undefined ? [] : [{ rule: 'name', path, line: 1, what: `"${odd}" is not kebab-case` }]
}

function exportsOf({ path, tree }: Source): Breach[] {
  const found: Breach[] = []
  const passesOn = (statement: ts.Statement): boolean =>
    ts.isExportDeclaration(statement) && statement.moduleSpecifier !== undefined
  for (const statement of tree.statements) {
    if (isDefaultExport(statement)) {
      found.push({ rule: 'default', path, line: lineOf(tree, statement), what: 'exports have names' })
    }
    const isStar =
      ts.isExportDeclaration(statement) &&
      statement.moduleSpecifier !== undefined &&
      statement.exportClause === undefined
    // A door may show the types of its room; who imports them stands before the door anyway.
    const isTypesOfRoom = isStar && statement.isTypeOnly && isDoor(path)
    if (isStar && !isTypesOfRoom && !entrances.includes(path)) {
      found.push({ rule: 'barrel', path, line: lineOf(tree, statement), what: 'export * hides where things are' })
    }
  }
  const isBarrel =
    tree.statements.some(passesOn) && tree.statements.every((one) => passesOn(one) || ts.isImportDeclaration(one))
  if (isBarrel && !entrances.includes(path))
    found.push({ rule: 'barrel', path, line: 1, what: 'only passes on what others export' })
  return found
}

function isDefaultExport(statement: ts.Statement): boolean {
  if (ts.isExportAssignment(statement)) return true
  if (ts.canHaveModifiers(statement)) {
    const isDefault = ts.getModifiers(statement)?.some((modifier) => modifier.kind === ts.SyntaxKind.DefaultKeyword)
    if (isDefault === true) return true
  }
  if (!ts.isExportDeclaration(statement)) return false
  const clause = statement.exportClause
  return clause !== undefined && ts.isNamedExports(clause) && clause.elements.some((one) => one.name.text === 'default')
}

/** The first lines say what the file is for. */
function purposeOf({ path, text }: Source): Breach[] {
  const start = text.replace(/^#!.*\n/, '')
  return start.startsWith('/**') ? [] : [{ rule: 'purpose', path, line: 1, what: 'begin with what the file is for' }]
}
