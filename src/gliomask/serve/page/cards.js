// What is shown of a study. Names and messages are put in as text, never as HTML.

const SEQUENCES = { pre: "T1", flair: "FLAIR", post: "T1 after contrast" };
const CAPTIONS = {
  picture: "Image, probability, mask",
  preview: "Three planes",
  contours: "Outlines, slice by slice",
  animation: "Slices in motion",
};
const ORDER = ["picture", "preview", "contours", "animation"];

/** Make an element; `text` is set as text, everything else as an attribute. */
export function make(tag, { text, ...attributes } = {}, ...children) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter(Boolean));
  return element;
}

/** Return the card of a study; `open(pictures, number)` shows one of its pictures large. */
export function card(id, number, study, open) {
  const title = make("h3", { text: study.name });
  if (study.failed) {
    return make("article", { class: "study failed" }, title,
      make("p", { class: "verdict", text: "No result" }), make("p", { text: study.failed }));
  }
  const files = study.files.map((file, place) => ({ ...file, address: `/uploads/${id}/results/${number}/${place}` }));
  return make("article", { class: study.empty ? "study none" : "study" }, title,
    study.empty ? make("p", { class: "verdict", text: "EMPTY MASK: no tumour found" }) : null,
    facts(study), warnings(study.warnings), pictures(study.name, files, open), downloads(files));
}

/** Say in a few words what came of a study, for those who listen. */
export function inWords(study) {
  if (study.failed) return `${study.name}: no result`;
  return `${study.name}: ${study.empty ? "empty mask, no tumour found" : size(study).map(([, value]) => value).join(", ")}`;
}

function size(study) {
  if (study.empty) return [];
  if (study.volume_ml === null) return [["Size", `${study.tumour_voxels} pixels`]];
  const volume = study.volume_ml >= 1 ? study.volume_ml.toFixed(1) : study.volume_ml.toPrecision(2);
  return [["Volume", `${volume} ml`], ["Largest diameter", `${study.largest_diameter_mm.toFixed(0)} mm`]];
}

function facts(study) {
  const used = study.sequences.map((name) => SEQUENCES[name] ?? name);
  const others = [
    ["Slices", study.empty ? `${study.slices}` : `${study.slices}, tumour in ${study.tumour_slices}`],
    ["Sequences", used.length === 1 ? `${used[0]} alone` : used.join(", ")],
  ];
  if (study.sequences.length) others.push(["From", study.source]);
  if (!study.empty) others.unshift(["Parts", study.left_out ? `${study.parts} (${study.left_out} small left out)` : `${study.parts}`]);
  if (study.dice !== null) others.push(["Dice with the masks that were sent", study.dice.toFixed(4)]);
  const pair = (kind) => ([name, value]) => make("div", { class: kind }, make("dt", { text: name }), make("dd", { text: value }));
  return make("dl", { class: "facts" }, ...size(study).map(pair("main")), ...others.map(pair("other")));
}

function warnings(said) {
  if (!said.length) return null;
  return make("div", { class: "warnings" }, make("h4", { text: said.length > 1 ? "Warnings" : "Warning" }),
    make("ul", {}, ...said.map((text) => make("li", { text }))));
}

function pictures(name, files, open) {
  const shown = files.filter((file) => file.kind in CAPTIONS).sort((a, b) => ORDER.indexOf(a.kind) - ORDER.indexOf(b.kind));
  if (!shown.length) return null;
  const pages = shown.filter((file) => file.kind === "contours").length;
  let page = 0;
  const captioned = shown.map((file) => {
    const paged = file.kind === "contours" && pages > 1;
    return { ...file, caption: paged ? `${CAPTIONS.contours}, ${++page} of ${pages}` : CAPTIONS[file.kind], study: name };
  });
  return make("ul", { class: "pictures" }, ...captioned.map((file, place) => make("li", {}, picture(file, () => open(captioned, place)))));
}

function picture(file, open) {
  const seen = file.kind === "animation" // moves only for those who ask
    ? make("span", { class: "still", text: "▶", "aria-hidden": "true" })
    : make("img", { src: file.address, alt: "", loading: "lazy" });
  const button = make("button", { type: "button" }, seen, make("span", { class: "name", text: file.caption }));
  button.addEventListener("click", open);
  return button;
}

function downloads(files) {
  const links = files.filter((file) => file.kind === "mask").map((file) =>
    make("li", {}, make("a", { href: file.address, download: file.name, text: file.name })));
  const label = make("li", { class: "more", text: links.length > 1 ? "Masks:" : "Mask:" });
  if (links.length <= 6) return make("ul", { class: "downloads" }, label, ...links);
  return make("details", {}, make("summary", { text: `${links.length} masks` }), make("ul", { class: "downloads" }, ...links));
}
