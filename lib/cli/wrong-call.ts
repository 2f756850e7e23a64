/** A wrong call: one line on stderr, exit code 2. */
export class WrongCall extends Error {}
