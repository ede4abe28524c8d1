// One picture, large.

import { searchSimilar } from "./search.js";
import { $, grid, percent, state, viewer } from "./state.js";

function view(place) {
  const { shown } = state;
  const current = (state.current = Math.max(0, Math.min(place, shown.length - 1)));
  const result = shown[current];
  const image = $("img", viewer);
  image.src = `thumbnails/${result.id}?size=1600`;
  image.alt = result.name;
  $(".file", viewer).textContent = result.name;
  const figures = [];
  if (result.relevance !== null) figures.push(`${percent(result.relevance)} relevant`);
  if (result.score !== null) figures.push(`similarity ${result.score.toFixed(3)}`);
  if (result.date_from === "camera") figures.push(result.date.slice(0, 10));
  if (result.place) figures.push(result.place.map((degrees) => degrees.toFixed(4)).join(", "));
  if (result.copies) figures.push(`${result.copies} more cop${result.copies === 1 ? "y" : "ies"}`);
  $(".figures", viewer).textContent = figures.join(" · ");
  $("a", viewer).href = `images/${result.id}`;
  $(".previous", viewer).hidden = current === 0;
  $(".next", viewer).hidden = current === shown.length - 1;
  if (!viewer.open) viewer.showModal();
}

export const actions = {
  previous: () => view(state.current - 1),
  next: () => view(state.current + 1),
  close: () => viewer.close(),
  similar: () => searchSimilar(state.shown[state.current].id),
  copy: async (button) => {
    try {
      await navigator.clipboard.writeText(state.shown[state.current].name);
      button.textContent = "Copied";
    } catch { // refused, or not offered without encryption
      button.textContent = "Not allowed here";
    }
    setTimeout(() => (button.textContent = "Copy name"), 1200);
  },
};

viewer.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button) actions[button.dataset.do](button);
  else if (event.target.matches("figure, figure img")) viewer.close();
});
viewer.addEventListener("close", () => grid.children[state.current]?.firstElementChild.focus());
grid.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) view(Number(button.dataset.place));
});
