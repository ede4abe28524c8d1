// Jumps through the timeline: a menu of all months or days, and on wide windows a rail of years at the side.

import { write } from "./address.js";
import { dateInSight, heightOf } from "./list.js";
import { $, day, state } from "./state.js";

const menu = $("#jump"), rail = $("#rail");
const PAUSE = 200; // milliseconds without scrolling before the address names the month in sight

let pause;

export function showJumps(sections) {
  const years = Map.groupBy ? Map.groupBy(sections, ({ date }) => date.slice(0, 4)) : groupBy(sections);
  menu.parentElement.hidden = sections.length < 2;
  menu.replaceChildren(option("", "Jump to …"), ...[...years].map(([year, some]) => {
    const group = document.createElement("optgroup");
    group.label = year;
    group.append(option(year, `All of ${year}`), ...some.map(({ date, count }) => option(date, `${day(date)} (${count.toLocaleString("en")})`)));
    return group;
  }));
  rail.replaceChildren(...marks(years, sections));
}

function groupBy(sections) { // for browsers without Map.groupBy
  const years = new Map();
  for (const one of sections) years.set(one.date.slice(0, 4), [...(years.get(one.date.slice(0, 4)) ?? []), one]);
  return years;
}

function option(value, text) {
  const one = document.createElement("option");
  one.value = value;
  one.textContent = text;
  return one;
}

// The years where they are along the scroll bar; those too near to the one before are left out.
function marks(years, sections) {
  const total = sections.reduce((sum, { count }) => sum + count, 0), shown = [];
  let before = 0, last = -1;
  for (const [year, some] of years) {
    const share = before / total;
    before += some.reduce((sum, { count }) => sum + count, 0);
    if (years.size < 2 || share - last < 0.035) continue;
    last = share;
    const button = document.createElement("button");
    button.textContent = button.value = year;
    button.tabIndex = -1; // the menu beside it is for the keyboard
    button.style.top = `${100 * share}%`;
    shown.push(button);
  }
  return shown;
}

export function jump(date) {
  scrollTo({ top: heightOf(date) });
}

menu.addEventListener("change", () => {
  if (menu.value) jump(menu.value);
  menu.value = "";
});
rail.addEventListener("click", (event) => event.target.value && jump(event.target.value));
addEventListener("scroll", () => {
  clearTimeout(pause);
  pause = setTimeout(() => {
    const { search, source } = state;
    if (!source || search.kind === "upload") return;
    if (search.kind === "all") search.at = dateInSight();
    history.replaceState({ y: scrollY }, "", write(search));
  }, PAUSE);
}, { passive: true });
