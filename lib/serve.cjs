'use strict'

// The static file server behind `static` entries of configuration files and apps with `script: 'serve'`.
// It runs as a managed app of its own, and its text is part of the native executable: it requires only what
// comes with Node. Behaviour of PM2 7.0.4, specification `cli.md` §13 and `options.md` §5.2.

const { createHash, timingSafeEqual } = require('node:crypto')
const { constants } = require('node:fs')
const fs = require('node:fs/promises')
const http = require('node:http')
const path = require('node:path')
const { pipeline } = require('node:stream/promises')

const { env, argv } = process
const root = path.resolve(env.PM2_SERVE_PATH || argv[2] || '.')
const host = env.PM2_SERVE_HOST || '0.0.0.0'
const givenPort = Number.parseInt(env.PM2_SERVE_PORT || argv[3], 10)
const port = Number.isNaN(givenPort) ? 8080 : givenPort
const homepage = path.join(root, path.join('/', env.PM2_SERVE_HOMEPAGE || 'index.html'))
const singlePage = env.PM2_SERVE_SPA === 'true'
const showsFolders = env.PM2_SERVE_FTP === 'true'
const needsLogin = env.PM2_SERVE_BASIC_AUTH === 'true'
const login = needsLogin ? loginOf(env.PM2_SERVE_BASIC_AUTH_USERNAME, env.PM2_SERVE_BASIC_AUTH_PASSWORD) : null

/** How long downloads may go on after a signal to end; the daemon waits 1600 ms by default. */
const GRACE_MS = 1000

const CORS = { 'Access-Control-Allow-Origin': '*', 'Access-Control-Allow-Methods': 'GET' }
const CHALLENGE = { 'WWW-Authenticate': 'Basic realm="Authentication service"' }

// PM2's table, and after it what its table lacks and browsers insist on. Everything else is text/plain.
const TYPES = new Map(`
  application/atom+xml atom; application/font-sfnt otc otf ttf; application/font-woff woff woff2;
  application/java-archive ear jar war; application/javascript js; application/json json; application/mathml+xml mml;
  application/mbox mbox; application/msword doc dot; application/octet-stream a bin class dmg gem iso pkg so;
  application/ogg ogg; application/pdf pdf; application/pgp-encrypted pgp; application/pgp-signature asc sig;
  application/postscript ai eps ps; application/rdf+xml rdf; application/rss+xml rss; application/rtf rtf;
  application/vnd.ms-cab-compressed cab; application/vnd.ms-excel xls; application/vnd.ms-htmlhelp chm;
  application/vnd.ms-powerpoint pps ppt; application/vnd.oasis.opendocument.presentation odp;
  application/vnd.oasis.opendocument.spreadsheet ods; application/vnd.oasis.opendocument.text odt;
  application/wsdl+xml wsdl; application/x-bittorrent torrent; application/x-bzip-compressed-tar tbz;
  application/x-bzip2 bz2; application/x-debian-package deb; application/x-dvi dvi; application/x-gzip gz;
  application/x-java-jnlp-file jnlp; application/x-msdownload bat com dll exe msi; application/x-rar-compressed rar;
  application/x-redhat-package-manager rpm; application/x-sh sh; application/x-shockwave-flash swf;
  application/x-tar tar; application/x-tcl tcl; application/x-tex tex; application/x-texinfo texi texinfo;
  application/x-x509-ca-cert crt der pem; application/xhtml+xml xhtml; application/xml xml xsl;
  application/xml-dtd dtd; application/xslt+xml xslt; application/zip zip; audio/basic au snd; audio/midi mid midi;
  audio/mpeg mp3; audio/x-aiff aif aiff; audio/x-mpegurl m3u; audio/x-ms-wma wma; audio/x-pn-realaudio ra ram;
  audio/x-wav wav; image/bmp bmp; image/gif gif; image/jpeg jpeg jpg; image/png png; image/svg+xml svg svgz;
  image/tiff tif tiff; image/vnd.adobe.photoshop psd; image/vnd.djvu djv djvu; image/vnd.microsoft.icon ico;
  image/webp webp; image/x-portable-anymap pnm; image/x-portable-bitmap pbm; image/x-portable-graymap pgm;
  image/x-portable-pixmap ppm; image/x-xbitmap xbm; image/x-xpixmap xpm; message/rfc822 eml; model/vrml vrml wrl;
  text/calendar ics ifb; text/css css; text/csv csv; text/html htm html; text/sgml sgm sgml;
  text/troff man me ms roff t tr; text/x-asm asm s; text/x-c c cc cpp cxx h hh; text/x-diff diff;
  text/x-fortran f f77 f90 for; text/x-java-source java; text/x-pascal p pas; text/x-script.perl pl;
  text/x-script.perl-module pm; text/x-script.python py; text/x-script.ruby rb ru; text/x-vcalendar vcs;
  text/x-vcard vcf; text/yaml yaml yml; video/3gpp 3gp; video/mp4 m4v mp4; video/mpeg mpeg mpg;
  video/quicktime mov qt; video/x-flv flv; video/x-mng mng; video/x-ms-asf asf asx; video/x-ms-wmv wmv;
  video/x-ms-wmx wmx; video/x-msvideo avi;
  application/javascript mjs; application/manifest+json webmanifest; application/wasm wasm; image/avif avif;
  video/webm webm
`.split(';').flatMap((line) => {
  const [type, ...extensions] = line.trim().split(' ')
  return extensions.map((extension) => [extension, type])
}))

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    // A client that went away is nobody's fault.
    if (error.code === 'ERR_STREAM_PREMATURE_CLOSE') return
    // The address as it came, still encoded: whatever it names, it stays on one line.
    console.error(`[${new Date().toISOString()}] Error while serving ${request.url} : ${error.code ?? error.stack}`)
    if (response.headersSent) return response.destroy()
    response.writeHead(500).end(`Sorry, check with the site admin for error: ${error.code ?? error.name} ..\n`)
  })
})

async function answer(request, response) {
  if (needsLogin && !isLogin(request.headers.authorization)) return refuse(response, 401, CHALLENGE)
  let file, address
  try {
    ;({ file, address } = locate(request.url))
  } catch {
    return refuse(response, 400)
  }
  if (path.relative(root, file).split(path.sep)[0] === '..') return refuse(response, 403)

  const found = await find(file)
  if (found?.folder) return sendListing(response, found.folder, address)
  if (found) return send(request, response, 200, { 'Content-Type': typeOf(found.file), ...CORS }, found)
  const page = await open(path.join(root, '404.html')).catch(() => null)
  if (page?.handle) return send(request, response, 404, { 'Content-Type': 'text/html' }, page)
  refuse(response, 404)
}

/**
 * @returns `{file, address}`: the path an address names, which may be outside the root, and its part that names it
 * @throws when the address is malformed
 */
function locate(url) {
  // `//name` is a path here, not another host.
  const { pathname: address } = new URL(url.replace(/^[/\\]+/, '/'), 'http://localhost')
  const name = decodeURIComponent(address)
  if (name.includes('\0')) throw new URIError('no file name contains NUL')
  return { file: path.resolve(root, `./${name}`), address }
}

/** What there is for this path: an open file, a folder to list, or null. */
async function find(file) {
  const candidates = [file === root && !showsFolders ? homepage : file]
  // Deep addresses of a single page name its files relative to themselves.
  if (singlePage && file !== root) candidates.push(path.join(root, path.basename(file)), homepage)
  for (const candidate of candidates) {
    const found = await open(candidate)
    if (found) return found
  }
  return null
}

async function open(file) {
  let handle
  try {
    // A pipe would block until somebody writes to it.
    handle = await fs.open(file, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
  const stats = await handle.stat()
  if (stats.isFile()) return { file, handle, size: stats.size }
  await handle.close()
  if (stats.isDirectory() && showsFolders) return (await open(path.join(file, 'index.html'))) ?? { folder: file }
  throw Object.assign(new Error(`not a file: ${file}`), { code: stats.isDirectory() ? 'EISDIR' : 'EINVAL' })
}

async function send(request, response, status, headers, { handle, size }) {
  // Files of /proc and the like have contents, but no size.
  const range = size > 0 ? { start: 0, end: size - 1 } : {}
  response.writeHead(status, size > 0 ? { ...headers, 'Content-Length': size } : headers)
  if (request.method === 'HEAD') {
    await handle.close()
    return response.end()
  }
  const stream = handle.createReadStream(range)
  await pipeline(stream, response, { end: false })
  // A file that became shorter meanwhile: the client must not take the next answer for the rest.
  if (stream.bytesRead < size) response.destroy()
  else response.end()
}

function refuse(response, status, headers) {
  response.writeHead(status, { 'Content-Type': 'text/html', ...headers }).end(`${status} ${http.STATUS_CODES[status]}`)
}

async function sendListing(response, folder, address) {
  const names = (await fs.readdir(folder)).filter((name) => !name.startsWith('.'))
  // Links count as what they lead to; one that leads nowhere is left out.
  const entries = (await Promise.all(names.map(async (name) => {
    const stats = await fs.stat(path.join(folder, name)).catch(() => null)
    return stats && { name, stats, isFolder: stats.isDirectory() }
  }))).filter(Boolean).sort((a, b) => b.isFolder - a.isFolder || a.name.localeCompare(b.name))

  const rows = entries.map(({ name, stats, isFolder }) => {
    const slash = isFolder ? '/' : ''
    const time = stats.mtime.toISOString().replace('T', ' ').replace(/\..*/, '')
    return row(encodeURIComponent(name) + slash, escapeHtml(name) + slash, isFolder ? '-' : sizeText(stats.size), time)
  })
  if (folder !== root) rows.unshift(row('../', '../', '-', '-'))
  const title = `Index of /${folder === root ? '' : `${escapeHtml(path.relative(root, folder))}/`}`
  // Links are relative to the folder, also when its address lacks the last slash.
  const base = address.endsWith('/') ? '' : `<base href="./${escapeHtml(path.posix.basename(address))}/">`
  response.writeHead(200, { 'Content-Type': 'text/html', ...CORS }).end(`<!DOCTYPE html>
<html><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">${base}<title>${title}</title>
<style>:root{color-scheme:light dark}body{font:14px monospace;margin:2em}th,td{padding:2px 1em;text-align:left}</style>
</head><body><h1>${title}</h1><table><thead><tr><th>Name</th><th>Size</th><th>Last Modified</th></tr></thead><tbody>
${rows.join('\n')}
</tbody></table></body></html>
`)
}

function row(link, name, size, time) {
  return `<tr><td><a href="${link}">${name}</a></td><td>${size}</td><td>${time}</td></tr>`
}

function sizeText(bytes) {
  if (bytes < 1024) return `${bytes}B`
  const power = Math.min(Math.floor(Math.log2(bytes) / 10), 3)
  return `${(bytes / 1024 ** power).toFixed(1)}${'KMG'[power - 1]}`
}

function escapeHtml(text) {
  return text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`)
}

function typeOf(file) {
  return TYPES.get(path.extname(file).slice(1).toLowerCase()) ?? 'text/plain'
}

/** @returns null when one of both is missing: then nobody is let in */
function loginOf(...words) {
  if (words.every((word) => word && word !== 'null')) return digest(words.join(':'))
  console.error('Basic authentication is on without a user name and password: every request will be refused')
  return null
}

function isLogin(header = '') {
  const encoded = /^basic +(\S+)$/i.exec(header)?.[1]
  // Digests are of one length, which the comparison demands, and tell nothing of the password's.
  return Boolean(login && encoded) && timingSafeEqual(digest(Buffer.from(encoded, 'base64')), login)
}

function digest(text) {
  return createHash('sha256').update(text).digest()
}

function quit(error) {
  console.error(`Cannot serve ${root} on ${host}:${port} : ${error.message}`)
  process.exit(1)
}

function end() {
  server.close(() => process.exit(0))
  server.closeIdleConnections()
  setTimeout(() => process.exit(0), GRACE_MS)
}

for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, end)
server.on('error', quit)
try {
  server.listen(port, host, () => {
    console.log(`Exposing ${root} directory on ${host}:${server.address().port}`)
  })
} catch (error) {
  // A number that is no port.
  quit(error)
}
