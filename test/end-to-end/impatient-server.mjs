// `zhongkong serve -c FILE` with workers, whose supervisor gives up one that keeps silent for five seconds, not for half
// a minute: `node impatient-server.mjs FILE`. Uses the built sources.
import cluster from 'node:cluster'
import { fileURLToPath } from 'node:url'
import { readConfig } from '../../dist/src/cli/config-file.js'
import { recordingFiles } from '../../dist/src/cli/config-snapshot.js'
import { exitWith, processIo } from '../../dist/src/cli/process-io.js'
import { supervise } from '../../dist/src/cli/supervisor.js'

cluster.setupPrimary({ exec: fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url)) })
const io = processIo()
const place = { path: process.argv[2], overrides: { listen: '127.0.0.1:0' } }
const { files, readFile } = recordingFiles()
const { config } = await readConfig(place, io, readFile)
exitWith(await supervise({ config, files, place, io, warnings: [], pulse: { everyMs: 500, missedMax: 10 } }))
