/** What a ticket's definition says about signing pages. */
import { z } from 'zod'
import { parsePageDomain } from '../model/page-domain.ts'
import { problem } from './setting.ts'

const domainsMax = 100

/** The domains whose pages may ask for signatures without a key. */
export const pageDomains = z
  .array(
    z.string().transform((text, context) => {
      const domain = parsePageDomain(text)
      if (domain !== null) return domain
      problem(context, {
        en: 'It must be a domain such as shop.example.com or *.example.com, without https:// and without a path',
        zh: '必须是域名，如 shop.example.com 或 *.example.com，不带 https:// 和路径',
      })
      return z.NEVER
    }),
  )
  .max(domainsMax)
  .default([])
  .describe('Domains whose pages get signatures without an API key (/v1/jssdk/NAME); with a list, no other page does.')
