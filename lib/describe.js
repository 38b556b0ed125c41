'use strict'

/** What a value is, for people. */
function describe(value) {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return typeof value
  return kindOf(value) === 'Object' ? 'an object' : `an object of the class ${kindOf(value)}`
}

/** `Object`, `Date`, `Map`, `Null`, … also for what was made in another context. */
function kindOf(value) {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

module.exports = { describe, kindOf }
