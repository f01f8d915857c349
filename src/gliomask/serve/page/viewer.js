// A picture, large, with those before and after it.

const one = (query) => document.querySelector(query);
let pictures = [], place = 0;

/** Show one of several pictures of a study. */
export function show(all, number) {
  pictures = all;
  turn(number);
  one("#viewer").showModal();
}

function turn(number) {
  place = (number + pictures.length) % pictures.length;
  const { study, caption, address } = pictures[place];
  one("#viewer-title").textContent = `${study}: ${caption}`;
  one("#viewer-picture").src = address;
  one("#viewer-picture").alt = `${study}: ${caption}`;
  for (const query of ["#viewer-before", "#viewer-after"]) one(query).hidden = pictures.length < 2;
}

one("#viewer-before").addEventListener("click", () => turn(place - 1));
one("#viewer-after").addEventListener("click", () => turn(place + 1));
one("#viewer-large").addEventListener("click", () => {
  one("#viewer-large").setAttribute("aria-pressed", one("#viewer-picture").classList.toggle("large"));
});
one("#viewer-close").addEventListener("click", () => one("#viewer").close());
one("#viewer").addEventListener("click", (event) => { if (event.target === one("#viewer")) one("#viewer").close(); });
one("#viewer").addEventListener("close", () => one("#viewer-picture").removeAttribute("src"));
one("#viewer").addEventListener("keydown", (event) => {
  if (event.key === "ArrowLeft") turn(place - 1);
  if (event.key === "ArrowRight") turn(place + 1);
});
