/**
 * The content of a message as fields: XML or JSON, whichever it begins with. Of XML only what platforms send is read:
 * elements without attributes, text and CDATA. Everything else (document types, entities, instructions, comments) is
 * refused before a parser sees it.
 */
import { XMLParser } from 'fast-xml-parser'
import { isJsonObject, type JsonObject } from '../base/json.ts'

/** How deep elements, objects and lists may be inside each other. Platforms send four levels. */
const depthMax = 16

const parser = new XMLParser({ processEntities: false, parseTagValue: false, ignoreAttributes: true })

/** The fields of a message, or null when it is neither. */
export function readFields(text: string): JsonObject | null {
  const content = text.trim()
  if (content.startsWith('{')) return readJson(content)
  return content.startsWith('<') ? readXml(content) : null
}

/** A JSON object without `__proto__`, at most `depthMax` deep; null for anything else. */
export function readJson(text: string): JsonObject | null {
  if (!isShallow(text)) return null
  try {
    const value: unknown = JSON.parse(text, (key, inner: unknown) => (key === '__proto__' ? undefined : inner))
    return isJsonObject(value) ? value : null
  } catch {
    return null
  }
}

/**
 * Counted before parsing, as it is the visit of every level afterwards that takes long; and by hand, as an expression that
 * skips strings goes back over unfinished ones again and again.
 */
function isShallow(text: string): boolean {
  let depth = 0
  let isText = false
  for (let at = 0; at < text.length; at += 1) {
    const character = text[at]
    if (isText && character === '\\') at += 1
    else if (character === '"') isText = !isText
    else if (isText) continue
    else if (character === '{' || character === '[') depth += 1
    else if (character === '}' || character === ']') depth -= 1
    if (depth > depthMax) return false
  }
  return true
}

/** What is in the one root element, such as `<xml>`. */
function readXml(text: string): JsonObject | null {
  const body = text.replace(/^<\?xml\s[^<>?]*\?>\s*/, '')
  if (!isPlainXml(body)) return null
  try {
    const root: unknown = Object.values(parser.parse(body) as Record<string, unknown>)[0]
    return isJsonObject(root) ? root : null
  } catch {
    return null
  }
}

/** An element's beginning or end, without attributes, or a CDATA section. */
const markup = /<(?:(\/?)([A-Za-z_][\w.-]{0,63})\s{0,8}(\/?)>|!\[CDATA\[)/y

/** One element, properly closed, at most `depthMax` deep, with nothing but elements, text and CDATA in it. */
function isPlainXml(text: string): boolean {
  const open: string[] = []
  for (let at = 0; at < text.length;) {
    markup.lastIndex = at
    const found = markup.exec(text)
    if (found === null) return false
    const [whole, isEnd, name, isEmpty] = found
    at += whole.length
    if (name === undefined) {
      const end = text.indexOf(']]>', at)
      if (end === -1 || open.length === 0) return false
      at = end + 3
    } else if (isEnd === '/') {
      if (isEmpty === '/' || open.pop() !== name) return false
      if (open.length === 0) return text.slice(at).trim() === ''
    } else if (isEmpty !== '/') {
      open.push(name)
      if (open.length > depthMax) return false
    } else if (open.length === 0) return false
    const next = text.indexOf('<', at)
    if (next === -1) return false
    at = next
  }
  return false
}
