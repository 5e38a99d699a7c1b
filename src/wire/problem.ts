/** RFC 9457 problem details, as every error of `/v1` is told. */
export type Problem = {
  readonly type: 'about:blank'
  readonly title: string
  readonly status: number
  /** A code of docs/errors.md. */
  readonly code: string
  readonly detail: string
  readonly hint?: string
  readonly upstream?: { readonly errcode: string | number; readonly errmsg: string }
}
