// Puts the built addon and executable into this machine's package under npm/, so that `npm pack` or
// `npm publish` there gives a tarball that needs no cargo. Run by `npm run build`.
import { chmod, copyFile, readFile, readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

const root = path.dirname(import.meta.dirname ?? path.dirname(new URL(import.meta.url).pathname));
const addons = (await readdir(root)).filter((name) => /^pm2-rs\..+\.node$/.test(name));
if (addons.length === 0) throw new Error('there is no built addon in the root folder; run: npm run build');

for (const addon of addons) {
  const platform = addon.slice('pm2-rs.'.length, -'.node'.length);
  const folder = path.join(root, 'npm', platform);
  await copyFile(path.join(root, addon), path.join(folder, addon));
  await copyFile(path.join(root, 'pm2-rs'), path.join(folder, 'pm2-rs'));
  await chmod(path.join(folder, 'pm2-rs'), 0o755);

  // `napi create-npm-dirs` knows of the addon only.
  const manifest = path.join(folder, 'package.json');
  const text = await readFile(manifest, 'utf8');
  const content = JSON.parse(text);
  if (!content.files.includes('pm2-rs')) {
    content.files.push('pm2-rs');
    await writeFile(manifest, `${JSON.stringify(content, null, 2)}\n`);
  }
}
