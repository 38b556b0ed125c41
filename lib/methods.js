'use strict'

/**
 * Gives an instance its methods as own functions that need no `this`, so that
 * `const { list } = pm2` and `promisify(pm2.list)` work.
 *
 * They look the method up at each call: who patches the class, or extends it, is heard.
 */
function bindMethods(instance, prototype) {
  for (const name of Object.getOwnPropertyNames(prototype)) {
    if (name === 'constructor' || typeof Object.getOwnPropertyDescriptor(prototype, name).value !== 'function') continue
    const bound = { [name]: (...args) => Object.getPrototypeOf(instance)[name].apply(instance, args) }[name]
    Object.defineProperty(instance, name, { value: bound, writable: true, configurable: true, enumerable: false })
  }
}

module.exports = { bindMethods }
