// The page: takes what is dropped, sends it, and shows what comes of it.

import { card, inWords, make } from "./cards.js";
import { chosen, dropped } from "./files.js";
import { ask, sendAll } from "./send.js";
import { show } from "./viewer.js";

const SOON = 700, SLOWER = 5, SLOWEST = 5000, LATER = 60_000; // milliseconds; slower with each study there is to tell
const KEY = "gliomask-uploads"; // ids alone, and only as long as this tab is open
const ENDED = new Set(["done", "failed", "gone"]);
const one = (query) => document.querySelector(query);
const uploads = new Map();
let about = null, count = 0;

start();

async function start() {
  const drop = one("#drop");
  for (const [button, input] of [["#choose-files", "#files"], ["#choose-folder", "#folder"]]) {
    one(button).addEventListener("click", () => one(input).click());
    one(input).addEventListener("change", (event) => {
      take(chosen(event.target));
      event.target.value = "";
    });
  }
  addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("over"); });
  addEventListener("dragleave", (event) => { if (!event.relatedTarget) drop.classList.remove("over"); });
  addEventListener("drop", async (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    await guarded(async () => take(await dropped(event.dataTransfer)));
  });
  addEventListener("beforeunload", (event) => {
    if ([...uploads.values()].some((upload) => upload.sending)) event.preventDefault();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden) uploads.forEach((upload) => follow(upload)); });
  if (!["localhost", "127.0.0.1", "[::1]"].includes(location.hostname)) {
    const open = location.protocol === "https:" ? "" : ", unencrypted,";
    one("#where").textContent = `Images are sent to ${location.hostname}${open} and stay there.`;
  }
  await guarded(async () => {
    about = await ask("/about");
    one("#about").textContent = `Model ${about.model}, ${about.precision}; gliomask ${about.version}. `
      + `An upload may have ${mebi(about.size)}. It is removed with all results when you say so, `
      + `${Math.round(about.seconds / 60)} minutes after this page last showed it, and when gliomask ends.`;
  });
  for (const id of JSON.parse(sessionStorage.getItem(KEY) ?? "[]")) follow(added(id));
}

async function guarded(act) {
  try {
    await act();
  } catch (error) {
    complain(error.message);
  }
}

function complain(text) {
  one("#notice").textContent = text;
  one("#notice").hidden = false;
}

async function take(files) {
  const size = files.reduce((sum, { file }) => sum + file.size, 0);
  one("#notice").hidden = true;
  if (!files.length) return complain("nothing to send; expected slices, NIfTI or DICOM; choose other files");
  if (about && size > about.size) {
    return complain(`${mebi(size)} at once; expected at most ${mebi(about.size)}; send less at a time`);
  }
  const series = one("#series").value;
  one("#series").value = ""; // it is of these files, not of the next patient's
  await guarded(async () => {
    const { id } = await ask("/uploads", "POST");
    const upload = added(id);
    upload.sending = true;
    say(upload, `Sending ${counted(files.length, "file")}`);
    upload.node.scrollIntoView({ block: "nearest" });
    try {
      const refused = await sendAll(id, files, (done, bytes) => {
        status(upload, `Sending: ${done} of ${files.length} files, ${mebi(bytes)} of ${mebi(size)}`, bytes, size);
      }, () => upload.state === "gone");
      for (const reason of refused) upload.refused.append(make("li", { text: `Not taken: ${reason}` }));
      if (upload.state !== "gone") shown(upload, await ask(`/uploads/${id}/predict`, "POST", { series }));
    } catch (error) {
      if (upload.state === "gone") return;
      upload.state = "failed";
      upload.unsent = upload.bar.hidden = true;
      say(upload, `Not sent. ${error.message}`);
      return;
    } finally {
      upload.sending = false;
    }
    follow(upload);
  });
}

/** Put an upload on the page, the newest first. */
function added(id) {
  count += 1;
  const upload = {
    id, state: "receiving", sending: false, unsent: false, cards: 0, timer: null, said: "",
    text: make("p", { class: "state" }), bar: make("progress", { "aria-label": `Progress of upload ${count}` }),
    refused: make("ul", { class: "refused" }), studies: make("div"),
    title: make("h2", { text: `Upload ${count}`, tabindex: "-1" }),
    all: make("a", { class: "button primary", href: `/uploads/${id}/results.zip`, download: "", text: "Download all (zip)", hidden: "" }),
    remove: make("button", { type: "button", text: "Remove files and results" }),
  };
  upload.remove.setAttribute("aria-label", `Remove files and results of upload ${count}`);
  upload.remove.addEventListener("click", () => guarded(() => removed(upload)));
  upload.node = make("section", { class: "upload" },
    make("div", { class: "head" }, upload.title, make("p", { class: "buttons" }, upload.all, upload.remove)),
    upload.text, upload.bar, upload.refused, upload.studies);
  one("#uploads").prepend(upload.node);
  uploads.set(id, upload);
  remember();
  return upload;
}

async function removed(upload) {
  upload.remove.disabled = true;
  const before = upload.state;
  upload.state = "gone";
  try {
    if (before !== "gone") await ask(`/uploads/${upload.id}`, "DELETE");
  } catch (error) {
    if (error.status !== 404) {
      upload.state = before;
      upload.remove.disabled = false;
      throw error;
    }
  }
  clearTimeout(upload.timer);
  upload.node.remove();
  uploads.delete(upload.id);
  remember();
  one("#live").textContent = "Upload and results are removed";
  one("#choose-files").focus();
}

function remember() {
  sessionStorage.setItem(KEY, JSON.stringify([...uploads.keys()]));
}

/** Ask how far an upload is, and go on asking: often while it is in work, seldom while its results are looked at. */
async function follow(upload) {
  clearTimeout(upload.timer);
  if (upload.sending || upload.unsent || upload.state === "gone" || !uploads.has(upload.id)) return;
  try {
    const state = await ask(`/uploads/${upload.id}`);
    if (upload.state === "gone") return;
    shown(upload, state);
  } catch (error) {
    if (error.status === 404) return lost(upload);
    say(upload, error.message);
  }
  // then somebody has to look, or the hour begins
  const ended = ENDED.has(upload.state) || upload.state === "receiving";
  const next = ended ? LATER : Math.min(SOON + SLOWER * upload.cards, SLOWEST);
  if (!document.hidden || !ended) upload.timer = setTimeout(() => follow(upload), next);
}

function lost(upload) {
  upload.state = "gone";
  upload.bar.hidden = upload.all.hidden = true;
  upload.studies.replaceChildren();
  say(upload, "No longer there: gliomask ended, or nobody looked at it for long.");
}

/** Show what gliomask says of an upload; a study's card is made once. */
function shown(upload, { state, place, done, total, files, size, error, studies }) {
  if (upload.state === "gone") return;
  upload.state = state;
  upload.title.textContent = `${upload.title.textContent.split(":")[0]}: ${counted(files, "file")}, ${mebi(size)}`;
  for (const study of studies.slice(upload.cards)) {
    upload.studies.append(card(upload.id, upload.cards, study, show));
    upload.cards += 1;
    one("#live").textContent = inWords(study);
  }
  const failed = studies.filter((study) => study.failed).length;
  const texts = {
    receiving: "Not complete: not all files were sent. Remove it, and send it again.",
    waiting: place ? `Waiting: ${counted(place, "upload")} before this one` : "Waiting",
    searching: total ? `Looking for studies: ${done} of ${total} files` : "Looking for studies",
    predicting: `Predicting: ${done} of ${counted(total, "study", "studies")} done`,
    done: `Done: ${counted(studies.length - failed, "study", "studies")}${failed ? `, and ${failed} without result` : ""}`,
    failed: `No result. ${error ?? ""}`,
  };
  const busy = state === "searching" || state === "predicting";
  if (state === upload.said) status(upload, texts[state], busy ? done : null, total);
  else say(upload, texts[state], busy ? done : null, total);
  upload.said = state;
  upload.bar.hidden = ENDED.has(state) || state === "receiving";
  upload.all.hidden = state !== "done" || failed === studies.length;
}

function say(upload, text, done = null, total = 0) {
  status(upload, text, done, total);
  one("#live").textContent = text;
}

function status(upload, text, done, total) {
  upload.text.textContent = text;
  if (done === null || !total) {
    upload.bar.removeAttribute("value");
    return;
  }
  upload.bar.max = total;
  upload.bar.value = done;
}

function counted(number, word, words = `${word}s`) {
  return `${number} ${number === 1 ? word : words}`;
}

function mebi(bytes) {
  const size = bytes / 2 ** 20;
  return size < 10 ? `${size.toFixed(1)} MiB` : `${size.toFixed(0)} MiB`;
}
