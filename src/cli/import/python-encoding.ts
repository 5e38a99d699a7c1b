/** The text of a Python file: UTF-8, or what its coding line says, as old files from China are in GBK. */

const codings: Readonly<Record<string, string>> = {
  gbk: 'gbk',
  gb2312: 'gbk',
  cp936: 'gbk',
  gb18030: 'gb18030',
  big5: 'big5',
  'latin-1': 'latin1',
  'iso-8859-1': 'latin1',
}

/** null when the bytes are no text in that encoding. */
export function decodePython(bytes: Uint8Array): string | null {
  if (bytes.includes(0)) return null
  const head = Buffer.from(bytes.subarray(0, 512)).toString('latin1').split('\n').slice(0, 2).join('\n')
  const said = /^[ \t]*#.*?coding[:=][ \t]*([-\w.]+)/m.exec(head)?.[1]?.toLowerCase().replaceAll('_', '-') ?? 'utf-8'
  for (const encoding of [codings[said] ?? 'utf-8', 'utf-8']) {
    try {
      return new TextDecoder(encoding, { fatal: true }).decode(bytes)
    } catch {
      // The coding line may be wrong, as Python 2 did not check it in comments; UTF-8 is the second guess.
    }
  }
  return null
}
