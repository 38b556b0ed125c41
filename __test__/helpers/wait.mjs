/** Polls until the condition gives something truthy, and gives that. */
export async function waitFor(condition, limit = 10_000) {
  const deadline = performance.now() + limit
  for (;;) {
    const found = await condition()
    if (found) return found
    if (performance.now() > deadline) throw new Error(`not within ${limit} ms: ${condition}`)
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
