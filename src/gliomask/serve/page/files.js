// What a user dropped or chose, as files with their paths. Knows nothing of where they go.

const PASSED_OVER = /^(\..*|Thumbs\.db|desktop\.ini)$/i;

/** Return [{file, path}] of an <input type="file">. */
export function chosen(input) {
  return [...input.files]
    .map((file) => ({ file, path: file.webkitRelativePath || file.name }))
    .filter(({ path }) => !path.split("/").some((name) => PASSED_OVER.test(name)));
}

/** Return [{file, path}] of what was dropped; folders are read to any depth. Call it while the drop is being handled. */
export async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ file, path: file.name }));
  const found = [];
  for (const entry of entries) await collect(entry, found);
  return found;
}

async function collect(entry, found) {
  if (PASSED_OVER.test(entry.name)) return;
  if (entry.isFile) {
    const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
    found.push({ file, path: entry.fullPath.replace(/^\//, "") });
    return;
  }
  const reader = entry.createReader();
  for (;;) { // a reader gives some hundred at a time, and nothing at the end
    const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
    if (!some.length) return;
    for (const each of some) await collect(each, found);
  }
}
