// Talks to gliomask: asks, and sends files. Errors are what it says of them.

const AT_ONCE = 3;
const ENDS_ALL = new Set([403, 404, 409, 413, 507, 0]); // of which the next file would fare no better

export class Refusal extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/** Ask, and return the answer (null if there is none to read). */
export async function ask(path, method = "GET", values = null) {
  let answer;
  try {
    answer = await fetch(path, { method, cache: "no-store", body: values && JSON.stringify(values) });
  } catch {
    throw new Refusal("gliomask does not answer; expected it to run; look at the window it was started in", 0);
  }
  if (answer.status === 204) return null;
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Refusal(said.error ?? `answer ${answer.status}`, answer.status);
  return said;
}

/** Send files; returns the reasons why some were not taken. Tells `progress` how many files and bytes are through. */
export async function sendAll(id, files, progress, isStopped) {
  const refused = [], under = new Map();
  let done = 0, bytes = 0, next = 0;
  const tell = () => progress(done, bytes + [...under.values()].reduce((sum, each) => sum + each, 0));
  async function worker() {
    while (next < files.length && !isStopped()) {
      const { file, path } = files[next++];
      try {
        await send(`/uploads/${id}/files/${encoded(path)}`, file, (sent) => { under.set(path, sent); tell(); });
      } catch (error) {
        if (ENDS_ALL.has(error.status)) { next = files.length; throw error; }
        refused.push(error.message);
      }
      under.delete(path);
      done += 1;
      bytes += file.size;
      tell();
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  return refused;
}

function encoded(path) {
  return path.split("/").map((name) => encodeURIComponent(name.toWellFormed?.() ?? name)).join("/");
}

function send(address, file, sent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", address);
    request.upload.onprogress = (event) => sent(event.loaded);
    request.onload = () => (request.status < 300 ? resolve() : reject(refusal(request)));
    request.onerror = () => reject(new Refusal(`${file.name}: was not taken; gliomask ended, or the file cannot be read; try again`, 0));
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.send(file);
  });
}

function refusal(request) {
  let said = `answer ${request.status}`;
  try { said = JSON.parse(request.responseText).error; } catch { /* no answer of gliomask's */ }
  return new Refusal(said, request.status);
}
