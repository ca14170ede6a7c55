/** A deadline may pass while an attempt is on its way; the call is then made again. */
export async function unlessOnItsWay<Outcome>(ask: () => Promise<Outcome>): Promise<Outcome> {
  for (let attempt = 1; ; attempt += 1) {
    const outcome = await ask()
    if (attempt === 10 || !String(outcome).includes('no answer within')) return outcome
  }
}
