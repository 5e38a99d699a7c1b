/** `expiry`: what a client is told of a token's life, by the name of its library or in figures. */
import { formatDuration, parseDuration } from '../base/duration.ts'
import { nearest } from '../base/suggest.ts'
import type { Text } from '../base/text.ts'
import { floorMsDefault, isSdk, sdkMarginSeconds, type ToldExpiry } from '../model/told-expiry.ts'
import { problem, type Path } from './problem.ts'
import type { WrittenConfig } from './schema.ts'
import type { Checked } from './server-checks.ts'

type Written = WrittenConfig['compat']['expiry']

const dayMs = 86_400_000

export function checkExpiry(written: Written, path: Path): Checked<ToldExpiry | null> {
  if (written === undefined) return { value: null, problems: [] }
  if (typeof written === 'string') return ofSdk(written, path)
  const { sdk, margin, floor, cap } = written
  const known = sdk === undefined ? null : ofSdk(sdk, [...path, 'sdk'])
  const problems = [...(known?.problems ?? [])]
  const read = (key: string, value: string | number | undefined, otherwise: number): number => {
    if (value === undefined) return otherwise
    const ms = parseDuration(value)
    if (ms !== null && ms <= dayMs && ms % 1_000 === 0) return ms
    problems.push(problem('value_invalid', { path: [...path, key] }, badDuration))
    return otherwise
  }
  const marginMs = read('margin', margin, known?.value?.marginMs ?? 0)
  const floorMs = read('floor', floor, floorMsDefault)
  const capMs = read('cap', cap, Infinity)
  if (capMs <= marginMs) {
    problems.push(problem('value_invalid', { path: [...path, 'cap'] }, tooLow(marginMs), tooLowFix))
  }
  return { value: { marginMs, floorMs, capMs }, problems }
}

function ofSdk(name: string, path: Path): Checked<ToldExpiry | null> {
  if (isSdk(name)) {
    const marginMs = sdkMarginSeconds[name] * 1_000
    return { value: { marginMs, floorMs: floorMsDefault, capMs: Infinity }, problems: [] }
  }
  const names = Object.keys(sdkMarginSeconds)
  const close = nearest(name, names)
  const message = { en: `There is no preset "${name}".`, zh: `没有名为 "${name}" 的预设。` }
  const fix =
    close === null
      ? {
          en: `Known: ${names.join(', ')}. For any other: expiry: { margin: SECONDS }.`,
          zh: `可用：${names.join('、')}。其他 SDK 请写 expiry: { margin: 秒数 }。`,
        }
      : { en: `Did you mean "${close}"?`, zh: `是否想写 "${close}"？` }
  return { value: null, problems: [problem('value_invalid', { path }, message, fix)] }
}

const badDuration: Text = {
  en: 'It must be a duration in whole seconds, such as 200, 200s or 5m, of a day at most.',
  zh: '必须是以整秒计的时长，如 200、200s、5m，最长一天。',
}
const tooLow = (marginMs: number): Text => ({
  en: `The client takes ${formatDuration(marginMs)} off, so with this cap nothing would be left, and it would ask without end.`,
  zh: `该客户端会自行扣除 ${formatDuration(marginMs)}，这样的 cap 扣除后不剩任何时间，客户端会不停地重新请求。`,
})
const tooLowFix: Text = { en: 'Let cap be larger than margin.', zh: '请让 cap 大于 margin。' }
