/** A text for people, in both languages the project speaks. */
export type Text = { readonly en: string; readonly zh: string }

export type Language = keyof Text
