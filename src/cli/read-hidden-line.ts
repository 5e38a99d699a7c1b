/** One line from standard input; on a terminal, without showing what is typed. */
import { stdin, stderr } from 'node:process'
import { usage } from './fault.ts'

/** Longer input is no key. */
const lengthMax = 4_096

/** The first line for a terminal, the whole input otherwise. */
export async function readHiddenLine(prompt: string, signal: AbortSignal): Promise<string> {
  const isTerminal = stdin.isTTY
  if (isTerminal) {
    stderr.write(prompt)
    stdin.setRawMode(true)
  }
  try {
    return await read(isTerminal, signal)
  } finally {
    if (isTerminal) {
      stdin.setRawMode(false)
      stderr.write('\n')
    }
    stdin.destroy()
  }
}

async function read(isTerminal: boolean, signal: AbortSignal): Promise<string> {
  let text = ''
  const stop = (): void => void stdin.destroy()
  signal.addEventListener('abort', stop, { once: true })
  try {
    for await (const chunk of stdin.setEncoding('utf8')) {
      text += String(chunk)
      if (text.length > lengthMax) throw usage({ en: 'that is too long for a key', zh: '输入过长，不是密钥' })
      if (!isTerminal) continue
      // Raw mode hands over Ctrl-C, Ctrl-D and Backspace as characters.
      if (/[\u0003\u0004]/.test(text)) throw usage({ en: 'stopped', zh: '已取消' })
      while (/[^\u007f\b][\u007f\b]/.test(text)) text = text.replace(/[^\u007f\b][\u007f\b]/, '')
      text = text.replace(/^[\u007f\b]+/, '')
      const end = text.search(/[\r\n]/)
      if (end !== -1) return text.slice(0, end)
    }
    return text
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
