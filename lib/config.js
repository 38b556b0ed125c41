'use strict'

// Configuration files: which texts name one, and what is in it. Code in them is evaluated in `evaluate.cjs`.
// Behaviour of PM2 7.0.4, specification `options.md` §5.

const path = require('node:path')

const later = {
  get evaluate() {
    return require('./evaluate.cjs')
  },
  get native() {
    return require('./native')
  }
}

// In the order PM2 looks; anywhere in the text counts, so `app.json5` and `x.json.bak` are found too.
const KINDS = [
  ['.json', readJson],
  ['.yml', readYaml],
  ['.yaml', readYaml],
  ['.config.js', readModule],
  ['.config.cjs', readModule],
  ['.config.mjs', readModule]
]

/** Whether PM2 takes this text for the name of a configuration file. */
function isConfigFile(text) {
  return KINDS.some(([part]) => text.includes(part))
}

/**
 * What a configuration file gives, as plain data that belongs to nobody else.
 *
 * @param file a text that `isConfigFile`
 * @param folder what the file is relative to; absent: the working directory, and errors name the file as given
 * @returns any value JSON can have
 * @throws for text that cannot be parsed, an error with the properties `file`, `line`, `column`, which count from 1
 */
async function loadConfig(file, folder) {
  const [, read] = KINDS.find(([part]) => file.includes(part))
  return read(folder === undefined ? file : path.resolve(folder, file))
}

async function readJson(file) {
  const { evaluateExpression, plain, readText } = later.evaluate
  const text = await readText(file)
  try {
    return plain(text)
  } catch {
    // Comments, trailing commas, single quotes, template literals: a JavaScript expression.
    return evaluateExpression(text, path.resolve(file))
  }
}

async function readYaml(file) {
  const { plain, readText } = later.evaluate
  const { error, json } = later.native.parseYaml(await readText(file))
  if (!error) return plain(json)
  const place = { file: path.resolve(file), line: error.line, column: error.column }
  const mistake = new Error(`${error.message} (${Object.values(place).join(':')})`)
  throw Object.assign(mistake, { name: 'YAMLException', ...place })
}

function readModule(file) {
  return later.evaluate.evaluateModule(file)
}

module.exports = { isConfigFile, loadConfig }
