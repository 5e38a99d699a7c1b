/** The one list of sinks. */
import type { SinkConfig } from '../../model/sink.ts'
import * as file from './file.ts'
import * as kubernetes from './kubernetes.ts'
import * as redis from './redis.ts'
import type { Sink, SinkTools } from './sink.ts'
import * as webhook from './webhook.ts'

export function openSink(config: SinkConfig, tools: SinkTools): Sink {
  switch (config.kind) {
    case file.kind:
      return file.openSink(config, tools)
    case redis.kind:
      return redis.openSink(config, tools)
    case webhook.kind:
      return webhook.openSink(config, tools)
    case kubernetes.kind:
      return kubernetes.openSink(config, tools)
  }
}

/** How a sink is called where its configuration gives it no name: by its kind and its place among all, from 1. */
export function sinkName({ name, kind }: SinkConfig, index: number): string {
  return name ?? `${kind}-${index + 1}`
}
