// Encodes bus messages the way a PM2 daemon does.

export function frame(...args) {
  const parts = [Buffer.from([0x10 | args.length])]
  for (const argument of args) {
    const bytes = Buffer.isBuffer(argument) ? argument : Buffer.from(argument)
    const length = Buffer.alloc(4)
    length.writeUInt32BE(bytes.length)
    parts.push(length, bytes)
  }
  return Buffer.concat(parts)
}

export function event(topic, packet) {
  return frame(`s:${topic}`, `j:${JSON.stringify(packet)}`)
}
