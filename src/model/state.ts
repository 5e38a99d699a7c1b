/** One word for how a source is doing, as people see it. */
export type StateWord =
  'fresh' | 'due' | 'refreshing' | 'in-doubt' | 'failing' | 'waiting' | 'no-token' | 'needs-authorization'
