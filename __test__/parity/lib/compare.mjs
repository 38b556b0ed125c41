// Compares two normalised recordings field by field.

const absent = Symbol('absent')

/** @returns {Array<{path: string, left: any, right: any}>}  `undefined` stands for a field that is not there */
export function compare(left, right) {
  const found = []
  walk(left, right, [], found)
  return found
}

function walk(left, right, at, found) {
  if (left === right) return
  if (isTree(left) && isTree(right) && Array.isArray(left) === Array.isArray(right)) {
    for (const key of new Set([...Object.keys(left), ...Object.keys(right)])) {
      const of = (tree) => (Object.hasOwn(tree, key) ? tree[key] : absent)
      walk(of(left), of(right), [...at, key], found)
    }
    return
  }
  found.push({
    path: at.map((part) => String(part).replaceAll('/', '∕')).join('/'),
    left: left === absent ? undefined : left,
    right: right === absent ? undefined : right,
  })
}

function isTree(value) {
  return value !== null && typeof value === 'object'
}

/** Sorts findings into those a listed difference explains and those none does. */
export function explain(scenario, found, differences) {
  const unexplained = []
  const used = new Set()
  for (const item of found) {
    const entry = differences.find((difference) => covers(difference, scenario, item))
    if (entry) used.add(entry.id)
    else unexplained.push(item)
  }
  return { unexplained, used }
}

function covers(difference, scenario, { path, left, right }) {
  return difference.scenario.test(scenario) && difference.path.test(path) && (!difference.when || difference.when(left, right))
}

/** Readable text of findings, at most `most` of them. */
export function print(found, leftName, rightName, most = 40) {
  const width = Math.max(leftName.length, rightName.length)
  const lines = found.slice(0, most).flatMap(({ path, left, right }) => [
    `    ${path}`,
    `      ${leftName.padEnd(width)}  ${short(left)}`,
    `      ${rightName.padEnd(width)}  ${short(right)}`,
  ])
  if (found.length > most) lines.push(`    … and ${found.length - most} more`)
  return lines.join('\n')
}

function short(value) {
  const text = value === undefined ? '(absent)' : JSON.stringify(value)
  return text.length > 300 ? `${text.slice(0, 297)}…` : text
}
