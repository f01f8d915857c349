// Lets the slices of each patient be scrolled. Knows only the elements of its own figure; asks nothing of any server.
"use strict";
document.documentElement.classList.add("scripted");

for (const viewer of document.querySelectorAll(".viewer")) {
  const slices = JSON.parse(viewer.querySelector("script").textContent);
  const stage = viewer.querySelector(".stage");
  const picture = stage.querySelector("img");
  const slider = viewer.querySelector("input[type=range]");
  const outlines = { truth: stage.querySelector(".truth"), prediction: stage.querySelector(".prediction") };
  const number = viewer.querySelector(".number");
  const dice = viewer.querySelector(".dice");
  const ahead = [];

  const show = (place) => {
    const slice = slices[place];
    slider.value = place;
    picture.src = slice.picture;
    picture.alt = picture.alt.replace(/^FLAIR slice \d+/, `FLAIR slice ${slice.number}`);
    for (const [name, path] of Object.entries(outlines)) path.setAttribute("d", slice[name]);
    number.textContent = slice.number;
    dice.textContent = slice.dice;
    slider.setAttribute("aria-valuetext", `slice ${slice.number}, ${slice.dice}`);
  };
  // moves by whole slices and tells whether there was any slice to move to
  const move = (steps) => {
    const place = Math.min(slices.length - 1, Math.max(0, Number(slider.value) + steps));
    if (place === Number(slider.value)) return false;
    show(place);
    return true;
  };
  // pictures are decoded before they are wanted, so that scrolling does not flicker
  const prepare = () => {
    if (ahead.length) return;
    for (const slice of slices) {
      const image = new Image();
      image.src = slice.picture;
      ahead.push(image);
    }
  };

  slider.addEventListener("input", () => show(Number(slider.value)));
  for (const kind of ["pointerenter", "touchstart", "focusin"]) viewer.addEventListener(kind, prepare, { passive: true });
  for (const box of viewer.querySelectorAll("[data-outline]")) {
    box.addEventListener("change", () => { outlines[box.dataset.outline].style.display = box.checked ? "" : "none"; });
  }

  let turned = 0;
  stage.addEventListener("wheel", (event) => {
    if (event.ctrlKey) return; // that is zooming the page
    turned += event.deltaY * (event.deltaMode === 1 ? 20 : 1);
    const steps = Math.trunc(turned / 40);
    const atEnd = event.deltaY > 0 ? Number(slider.value) === slices.length - 1 : Number(slider.value) === 0;
    if (atEnd) { turned = 0; return; } // then the page scrolls on
    event.preventDefault();
    turned -= 40 * steps;
    move(steps);
  }, { passive: false });

  // a finger or the mouse moved sideways over the picture pages through the slices
  let from = null;
  stage.addEventListener("pointerdown", (event) => { from = event.clientX; stage.setPointerCapture(event.pointerId); });
  stage.addEventListener("pointermove", (event) => {
    if (from === null) return;
    const steps = Math.trunc((event.clientX - from) / 10);
    if (steps) { from += 10 * steps; move(steps); }
  });
  for (const kind of ["pointerup", "pointercancel"]) stage.addEventListener(kind, () => { from = null; });

  show(Number(viewer.dataset.start));
}

// what is folded away on the screen belongs on paper
const folded = [...document.querySelectorAll("details:not([open])")];
addEventListener("beforeprint", () => { for (const part of folded) part.open = true; });
addEventListener("afterprint", () => { for (const part of folded) part.open = false; });
