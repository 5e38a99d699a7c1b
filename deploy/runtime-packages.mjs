// For the container's image: turns package.json into that of an installation which can use every store, so that
// `npm prune` keeps the drivers (optional elsewhere) and takes away what only building and testing need. SQLite is part
// of the image's Node, so the package that stands in for it on older ones goes as well.
import { readFileSync, writeFileSync } from 'node:fs'

const path = 'package.json'
const { devDependencies, optionalDependencies, peerDependencies, peerDependenciesMeta, ...kept } = JSON.parse(
  readFileSync(path, 'utf8'),
)
const drivers = Object.keys(peerDependenciesMeta)
const dependencies = { ...kept.dependencies }
for (const name of drivers) dependencies[name] = peerDependencies[name]
writeFileSync(path, `${JSON.stringify({ ...kept, dependencies }, null, 2)}\n`)
