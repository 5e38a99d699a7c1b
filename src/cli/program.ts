/** The command line as commander sees it, built from the command modules and told in the reader's language. */
import { Argument, Command, CommanderError, Help, Option } from 'commander'
import type { Text } from '../base/text.ts'
import type { CommandInput, CommandModule, Io } from './command.ts'
import { usage } from './fault.ts'
import { widthOf, wrap } from './terminal.ts'

const summary: Text = {
  en: 'The central token server: fetches every platform token once, keeps it fresh, and gives it to everyone.',
  zh: 'access_token 中控服务器：由一处统一获取各平台的令牌，自动续期，供所有程序读取。',
}

const footer: Text = {
  en: `First steps:
  zhongkong demo                     see it work, without any account
  zhongkong check                    is zhongkong.yaml right?
  zhongkong serve                    run the server with zhongkong.yaml
  zhongkong COMMAND --help           options of one command

Languages: ZHONGKONG_LANG=zh or en; otherwise LC_ALL, LC_MESSAGES, LANG.
Exit codes: 0 ok, 1 failed, 2 wrong usage or configuration.`,
  zh: `入门：
  zhongkong demo                     无需任何账号，直接看效果
  zhongkong check                    检查 zhongkong.yaml 是否正确
  zhongkong serve                    用 zhongkong.yaml 运行服务器
  zhongkong 命令 --help              查看某个命令的选项

语言：ZHONGKONG_LANG=zh 或 en；未设置时依次看 LC_ALL、LC_MESSAGES、LANG。
退出码：0 成功，1 失败，2 用法或配置有误。`,
}

const titles: Readonly<Record<string, string>> = {
  'Usage:': '用法：',
  'Arguments:': '参数：',
  'Options:': '选项：',
  'Commands:': '命令：',
}

/**
 * Reads `argv` (without the program's own name) and runs the command it names. Resolves with the exit code; throws
 * `CliFault` for wrong usage and whatever the command throws. `onCommand` hears which command is about to run.
 */
export async function runProgram(
  modules: readonly CommandModule[],
  argv: readonly string[],
  io: Io,
  options: { readonly version: string; readonly onCommand?: (module: CommandModule) => void },
): Promise<number> {
  let exitCode = 0
  const program = rootCommand(io, options.version)
  for (const module of modules) {
    addCommand(program, module, io, async (input) => {
      options.onCommand?.(module)
      exitCode = await module.run(input, io)
    })
  }
  if (argv.length === 0) {
    for (const line of program.helpInformation().trimEnd().split('\n')) io.err(line)
    return 2
  }
  try {
    await program.parseAsync(argv, { from: 'user' })
  } catch (thrown) {
    if (!(thrown instanceof CommanderError)) throw thrown
    if (thrown.exitCode === 0) return 0
    throw asUsage(thrown)
  }
  return exitCode
}

function rootCommand(io: Io, version: string): Command {
  const say = (text: Text): string => text[io.language]
  const helpText = say({ en: 'show this help', zh: '显示帮助' })
  const program = new Command('zhongkong')
    .description(say(summary))
    .version(version, '-V, --version', say({ en: 'show the version', zh: '显示版本' }))
    .helpOption('-h, --help', helpText)
    .helpCommand('help [command]', say({ en: 'show the help of a command', zh: '显示某个命令的帮助' }))
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.out(text.replace(/\n$/, '')),
      // Faults are told by main, in the reader's language; commander's own wording is not shown.
      writeErr: () => undefined,
      getOutHelpWidth: () => helpColumns(io),
    })
    .configureHelp(helpStyle(io))
  program.addHelpText('after', `\n${say(footer)}`)
  return program
}

/** Help is for reading: lines longer than a hundred columns do not help. */
function helpColumns(io: Io): number {
  return Math.min(io.columns, 100)
}

function helpStyle(io: Io): Partial<Help> {
  return { ...commonStyle(io), ...(io.language === 'zh' ? chineseStyle : {}) }
}

/** A full-width colon takes no space after it, and commander writes one. */
const chineseStyle: Partial<Help> = {
  styleTitle: (title) => titles[title] ?? title,
  styleUsage: (usage) => usage.replace('[options]', '[选项]').replace('[command]', '[命令]'),
  formatHelp: (command, helper) => new Help().formatHelp(command, helper).replace(/^用法： /, '用法：'),
}

function commonStyle(io: Io): Partial<Help> {
  return {
    helpWidth: helpColumns(io),
    displayWidth: widthOf,
    boxWrap: wrap,
    subcommandTerm: (command) =>
      [command.name(), ...command.registeredArguments.map((one) => argumentTerm(one))].join(' '),
    optionDescription: (option) => {
      if (option.defaultValue === undefined) return option.description
      const value = String(option.defaultValue)
      return `${option.description}${io.language === 'zh' ? `（默认：${value}）` : ` (default: ${value})`}`
    },
  }
}

function argumentTerm(argument: Argument): string {
  return argument.required ? `<${argument.name()}>` : `[${argument.name()}]`
}

function addCommand(
  program: Command,
  module: CommandModule,
  io: Io,
  run: (input: CommandInput) => Promise<void>,
): void {
  const say = (text: Text): string => text[io.language]
  const command = new Command(module.name)
    .copyInheritedSettings(program)
    .description(say(module.summary))
    .allowExcessArguments(false)
    .helpOption('-h, --help', say({ en: 'show this help', zh: '显示帮助' }))
  for (const argument of module.args) {
    const name = argument.required ? `<${argument.name}>` : `[${argument.name}]`
    command.addArgument(new Argument(name, say(argument.summary)))
  }
  for (const option of module.options) {
    const made = new Option(option.flags, say(option.summary))
    command.addOption(option.defaultValue === undefined ? made : made.default(option.defaultValue))
  }
  if (module.notes !== undefined) command.addHelpText('after', `\n${say(module.notes)}`)
  command.action(async () => {
    await run({ args: module.args.map((_, index) => command.args[index]), options: command.opts() })
  })
  program.addCommand(command, { hidden: module.isInternal === true })
}

/** Commander's complaint in both languages. Its wording is stable within a major version; what is unknown is passed on. */
function asUsage(complaint: CommanderError): Error {
  const [first = '', ...rest] = complaint.message.replace(/^error: /, '').split('\n')
  const quoted = /'([^']*)'/.exec(first)?.[1] ?? ''
  const guesses = /\(Did you mean (?:one of )?(.*)\?\)/.exec(rest.join(' '))?.[1]
  const help: Text = { en: 'See: zhongkong --help', zh: '参见：zhongkong --help' }
  const fix: Text = guesses === undefined ? help : { en: `Did you mean ${guesses}?`, zh: `是否想输入 ${guesses}？` }
  switch (complaint.code) {
    case 'commander.unknownCommand':
      return usage({ en: `unknown command "${quoted}"`, zh: `未知命令 "${quoted}"` }, fix)
    case 'commander.unknownOption':
      return usage({ en: `unknown option "${quoted}"`, zh: `未知选项 "${quoted}"` }, fix)
    case 'commander.missingArgument':
      return usage({ en: `missing argument <${quoted}>`, zh: `缺少参数 <${quoted}>` }, fix)
    case 'commander.optionMissingArgument':
      return usage({ en: `option "${quoted}" needs a value`, zh: `选项 "${quoted}" 后面需要一个值` }, fix)
    case 'commander.excessArguments':
      return usage({ en: first, zh: '参数过多' }, fix)
    default:
      return usage({ en: first, zh: first }, fix)
  }
}
